"""What ends a run from outside. Of these, signals become an exception where it is not lost.

A native library that calls back into Python swallows what is raised there: the run would go on, with a write missing.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, FrameType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_DELAY = 0.02
_native_callbacks: set[CodeType] = set()
_FINISHING = "told to stop: finishing what is under way; told once more, it stops at once"


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


class StopRequest:
    """A wish that a run end at its next safe boundary. Any thread may make it; it is never taken back.

    ``exit_code`` is what the run is to end with, 0 before it was made.
    """

    def __init__(self) -> None:
        self.exit_code = 0

    @property
    def is_made(self) -> bool:
        """Whether the run is to end."""
        return self.exit_code != 0

    def make(self, exit_code: int = Cancelled.exit_code) -> None:
        """Ask the run to finish what is under way and to begin nothing more."""
        self.exit_code = exit_code


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


def finish_on_signals(request: StopRequest, tell: Callable[[str], None]) -> None:
    """Make ``request`` on the first SIGINT or SIGTERM, and ``tell`` people so; from then on it is as `end_on_signals`.

    Signals that are ignored stay ignored. Call this in the main thread, after `end_on_signals`.
    """

    def ask(number: int, _frame: FrameType | None) -> None:
        for polite in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(polite) is ask:
                signal.signal(polite, _end)
        request.make(128 + number)
        # Amid another write to the same stream, or when nobody listens any more: the request holds all the same.
        with suppress(RuntimeError, OSError):
            tell(_FINISHING)

    for polite in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(polite) is not signal.SIG_IGN:
            signal.signal(polite, ask)


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
