"""How one call of `training.train.train` computes, and how the clock determines the length of the run."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from training.config import ConfigError, TrainConfig
from training.device import DeviceName, Machine
from training.schedule import Plan

# The first steps of a call are slower, and some time goes into checkpoints and evaluations.
_SETTLING = 10
_MARGIN = 0.97


@dataclass(frozen=True)
class TrainOptions:
    """How a run computes in this call. Its result is affected only through the run's length and rounding."""

    device: DeviceName = "auto"
    minutes: float | None = None
    """Stop with a checkpoint after this long, start-up included; the next call resumes from it."""
    total_minutes: float | None = None
    """Set the run's steps by the clock, not by the config: as many as fit into this time over all calls."""
    finish_minutes: float | None = None
    """From now on let the rate decay to zero within this time: for a run that must end sooner than planned."""
    pace_seconds: float = 60.0
    """How long steps are timed before ``total_minutes`` determines their number."""
    resident: bool | None = None
    """Keep all photographs on the device and cut them there; None: on a GPU with enough memory."""
    compile: bool = False
    """Compile the network with ``torch.compile``."""
    tensorboard: bool = True
    log_every: int = 50
    """Steps between two lines of the log."""


def plan_run(config: TrainConfig, options: TrainOptions, state: Mapping[str, Any] | None) -> Plan:
    """Return the plan to continue with after the checkpoint ``state`` (None: to start with). Raises `ConfigError`.

    A determined plan is unchanged, except that ``finish_minutes`` starts the decay if it has not started yet.
    """
    open_ended = options.total_minutes is not None
    if state is None:
        plan, step, seconds = Plan(config.warmup, config.cooldown, None if open_ended else config.steps), 0, 0.0
    else:
        plan, step, seconds = Plan(**state["plan"]), int(state["step"]), float(state["seconds"])
    if options.finish_minutes is not None:
        if step == 0 or plan.falling(step) or plan.over(step):
            raise ConfigError(
                f"{config.name}: nothing to finish, at step {step} of {plan.steps}",
                advice="Continue without --finish-minutes.",
            )
        rest = max(1, int(60 * options.finish_minutes * _MARGIN * step / seconds))
        return dataclasses.replace(plan, cooldown=rest, steps=step + rest)
    if plan.steps is None and not open_ended:
        raise ConfigError(f"{config.name}: the length of the run was left to the clock", advice="Give --total-minutes.")
    return plan


class RunClock:
    """The time that a run has taken, in this call and earlier ones."""

    def __init__(
        self, options: TrainOptions, machine: Machine, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Start now, using the seconds that ``monotonic`` returns."""
        self._options, self._machine, self._monotonic = options, machine, monotonic
        self._began = self._timed_from = monotonic()
        self._settled, self._spent = _SETTLING, 0.0

    def resume(self, first: int, spent: float) -> None:
        """Continue at step ``first``, after ``spent`` seconds in earlier calls."""
        self._settled, self._spent = first + _SETTLING, spent

    @property
    def seconds(self) -> float:
        """The seconds of all calls so far."""
        return self._spent + self._monotonic() - self._began

    def fix(self, plan: Plan, done: int, *, share: float) -> Plan:
        """Return ``plan`` with its steps determined if they were open and ``done`` steps have shown the pace."""
        if plan.steps is not None or self._options.total_minutes is None:
            return plan
        if done == self._settled:
            self._timed_from = self._monotonic()
        timed = self._monotonic() - self._timed_from
        if self._machine.agreed(done > self._settled and timed >= self._options.pace_seconds) > 0:
            left = 60 * self._options.total_minutes - self.seconds
            more = max(1.0, (done - self._settled) / max(timed, 1e-9) * left * _MARGIN)
            return plan.fixed(int(self._machine.agreed(done + more)), done=done, share=share)
        return plan

    def up(self) -> bool:
        """Return whether this call has used up its minutes."""
        minutes = self._options.minutes
        return minutes is not None and self._machine.agreed(self._monotonic() - self._began > 60 * minutes) > 0
