"""Where work items are coloured: an executor takes units, yields what became of each, and ends when the run does.

An executor knows nothing of the ledger, the log or the report. `ThreadExecutor` colours in this process, with one
engine; `pipeline.archive.pool_executor` hands units to processes, here or in a cluster.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from pipeline.archive.context import RunContext
from pipeline.archive.describing import Described
from pipeline.archive.output_folder import check_space
from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.errors import OutputError
from pipeline.film.job import colorize_video
from pipeline.interruption import Cancelled
from pipeline.options import Options
from pipeline.photo.job import PhotoJob, colorize_photos
from pipeline.progress import Progress
from pipeline.results import Failure, FilmResult, PhotoResult
from pipeline.stages import several


@dataclasses.dataclass(frozen=True)
class Lost:
    """What became of a unit is not known: its worker was lost, and there may be a result.

    Where it ``is_safe`` the worker publishes nothing more, and the unit can be done again.
    """

    source: Path
    is_safe: bool


Outcome: TypeAlias = PhotoResult | FilmResult | Failure | Described | Lost


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unit:
    """One source to colour.

    ``replaces`` when ``output`` is an older result of ours; ``correction`` is the file of what a person set right,
    which need not exist; ``item`` is the path of the source below the tree.
    """

    source: Path
    output: Path
    replaces: bool
    correction: Path
    item: PurePosixPath


class Executor(Protocol):
    """Colours units. Use it in a ``with`` block, and call one method at a time.

    ``units`` are drawn only when there is a place for them, by one thread at a time. Outcomes come in any order. When
    the run's `StopRequest` is made, what was drawn is finished, or left without an outcome if it must end at once.
    Errors of the engine end the iteration: they would meet every unit.
    """

    def __enter__(self) -> Self:
        """Get ready: open the engine."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the engine."""
        ...

    def photos(self, units: Iterator[Unit], *, replaces: bool) -> Generator[Outcome | None, None, None]:
        """Yield what became of every photograph; ``replaces`` holds for all of them; None for one that was stopped."""
        ...

    def films(self, units: Iterator[Unit], *, alone: bool) -> Generator[Outcome | None, None, None]:
        """Yield what became of every film, several at a time unless ``alone``; None for one that was stopped."""
        ...


class ThreadExecutor:
    """Colours in threads of this process, with ``colorizer``, or with one that is opened for the run."""

    def __init__(self, context: RunContext, colorizer: Colorizer | None) -> None:
        self._context = context
        self._given = colorizer
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        context = self._context
        self._colorizer = self._given or self._stack.enter_context(
            open_colorizer(context.options, progress=context.reporter)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def photos(self, units: Iterator[Unit], *, replaces: bool) -> Generator[Outcome | None, None, None]:
        """Colour photographs; those of one shape share batches."""
        context = self._context
        jobs = (PhotoJob(unit.source, unit.output, context.originals, unit.correction, unit.item) for unit in units)
        options = self._options(replaces=replaces)
        yield from colorize_photos(jobs, colorizer=self._colorizer, options=options, progress=context.reporter)

    def films(self, units: Iterator[Unit], *, alone: bool) -> Generator[Outcome | None, None, None]:
        """Colour films, each in a thread."""
        workers = 1 if alone else self._context.run_options.jobs
        yield from several(units, self._film, workers=workers, name="film", stop=self._context.stop)

    def _film(self, unit: Unit) -> FilmResult | Failure | None:
        """Return what became of the film; None if it was stopped: a long one resumes later."""
        context = self._context
        try:
            return colorize_video(
                unit.source,
                unit.output,
                self._options(replaces=unit.replaces),
                correction=unit.correction,
                item=unit.item,
                colorizer=self._colorizer,
                progress=WatchesSpace(context.reporter, context.output, context.run_options.keep_free),
                originals=context.originals,
                stop=context.stop,
            )
        except Cancelled:
            if context.stop.reason is None:
                raise
            return None
        except Exception as error:  # noqa: BLE001 - one bad file must not stop the rest; it is named with its reason
            # What ends the whole run is no failure of this film.
            return None if context.stop.error is error else Failure.of(unit.source, error)

    def _options(self, *, replaces: bool) -> Options:
        options = self._context.options
        return dataclasses.replace(options, overwrite=options.overwrite or replaces)


class WatchesSpace:
    """Passes the progress of a film on; raises `OutputError`, which ends the run, when its disk is too full.

    ``error`` is what it raised.
    """

    def __init__(self, reporter: Progress, output: Path, keep_free: int) -> None:
        self._reporter, self._output, self._keep_free = reporter, output, keep_free
        self.error: OutputError | None = None
        self.begin, self.end, self.say, self.note = reporter.begin, reporter.end, reporter.say, reporter.note

    def advance(self, item: str, count: int = 1) -> None:
        """Pass on, and look. Raises `OutputError`."""
        self._reporter.advance(item, count)
        try:
            check_space(self._output, keep_free=self._keep_free)
        except OutputError as error:
            self.error = error
            raise
