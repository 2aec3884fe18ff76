"""Where a caller's own code may end a run: between items and between frames, never amid the books."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.interruption import Cancelled
from pipeline.progress import Progress
from pipeline.results import Note


@contextmanager
def in_order(progress: Progress) -> Iterator[Progress]:
    """Give a `Progress` that passes a run's events on to ``progress``, and raise at the end what that raised.

    What ``progress`` raises waits for the next `begin` or `advance`. There it ends the run as `Cancelled`, whatever it
    is, so that a fault of the caller's code is not booked as that of the film it came with.
    """
    told = _InOrder(progress)
    try:
        yield told
    except Cancelled:
        if told.fault is None:
            raise
    if told.fault is not None:
        raise told.fault


class _InOrder:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.fault: BaseException | None = None

    def begin(self, item: str, total: int | None, unit: str) -> None:
        self._pass_on(lambda: self._progress.begin(item, total, unit))
        self._end_if_asked()

    def advance(self, item: str, count: int = 1) -> None:
        self._pass_on(lambda: self._progress.advance(item, count))
        self._end_if_asked()

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
        except (Cancelled, Exception) as error:  # noqa: BLE001 - raised at the end
            self.fault = error

    def _end_if_asked(self) -> None:
        if self.fault is not None:
            raise Cancelled from self.fault
