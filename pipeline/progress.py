"""How a run tells the outside what it is doing. The command line draws it; the library stays silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from pipeline.results import Note


class Progress(Protocol):
    """Receiver of a run's events. All methods are called from one thread at a time, but not always from the same one.

    What they raise ends the run and comes out of the function that was called; `Cancelled` is for those who want that.
    """

    def begin(self, item: str, total: int | None, unit: str) -> None:
        """``item`` starts; ``total`` counts ``unit`` (frames, photos, items), None when unknown."""
        ...

    def advance(self, item: str, count: int = 1) -> None:
        """``count`` more units of ``item`` are done."""
        ...

    def end(self, item: str) -> None:
        """``item`` is finished, with whatever outcome."""
        ...

    def say(self, text: str) -> None:
        """Show a line worth reading now."""
        ...

    def note(self, item: str, note: Note) -> None:
        """Show an assumption, drop or fall-back concerning ``item``."""
        ...


@contextmanager
def announced(progress: Progress, item: str, total: int | None, unit: str) -> Iterator[None]:
    """Begin ``item`` and end it with the block, with whatever outcome."""
    progress.begin(item, total, unit)
    try:
        yield
    finally:
        progress.end(item)


class Silent:
    """Progress for nobody."""

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
    """Progress for a plain function: it is called with the name of an item, the units done, and their total or None.

    The first call for an item has 0 units. What is said and noted besides is not passed on; results have the notes.
    """

    def __init__(self, tell: Callable[[str, int, int | None], None]) -> None:
        self._tell = tell
        self._counts: dict[str, tuple[int, int | None]] = {}

    def begin(self, item: str, total: int | None, unit: str) -> None:  # noqa: ARG002 - of the protocol
        """Tell that nothing is done yet."""
        self._counts[item] = (0, total)
        self._tell(item, 0, total)

    def advance(self, item: str, count: int = 1) -> None:
        """Tell how much is done."""
        done, total = self._counts[item]
        self._counts[item] = (done + count, total)
        self._tell(item, done + count, total)

    def end(self, item: str) -> None:
        """Forget the item."""
        self._counts.pop(item, None)
