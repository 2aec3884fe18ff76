from __future__ import annotations

import pytest

from training.schedule import Plan

pytestmark = pytest.mark.slow


def _factors(steps: int = 100, warmup: int = 10, cooldown: int = 20) -> list[float]:
    plan = Plan(warmup, cooldown, steps)
    return [plan.factor(step) for step in range(steps + 1)]


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
    assert Plan(warmup=10, cooldown=20, steps=100).factor(140) == 0


def test_a_plan_knows_when_it_falls_and_when_it_is_over() -> None:
    plan = Plan(warmup=10, cooldown=20, steps=100)
    assert not plan.over(99)
    assert plan.over(100)
    assert not plan.falling(80)
    assert plan.falling(81)


def test_an_open_plan_rises_and_stays_and_is_never_over() -> None:
    plan = Plan(warmup=10, cooldown=20, steps=None)
    assert [plan.factor(step) for step in range(80)] == _factors()[:80]
    assert plan.factor(10**9) == 1.0
    assert not plan.over(10**9)
    assert not plan.falling(10**9)
    assert plan.fixed(1000, done=60, share=0.2) == Plan(10, 200, 1000)


def test_a_run_that_the_clock_makes_short_does_not_spend_it_rising() -> None:
    assert Plan(warmup=50, cooldown=200, steps=None).fixed(120, done=0, share=0.4) == Plan(12, 48, 120)


def test_a_rise_that_is_made_shorter_goes_on_from_where_it_is() -> None:
    plan = Plan(warmup=50, cooldown=200, steps=None)
    fixed = plan.fixed(111, done=11, share=0.4)
    assert (fixed.warmup, fixed.cooldown, fixed.steps) == (21, 44, 111)
    factors = [plan.factor(step) for step in range(11)] + [fixed.factor(step) for step in range(11, 22)]
    assert factors[10] == pytest.approx(0.22)
    assert factors[11:21] == pytest.approx([0.22 + 0.078 * step for step in range(1, 11)])
    assert factors[20:] == [1.0, 1.0]
