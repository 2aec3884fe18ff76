"""Where a caller's own code may end a run: in order, and without its faults being taken for those of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.interruption import Cancelled
from pipeline.progress import Progress
from pipeline.results import Note


@contextmanager
def in_order(progress: Progress, *, waits: bool = False) -> Iterator[Progress]:
    """Give a `Progress` that passes a run's events on to ``progress``, and raise at the end what that raised.

    On its way through the run it is `Cancelled`, whatever it was, which nobody there takes for a fault of the disk or
    of the item at hand. With ``waits`` it sets out on this way with the next `begin` or `advance` only: these come
    between items and between frames, the other events amid the books.
    """
    told = _InOrder(progress, waits)
    try:
        yield told
    except Cancelled:
        if told.fault is None:
            raise
    if told.fault is not None:
        raise told.fault


class _InOrder:
    def __init__(self, progress: Progress, waits: bool) -> None:
        self._progress, self._waits = progress, waits
        self.fault: BaseException | None = None

    def begin(self, item: str, total: int | None, unit: str) -> None:
        self._pass_on(lambda: self._progress.begin(item, total, unit))

    def advance(self, item: str, count: int = 1) -> None:
        self._pass_on(lambda: self._progress.advance(item, count))

    def end(self, item: str) -> None:
        self._pass_on(lambda: self._progress.end(item), waits=self._waits)

    def say(self, text: str) -> None:
        self._pass_on(lambda: self._progress.say(text), waits=self._waits)

    def note(self, item: str, note: Note) -> None:
        self._pass_on(lambda: self._progress.note(item, note), waits=self._waits)

    def _pass_on(self, event: Callable[[], None], *, waits: bool = False) -> None:
        if self.fault is None:
            try:
                event()
            except (Cancelled, Exception) as error:  # noqa: BLE001 - raised at the end
                self.fault = error
        if self.fault is not None and not waits:
            raise Cancelled from self.fault
