"""How a run ends early: one request that all work checks, and one exception.

Signals, callers, a deadline, a full disk and failing callbacks all make the same `StopRequest`. Work checks it where it
can end: between segments, photographs or films if current work may be finished, after any frame if it must end at once.
A second signal also raises `Interruption` in the main thread, which may be deep inside a call that checks nothing.

A native library that calls back into Python swallows exceptions raised there: the run would continue with a write
missing. So signals are turned into an exception only where it cannot be lost. Of Python's own handler, which raises
KeyboardInterrupt anywhere, `pipeline.media.native_files` keeps it; it may be lost in a folder of pictures, and where
PyAV raises an exception of its own.
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
    """The run ended early; ``exit_code`` is the exit code for a command.

    Functions raise it once their `StopRequest` is made, and callers may raise it from a method of
    `pipeline.progress.Progress`. It propagates out of the function that was called, with the same effect as Ctrl-C:
    temporary files are removed, finished work is kept, and a long film resumes later after its last segment. It is not
    an `Exception`, so that it is never mistaken for the failure of a single file.
    """

    frames_kept: int | None = None
    """Number of frames of the current film that the next run need not process again; None without such a film."""

    def __init__(self, exit_code: int = 130) -> None:
        super().__init__()
        self.exit_code = exit_code


class Interruption(Cancelled):
    """A signal, raised in the main thread; ``exit_code`` is 128 plus its number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class StopReason(StrEnum):
    """Why a run should end: on request, at its deadline, or because of a fault after which nothing more can be done."""

    ASKED = "asked"
    TIME = "time"
    FAULT = "fault"


class StopRequest:
    """A request that a run end at its next safe boundary, or at once. It is never withdrawn.

    Any thread or signal handler may make it. Values are only appended to lists, of which the first entry counts, so it
    needs no lock, which a signal handler might find held. ``until`` is a deadline.
    """

    def __init__(
        self, *, until: datetime | None = None, clock: Callable[[tzinfo | None], datetime] = datetime.now
    ) -> None:
        """Start without a request; ``clock`` returns the current time in a time zone, or local time for None."""
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
        """Why the request was made, or None: a fault outranks a user's request, which outranks the deadline."""
        if self._errors:
            return StopReason.FAULT
        if self._asked:
            return StopReason.ASKED
        return StopReason.TIME if self._is_time_up else None

    @property
    def exit_code(self) -> int:
        """The exit code for this reason; 0 at the deadline or if no request was made."""
        if self._errors:
            return int(getattr(self._errors[0], "exit_code", 1))
        return self._asked[0] if self._asked else 0

    @property
    def is_made(self) -> bool:
        """Whether the run should start nothing more: a request was made, or the deadline has passed."""
        if self.reason is None and self.until is not None and self._clock(self.until.tzinfo) >= self.until:
            self._is_time_up = True
            logger.info("the run ends: it is %s", self.until)
        return self.reason is not None

    @property
    def is_at_once(self) -> bool:
        """Whether current work should also be abandoned, after the current frame."""
        return self._is_at_once

    def make(self, exit_code: int = 130, *, at_once: bool = False) -> None:
        """Ask the run to start nothing more, and with ``at_once`` to abandon current work too.

        Writes no log record: a signal may have interrupted the writing of one.
        """
        self._asked.append(exit_code)
        if at_once:
            self._is_at_once = True

    def fail(self, error: BaseException) -> BaseException:
        """End the run at once because of ``error``, unless another came first; return the first one."""
        self._errors.append(error)
        self._is_at_once = True
        first = self._errors[0]
        if first is error:
            logger.error("the run ends", exc_info=error)
        return first

    def check(self) -> None:
        """Raise `Cancelled` if the request is made: for places where no work is lost."""
        if self.is_made:
            raise Cancelled(self.exit_code)

    def check_at_once(self) -> None:
        """Raise `Cancelled` if the run should end at once: called for every frame."""
        if self._is_at_once:
            raise Cancelled(self.exit_code)


def called_from_native(function: Callable[P, R]) -> Callable[P, R]:
    """Mark ``function`` as called by a native library: no `Interruption` is raised in it or in what it calls."""
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
    """Make ``request`` on the first SIGINT or SIGTERM and ``tell`` the user; end the run at once on the second."""

    def first(number: int, _frame: FrameType | None) -> None:
        for polite in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(polite) is first:
                signal.signal(polite, second)
        request.make(128 + number)
        # The stream may be in the middle of another write, or have no reader any more; the request holds all the same.
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
    # Windows has no signal timer: there the callback is interrupted, and its file is discarded.
    if sys.platform == "win32" or not _is_lost(frame):
        raise Interruption(number)

    def again(_alarm: int, later: FrameType | None) -> Any:
        _raise_or_wait(number, later)

    signal.signal(signal.SIGALRM, again)
    signal.setitimer(signal.ITIMER_REAL, _DELAY)


def _is_lost(frame: FrameType | None) -> bool:
    """Whether native code drops what is raised in ``frame``: a callback, or a frame that Cython adds to a traceback.

    Cython does so whenever PyAV raises, also at the end of every film, and evaluates a line of Python for it: often the
    first one after a long read. Such a frame is named by module and function; Python's own names have no dots.
    """
    if frame is not None and "." in frame.f_code.co_name:
        return True
    while frame is not None:
        if frame.f_code in _native_callbacks:
            return True
        frame = frame.f_back
    return False
