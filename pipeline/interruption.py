"""What ends a run from outside. Of these, signals become an exception where it is not lost.

A native library that calls back into Python swallows what is raised there: the run would go on, with a write missing.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_DELAY = 0.02
_native_callbacks: set[CodeType] = set()


class Interruption(BaseException):
    """The program was told to stop; ``exit_code`` is that of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


class Cancelled(BaseException):
    """The caller wants no more of a run; raise this from a method of `pipeline.progress.Progress`.

    It comes out of the function that was called, with everything as after Ctrl-C: temporary files are gone, finished
    work is kept, and a long film goes on later after the part that is done. Not an `Exception`, so that it is never
    taken for the fault of one file.
    """

    exit_code = 130


def called_from_native(function: Callable[P, R]) -> Callable[P, R]:
    """Mark ``function`` as one that a native library calls: no `Interruption` is raised in it or below it."""
    code: CodeType = getattr(function, "__code__")  # noqa: B009 - a plain callable has no such attribute for mypy
    _native_callbacks.add(code)
    return function


def end_on_signals() -> None:
    """Raise `Interruption` in the main thread on SIGINT, SIGTERM and SIGHUP; a second signal kills at once.

    Signals that are ignored (nohup, background jobs) stay ignored. Call this in the main thread.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    _raise_or_wait(number, frame)


def _raise_or_wait(number: int, frame: FrameType | None) -> None:
    if not _is_in_callback(frame) or not hasattr(signal, "setitimer"):
        raise Interruption(number)

    def again(_alarm: int, later: FrameType | None) -> Any:
        _raise_or_wait(number, later)

    signal.signal(signal.SIGALRM, again)
    signal.setitimer(signal.ITIMER_REAL, _DELAY)


def _is_in_callback(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in _native_callbacks:
            return True
        frame = frame.f_back
    return False
