"""A worker, in whichever process: it takes tasks, colours, verifies, publishes, fingerprints and describes.

It knows the archive's folders and options, but no ledger, log or report: what it has to say are events, which its
driver asks for. Everything that goes between the two can be pickled.
"""

from __future__ import annotations

import dataclasses
import logging
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from engines.machine import limit_cores
from pipeline.archive.describing import Described, completed, described, vanished
from pipeline.archive.executors import Unit, WatchesSpace
from pipeline.archive.fence import behind
from pipeline.archive.fingerprints import FileStat
from pipeline.archive.output_folder import check_space
from pipeline.archive.run_options import RunOptions
from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.errors import AutochromeError
from pipeline.film.job import colorize_video
from pipeline.interruption import Cancelled, StopRequest
from pipeline.options import Options
from pipeline.originals import Originals
from pipeline.photo.job import PhotoJob, colorize_photos
from pipeline.progress import Silent
from pipeline.publish import guard_names
from pipeline.results import Failure, FilmResult, Note, PhotoResult
from pipeline.stages import aside

_PAUSE = 0.5  # seconds between two reports of progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What the workers of a run share. ``until`` has a time zone, for a worker may be elsewhere.

    ``cores`` is how many CPU cores a worker may use, None for all of its machine; records of its log from ``level`` on
    are passed on.
    """

    source: Path
    output: Path
    options: Options
    run_options: RunOptions
    until: datetime | None
    level: int
    cores: int | None


@dataclasses.dataclass(frozen=True)
class Task:
    """Units for one worker: photographs that share batches, or one film; ``replaces`` holds for all of them."""

    units: tuple[Unit, ...]
    is_film: bool
    replaces: bool


@dataclasses.dataclass(frozen=True)
class Ready:
    """The worker is there."""


@dataclasses.dataclass(frozen=True)
class Told:
    """A call of a method of `Progress`, to be passed on."""

    method: str
    arguments: tuple[str | int | Note | None, ...]


@dataclasses.dataclass(frozen=True)
class Logged:
    """A record of a worker's log, as text."""

    name: str
    level: int
    text: str


@dataclasses.dataclass(frozen=True)
class Over:
    """The task is over; units without an outcome were stopped. ``error`` is what must end the run, if anything."""

    error: AutochromeError | None


Event: TypeAlias = Ready | Told | Logged | Failure | Described | Over


class Worker:
    """One worker: give it a task with `begin`, and `poll` until it is `Over`. Threads may share it.

    It takes over its process: what gets a name there gets it behind ``fence``.
    """

    def __init__(self, settings: Settings, fence: Path) -> None:
        self._settings = settings
        self._events: queue.Queue[Event] = queue.Queue()
        self._stop = StopRequest(until=settings.until)
        self._stack = ExitStack()
        self._colorizer: Colorizer | None = None
        self._progress = _Teller(self._events.put)
        if settings.cores is not None:
            limit_cores(settings.cores)
        guard_names(lambda: behind(fence))
        handler = _Handler(self._events.put)
        for name in ("pipeline", "engines"):
            logging.getLogger(name).addHandler(handler)
            logging.getLogger(name).setLevel(settings.level)
        self._events.put(Ready())

    def begin(self, task: Task) -> None:
        """Begin ``task``, in a thread of its own."""
        aside(lambda: self._carry_out(task), name="task")

    def stop(self, *, at_once: bool) -> None:
        """Finish what is under way and begin nothing more, or leave that as well."""
        self._stop.make(at_once=at_once)

    def poll(self, timeout: float) -> list[Event]:
        """Return what happened since the last call, after waiting up to ``timeout`` seconds for it."""
        found: list[Event] = []
        try:
            found.append(self._events.get(timeout=timeout))
            while True:
                found.append(self._events.get_nowait())
        except queue.Empty:
            return found

    def _carry_out(self, task: Task) -> None:
        error: AutochromeError | None = None
        try:
            if self._colorizer is None:
                opening = open_colorizer(self._settings.options, progress=self._progress)
                self._colorizer = self._stack.enter_context(opening)
            do = self._film if task.is_film else self._photos
            for outcome in do(task, self._colorizer):
                self._events.put(outcome)
        except Cancelled:
            pass
        except AutochromeError as raised:
            error = raised
        except Exception as raised:
            logging.getLogger(__name__).exception("a worker fails")
            error = AutochromeError(f"a worker failed: unexpected {type(raised).__name__}: {raised}")
        self._progress.flush()
        self._events.put(Over(error))

    def _photos(self, task: Task, colorizer: Colorizer) -> Iterator[Failure | Described]:
        before: dict[Path, FileStat | None] = {}

        def jobs() -> Iterator[PhotoJob]:
            for unit in task.units:
                if self._stop.is_made:
                    return
                check_space(self._settings.output, keep_free=self._settings.run_options.keep_free)
                before[unit.source] = FileStat.found(unit.source)
                yield PhotoJob(unit.source, unit.output, self._originals, unit.correction, unit.item)

        options, items = self._options(task), {unit.source: unit.item.as_posix() for unit in task.units}
        photos = colorize_photos(jobs(), colorizer=colorizer, options=options, progress=self._progress)
        with closing(photos) as outcomes:
            for outcome in outcomes:
                self._stop.check_at_once()
                yield self._described(outcome, items[outcome.source], before[outcome.source])

    def _film(self, task: Task, colorizer: Colorizer) -> Iterator[Failure | Described]:
        (unit,) = task.units
        before = FileStat.found(unit.source)
        watch = WatchesSpace(self._progress, self._settings.output, self._settings.run_options.keep_free)
        outcome: FilmResult | Failure
        try:
            outcome = colorize_video(
                unit.source,
                unit.output,
                self._options(task),
                correction=unit.correction,
                item=unit.item,
                colorizer=colorizer,
                progress=watch,
                originals=self._originals,
                stop=self._stop,
            )
        except Exception as error:
            if watch.error is error:
                raise
            outcome = Failure.of(unit.source, error)
        yield self._described(outcome, unit.item.as_posix(), before)

    def _described(
        self, outcome: PhotoResult | FilmResult | Failure, path: str, before: FileStat | None
    ) -> Failure | Described:
        if isinstance(outcome, Failure):
            return outcome
        found = FileStat.found(outcome.output)
        if before is None or found is None:
            return vanished(outcome)
        outcome = completed(outcome, self._settings, path)
        return described(outcome, self._settings, path=path, source=before, found=found)

    @property
    def _originals(self) -> Originals:
        return Originals((self._settings.source,))

    def _options(self, task: Task) -> Options:
        options = self._settings.options
        return dataclasses.replace(options, overwrite=options.overwrite or task.replaces)


class _Teller(Silent):
    """Passes progress on; counts are gathered for a while, for a film has very many frames."""

    def __init__(self, put: Callable[[Event], None]) -> None:
        self._put = put
        self._counts: dict[str, int] = {}
        self._next = 0.0

    def begin(self, item: str, total: int | None, unit: str) -> None:
        self._put(Told("begin", (item, total, unit)))

    def advance(self, item: str, count: int = 1) -> None:
        self._counts[item] = self._counts.get(item, 0) + count
        if time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Pass the counts on that were gathered."""
        counts, self._counts = self._counts, {}
        for item, count in counts.items():
            self._put(Told("advance", (item, count)))
        self._next = time.monotonic() + _PAUSE

    def end(self, item: str) -> None:
        self.flush()
        self._put(Told("end", (item,)))

    def say(self, text: str) -> None:
        self._put(Told("say", (text,)))

    def note(self, item: str, note: Note) -> None:
        self._put(Told("note", (item, note)))


class _Handler(logging.Handler):
    def __init__(self, put: Callable[[Event], None]) -> None:
        super().__init__()
        self._put = put

    def emit(self, record: logging.LogRecord) -> None:
        self._put(Logged(record.name, record.levelno, self.format(record)))
