"""The executor interface: takes units, yields an outcome for each, and ends when the run does."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from pipeline.archive.provenance import Sealed
from pipeline.results import Failure, FilmResult, PhotoResult


@dataclass(frozen=True)
class Lost:
    """The outcome of a unit is unknown: its worker was lost, and there may be a result.

    If ``is_safe``, the worker publishes nothing more, and the unit can be done again.
    """

    source: Path
    is_safe: bool


Outcome: TypeAlias = PhotoResult | FilmResult | Failure | Sealed | Lost


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One source to colour.

    ``replaces`` if ``output`` is an older result of ours; ``correction`` is the path of its correction file, which need
    not exist; ``item`` is the path of the source below the tree.
    """

    source: Path
    output: Path
    replaces: bool
    correction: Path
    item: PurePosixPath


class Executor(Protocol):
    """Colours units. Use it in a ``with`` block, and call one method at a time.

    ``units`` are drawn only when there is capacity for them, by one thread at a time. Outcomes come in any order. When
    the run's `StopRequest` is made, units already drawn are finished, or left without an outcome if it must end at
    once. Errors of the engine end the iteration, because they would affect every unit.
    """

    def __enter__(self) -> Self:
        """Prepare: open the engine."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the engine."""
        ...

    def photos(self, units: Iterator[Unit], *, replaces: bool) -> Generator[Outcome | None, None, None]:
        """Yield the outcome of every photograph; ``replaces`` applies to all of them; None for one that was stopped."""
        ...

    def films(self, units: Iterator[Unit], *, alone: bool) -> Generator[Outcome | None, None, None]:
        """Yield the outcome of every film, several at a time unless ``alone``; None for one that was stopped."""
        ...
