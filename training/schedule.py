"""Learning-rate schedules as pure functions of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Of a run whose length the clock decides: a short one must not spend half of it on the rise.
_LONGEST_WARMUP = 0.1


def warmup_stable_decay(step: int, *, steps: float, warmup: int, cooldown: int) -> float:
    """Return the factor on the learning rate: linear rise, flat part, then 1 - sqrt fall to zero at ``steps``.

    The shape of Hägele et al. 2024 (Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations).
    """
    if step < warmup:
        return (step + 1) / warmup
    left = steps - step
    if left < cooldown:
        return float(1 - (1 - max(left, 0) / cooldown) ** 0.5)
    return 1.0


@dataclass(frozen=True)
class Plan:
    """How long a run is and when its rate falls. ``steps`` None: not known yet, the rate rises and stays."""

    warmup: int
    cooldown: int
    steps: int | None

    def factor(self, step: int) -> float:
        """Return the factor on the learning rate at ``step``."""
        steps = math.inf if self.steps is None else self.steps
        return warmup_stable_decay(step, steps=steps, warmup=self.warmup, cooldown=self.cooldown)

    def over(self, step: int) -> bool:
        """Return whether ``step`` is past the last one."""
        return self.steps is not None and step >= self.steps

    def falling(self, step: int) -> bool:
        """Return whether the rate at ``step`` is on its way to zero."""
        return self.steps is not None and step > self.steps - self.cooldown

    def fixed(self, steps: int, *, share: float) -> Plan:
        """Return the plan for ``steps`` in all, with the rate falling over the last ``share`` of them.

        It rises over a tenth of them at most.
        """
        return Plan(min(self.warmup, round(steps * _LONGEST_WARMUP)), max(1, round(steps * share)), steps)
