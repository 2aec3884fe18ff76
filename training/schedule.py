"""Learning-rate schedules as pure functions of the step."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

# For a run whose length is determined by the clock: a short one must not spend half of it on warm-up.
_LONGEST_WARMUP = 0.1


@dataclass(frozen=True)
class Plan:
    """The length of a run and its learning-rate schedule. ``steps`` None: not known yet, no decay after warm-up.

    The warm-up ends at step ``warmup``. It starts at zero, or at ``risen`` (0..1) at step ``since`` if it was shortened
    on the way.
    """

    warmup: int
    cooldown: int
    steps: int | None
    since: int = 0
    risen: float = 0.0

    def factor(self, step: int) -> float:
        """Return the factor on the learning rate at ``step``: linear warm-up, constant, then 1 - sqrt decay to zero.

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
        """Return whether the rate is decaying at ``step``."""
        return self.steps is not None and step > self.steps - self.cooldown

    def fixed(self, steps: int, *, done: int, share: float) -> Plan:
        """Return the plan for ``steps`` in total, ``done`` of them finished, decaying over the last ``share``.

        From its current value the rate warms up over at most a tenth of the remaining steps.
        """
        cooldown = max(1, round(steps * share))
        warmup = done + math.ceil((steps - done) * _LONGEST_WARMUP)
        if warmup >= self.warmup:
            return dataclasses.replace(self, cooldown=cooldown, steps=steps)
        return Plan(warmup, cooldown, steps, since=done, risen=self.factor(done - 1) if done else 0.0)
