"""Learning-rate schedules as pure functions of the step."""

from __future__ import annotations


def warmup_stable_decay(step: int, *, steps: int, warmup: int, cooldown: int) -> float:
    """Return the factor on the learning rate: linear rise, flat part, then 1 - sqrt fall to zero at ``steps``.

    The shape of Hägele et al. 2024 (Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations).
    """
    if step < warmup:
        return (step + 1) / warmup
    left = steps - step
    if left < cooldown:
        return float(1 - (1 - max(left, 0) / cooldown) ** 0.5)
    return 1.0
