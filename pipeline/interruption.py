"""How a run ends before its work does: one request that everything looks at, and one exception.

Signals, callers, a deadline, a full disk and callbacks that fail all make the same `StopRequest`. Work looks at it
where it can end: between two segments, photographs or films when it may finish what is under way, after any frame when
it is to end at once. A second signal also raises `Interruption` in the main thread, because that may be deep inside a
call that looks at nothing.

A native library that calls back into Python swallows what is raised there: the run would go on, with a write missing.
So signals become an exception only where it is not lost.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, tzinfo
from enum import StrEnum
from types import CodeType, FrameType
from typing import Any, ParamSpec, TypeVar

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_DELAY = 0.02
_native_callbacks: set[CodeType] = set()
_FINISHING = "asked to stop: finishing work in progress; ask again to stop at once"


class Cancelled(BaseException):
    """A run ended before its work did; ``exit_code`` is what a command ends with.

    Functions raise it when their `StopRequest` was made, and callers may raise it from a method of
    `pipeline.progress.Progress`. It comes out of the function that was called, with everything as after Ctrl-C:
    temporary files are gone, finished work is kept, and a long film resumes later after its last segment. Not an
    `Exception`, so that it is never taken for the fault of one file.
    """

    frames_kept: int | None = None
    """Of a film that was under way, how many frames the next run need not make again; None if there was none."""

    def __init__(self, exit_code: int = 130) -> None:
        super().__init__()
        self.exit_code = exit_code


class Interruption(Cancelled):
    """A signal, raised in the main thread; ``exit_code`` is 128 and its number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class StopReason(StrEnum):
    """Why a run is to end: someone asked for it, its time is up, or nothing more can be done."""

    ASKED = "asked"
    TIME = "time"
    FAULT = "fault"


class StopRequest:
    """A wish that a run end, at its next safe boundary or at once. It is never taken back.

    Any thread, and a signal handler, may make it: what it is told is appended to lists, of which the first one counts,
    so no lock is needed, which a handler might find held. ``until`` is a deadline.
    """

    def __init__(
        self, *, until: datetime | None = None, clock: Callable[[tzinfo | None], datetime] = datetime.now
    ) -> None:
        """Begin without a request; ``clock`` returns the time of a time zone, or local time for None."""
        self.until = until
        self._clock = clock
        self._is_at_once = self._is_time_up = False
        self._errors: list[BaseException] = []
        self._asked: list[int] = []

    @property
    def error(self) -> BaseException | None:
        """The first fault, which the run raises at its end; None if there is none."""
        return self._errors[0] if self._errors else None

    @property
    def reason(self) -> StopReason | None:
        """Why it was made: a fault counts before one who asked, and that before the time. None if it was not made."""
        if self._errors:
            return StopReason.FAULT
        if self._asked:
            return StopReason.ASKED
        return StopReason.TIME if self._is_time_up else None

    @property
    def exit_code(self) -> int:
        """What a command ends with for this reason; 0 for the time, and if it was not made."""
        if self._errors:
            return int(getattr(self._errors[0], "exit_code", 1))
        return self._asked[0] if self._asked else 0

    @property
    def is_made(self) -> bool:
        """Whether the run is to begin nothing more: it was asked to end, or the deadline has come."""
        if self.reason is None and self.until is not None and self._clock(self.until.tzinfo) >= self.until:
            self._is_time_up = True
            logger.info("the run ends: it is %s", self.until)
        return self.reason is not None

    @property
    def is_at_once(self) -> bool:
        """Whether what is under way is to be left as well, after the frame at hand."""
        return self._is_at_once

    def make(self, exit_code: int = 130, *, at_once: bool = False) -> None:
        """Ask the run to begin nothing more, and with ``at_once`` not to finish what is under way either.

        Writes no log: a signal may have come amid a record.
        """
        self._asked.append(exit_code)
        if at_once:
            self._is_at_once = True

    def fail(self, error: BaseException) -> BaseException:
        """End the run at once because of ``error``, or of another that came before; return the one that counts."""
        self._errors.append(error)
        self._is_at_once = True
        first = self._errors[0]
        if first is error:
            logger.error("the run ends", exc_info=error)
        return first

    def check(self) -> None:
        """Raise `Cancelled` if the request is made: for places where nothing is lost."""
        if self.is_made:
            raise Cancelled(self.exit_code)

    def check_at_once(self) -> None:
        """Raise `Cancelled` if the run is to end at once: for every frame."""
        if self._is_at_once:
            raise Cancelled(self.exit_code)


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
    """Make ``request`` on the first SIGINT or SIGTERM, and ``tell`` people so; the second one ends the run at once.

    From then on it is as after `end_on_signals`. Signals that are ignored stay ignored. Call this in the main thread,
    after `end_on_signals`.
    """

    def first(number: int, _frame: FrameType | None) -> None:
        for polite in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(polite) is first:
                signal.signal(polite, second)
        request.make(128 + number)
        # Amid another write to the same stream, or when nobody listens any more: the request holds all the same.
        with suppress(RuntimeError, OSError):
            tell(_FINISHING)

    def second(number: int, frame: FrameType | None) -> None:
        request.make(128 + number, at_once=True)
        _end(number, frame)

    for polite in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(polite) is not signal.SIG_IGN:
            signal.signal(polite, first)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    _raise_or_wait(number, frame)


def _raise_or_wait(number: int, frame: FrameType | None) -> None:
    # Windows has no timer for signals: there the callback is left, and the file with it is thrown away.
    if sys.platform == "win32" or not _is_in_callback(frame):
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
