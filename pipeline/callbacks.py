"""Let a caller's own callback end a run, without its errors being taken for a file's."""

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
    """Yield a `Progress` that forwards a run's events to ``progress``, and raise its first error at the end.

    That error ends the run at once through ``stop``, and no further events are forwarded. If another error has already
    ended the run, that one is raised instead. `begin` and `advance` are called between items and between frames, and
    raise `Cancelled` when the run must end at once. The other events arrive during writes of the ledger and the log,
    and raise nothing.
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
            # If several fail at the same time, one of them ends the run, and all report that one.
            self.fault = self._stop.fail(error)
