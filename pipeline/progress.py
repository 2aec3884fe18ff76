"""How a run tells the outside what it is doing. The command line draws it; the library stays silent."""

from __future__ import annotations

from typing import Protocol

from pipeline.results import Note


class Progress(Protocol):
    """Receiver of a run's events. All methods are called from one thread at a time."""

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
