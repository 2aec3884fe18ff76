"""Where a caller's own code may end a run, without its faults being taken for those of a file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.interruption import Cancelled, StopRequest
from pipeline.progress import Progress
from pipeline.results import Note

logger = logging.getLogger(__name__)


@contextmanager
def guarded(progress: Progress, stop: StopRequest) -> Iterator[Progress]:
    """Give a `Progress` that passes a run's events on to ``progress``, and raise at the end what that raised.

    The first fault of ``progress`` ends the run at once through ``stop``, and nothing more is passed on; where another
    error has ended the run already, that one is raised. `begin` and
    `advance` come between items and between frames: these raise `Cancelled` when the run is to end at once. The other
    events come amid writes of the ledger and the log, and raise nothing.
    """
    events = _Guarded(progress, stop)
    try:
        yield events
    except Cancelled:
        if events.fault is None:
            raise
    if events.fault is not None:
        raise events.fault


class _Guarded:
    def __init__(self, progress: Progress, stop: StopRequest) -> None:
        self._progress, self._stop = progress, stop
        self.fault: BaseException | None = None

    def begin(self, item: str, total: int | None, unit: str) -> None:
        self._pass_on(lambda: self._progress.begin(item, total, unit))
        self._stop.check_at_once()

    def advance(self, item: str, count: int = 1) -> None:
        self._pass_on(lambda: self._progress.advance(item, count))
        self._stop.check_at_once()

    def end(self, item: str) -> None:
        self._pass_on(lambda: self._progress.end(item))

    def say(self, text: str) -> None:
        self._pass_on(lambda: self._progress.say(text))

    def note(self, item: str, note: Note) -> None:
        self._pass_on(lambda: self._progress.note(item, note))

    def _pass_on(self, event: Callable[[], None]) -> None:
        if self.fault is not None:
            return
        try:
            event()
        except (Cancelled, Exception) as error:
            if isinstance(error, Cancelled) and self._stop.is_at_once:
                raise
            logger.debug("a callback ends the run", exc_info=error)
            # Of several that fail at the same time, one ends the run, and all tell of that one.
            self.fault = self._stop.fail(error)
