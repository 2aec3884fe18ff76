from __future__ import annotations

import dataclasses
from typing import Any

import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")

from tests.training.tiny import CONFIG  # noqa: E402
from training.config import ConfigError  # noqa: E402
from training.device import Machine  # noqa: E402
from training.schedule import Plan  # noqa: E402
from training.train_options import RunClock, TrainOptions, plan_run  # noqa: E402

MACHINE = Machine(torch.device("cpu"))
LONG = dataclasses.replace(CONFIG, steps=1000, warmup=10, cooldown=400)


class Time:
    """A monotonic clock that is set by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


def _state(step: int, seconds: float, **plan: int | None) -> dict[str, Any]:
    return {"step": step, "seconds": seconds, "plan": {"warmup": 10, "cooldown": 400, "steps": 1000, **plan}}


def test_without_a_clock_the_config_plans() -> None:
    assert plan_run(LONG, TrainOptions(), None) == Plan(10, 400, 1000)
    assert plan_run(LONG, TrainOptions(total_minutes=9.0), None) == Plan(10, 400, None)
    assert plan_run(LONG, TrainOptions(total_minutes=9.0), _state(50, 5.0)).steps == 1000


def test_the_pace_of_the_first_minute_fixes_the_steps_and_the_fall_keeps_its_share() -> None:
    plan, done, time = Plan(10, 400, None), 0, Time()
    clock = RunClock(TrainOptions(total_minutes=10.0), MACHINE, monotonic=time.monotonic)
    time.now += 30
    while plan.steps is None:
        done += 1
        time.now += 0.5
        plan = clock.fix(plan, done, share=0.4)
    assert done == 130
    # 30 + 65 seconds are over; in the 505 that are left, 2 steps a second, less 3 % for what is not steps.
    assert plan == Plan(10, round(0.4 * 1109), 1109)
    assert clock.fix(plan, done + 1, share=0.4) == plan


def test_time_of_earlier_sittings_counts() -> None:
    time = Time()
    clock = RunClock(TrainOptions(total_minutes=10.0, pace_seconds=0.0), MACHINE, monotonic=time.monotonic)
    clock.resume(5000, 590.0)
    time.now += 8
    plan = Plan(10, 400, None)
    assert clock.fix(plan, 5010, share=0.5) == plan
    time.now += 1
    assert clock.fix(plan, 5011, share=0.5) == Plan(10, 2506, 5012)
    assert clock.seconds == 599


def test_minutes_end_a_sitting_whatever_came_before_it() -> None:
    time = Time()
    clock = RunClock(TrainOptions(minutes=1.0), MACHINE, monotonic=time.monotonic)
    clock.resume(5000, 590.0)
    time.now += 60
    assert not clock.up()
    time.now += 1
    assert clock.up()
    assert not RunClock(TrainOptions(), MACHINE).up()


def test_a_run_is_finished_at_the_pace_it_had() -> None:
    plan = plan_run(LONG, TrainOptions(finish_minutes=2.0), _state(300, 150.0))
    assert plan == Plan(10, 232, 532)
    assert plan.factor(300) == pytest.approx(1.0)
    assert plan.factor(532) == 0


@pytest.mark.parametrize("state", [None, _state(700, 70.0), _state(1000, 100.0)], ids=["none", "falling", "over"])
def test_what_has_not_begun_or_is_ending_cannot_be_finished(state: dict[str, Any] | None) -> None:
    with pytest.raises(ConfigError, match="nothing to finish"):
        plan_run(LONG, TrainOptions(finish_minutes=2.0), state)


def test_a_run_left_to_the_clock_needs_the_clock() -> None:
    with pytest.raises(ConfigError, match="left to the clock"):
        plan_run(LONG, TrainOptions(), _state(50, 5.0, steps=None))
