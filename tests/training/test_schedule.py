from __future__ import annotations

import pytest

from training.schedule import warmup_stable_decay


def _factors(steps: int = 100, warmup: int = 10, cooldown: int = 20) -> list[float]:
    return [warmup_stable_decay(step, steps=steps, warmup=warmup, cooldown=cooldown) for step in range(steps + 1)]


def test_rises_stays_and_falls_to_zero() -> None:
    factors = _factors()
    assert factors[0] == pytest.approx(0.1)
    assert factors[:10] == sorted(factors[:10])
    assert set(factors[10:80]) == {1.0}
    assert factors[80:] == sorted(factors[80:], reverse=True)
    assert factors[100] == 0


def test_the_fall_is_one_less_the_root_of_the_part_done() -> None:
    assert _factors()[85] == pytest.approx(1 - (5 / 20) ** 0.5)


def test_beyond_the_end_nothing_is_learnt() -> None:
    assert warmup_stable_decay(140, steps=100, warmup=10, cooldown=20) == 0
