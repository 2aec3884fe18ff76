"""Learning-rate schedules as pure functions of the step."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

# Of a run whose length the clock decides: a short one must not spend half of it on the rise.
_LONGEST_WARMUP = 0.1


@dataclass(frozen=True)
class Plan:
    """How long a run is and when its rate falls. ``steps`` None: not known yet, the rate rises and stays.

    The rise ends at step ``warmup``. It begins at zero, or at ``risen`` (0..1) at step ``since`` if it was made shorter
    on the way.
    """

    warmup: int
    cooldown: int
    steps: int | None
    since: int = 0
    risen: float = 0.0

    def factor(self, step: int) -> float:
        """Return the factor on the learning rate at ``step``: linear rise, flat part, then 1 - sqrt fall to zero.

        The shape of Hägele et al. 2024 (Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations).
        """
        if step < self.warmup:
            return self.risen + (1 - self.risen) * (step + 1 - self.since) / (self.warmup - self.since)
        if self.steps is None or self.steps - step >= self.cooldown:
            return 1.0
        left = max(0, self.steps - step)
        return float(1 - (1 - left / self.cooldown) ** 0.5)

    def over(self, step: int) -> bool:
        """Return whether ``step`` is past the last one."""
        return self.steps is not None and step >= self.steps

    def falling(self, step: int) -> bool:
        """Return whether the rate at ``step`` is on its way to zero."""
        return self.steps is not None and step > self.steps - self.cooldown

    def fixed(self, steps: int, *, done: int, share: float) -> Plan:
        """Return the plan for ``steps`` in all, ``done`` of them behind, with the rate falling over the last ``share``.

        From where it is it rises over a tenth of those that are left at most.
        """
        cooldown = max(1, round(steps * share))
        warmup = done + math.ceil((steps - done) * _LONGEST_WARMUP)
        if warmup >= self.warmup:
            return dataclasses.replace(self, cooldown=cooldown, steps=steps)
        return Plan(warmup, cooldown, steps, since=done, risen=self.factor(done - 1) if done else 0.0)
