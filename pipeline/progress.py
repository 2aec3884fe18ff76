"""Report a run's progress to the outside. The command line displays it; the library prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from pipeline.results import Note


class Progress(Protocol):
    """Receiver of a run's events. Methods are called by one thread at a time, but not always by the same one.

    An exception raised by a method ends the run and propagates to the caller; raise `Cancelled` to end it deliberately.
    """

    def begin(self, item: str, total: int | None, unit: str) -> None:
        """Start ``item``; ``total`` is its number of ``unit`` (frames, photos, items), or None if unknown."""
        ...

    def advance(self, item: str, count: int = 1) -> None:
        """Count ``count`` more finished units of ``item``."""
        ...

    def end(self, item: str) -> None:
        """Finish ``item``, whatever its outcome."""
        ...

    def say(self, text: str) -> None:
        """Show a line that should be read now."""
        ...

    def note(self, item: str, note: Note) -> None:
        """Show an assumption, drop or fall-back concerning ``item``."""
        ...


@contextmanager
def announced(progress: Progress, item: str, total: int | None, unit: str) -> Iterator[None]:
    """Begin ``item`` and end it with the block, whatever the outcome."""
    progress.begin(item, total, unit)
    try:
        yield
    finally:
        progress.end(item)


class Silent:
    """Progress that ignores all events."""

    def begin(self, item: str, total: int | None, unit: str) -> None:
        """Ignore."""

    def advance(self, item: str, count: int = 1) -> None:
        """Ignore."""

    def end(self, item: str) -> None:
        """Ignore."""

    def say(self, text: str) -> None:
        """Ignore."""

    def note(self, item: str, note: Note) -> None:
        """Ignore."""


class Callback(Silent):
    """Progress for a plain function, called with the item's name, the units done, and their total or None.

    The first call for an item reports 0 units. Messages and notes are not forwarded; results contain the notes.
    """

    def __init__(self, tell: Callable[[str, int, int | None], None]) -> None:
        self._tell = tell
        self._counts: dict[str, tuple[int, int | None]] = {}

    def begin(self, item: str, total: int | None, unit: str) -> None:  # noqa: ARG002 - of the protocol
        """Report that nothing is done yet."""
        self._counts[item] = (0, total)
        self._tell(item, 0, total)

    def advance(self, item: str, count: int = 1) -> None:
        """Report how much is done."""
        done, total = self._counts[item]
        self._counts[item] = (done + count, total)
        self._tell(item, done + count, total)

    def end(self, item: str) -> None:
        """Forget the item."""
        self._counts.pop(item, None)
