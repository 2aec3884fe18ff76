"""A worker, in any process: takes tasks, colours, verifies, publishes, fingerprints and writes sidecars.

It knows the archive's folders and options, but no ledger, log or report: it reports events, which its driver polls.
Everything that is passed between the two can be pickled.
"""

from __future__ import annotations

import logging
import platform
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from engines.machine import limit_cores
from pipeline.archive.context import Archive
from pipeline.archive.executors.base import Unit
from pipeline.archive.executors.fence import behind
from pipeline.archive.executors.threads import ThreadExecutor
from pipeline.archive.fingerprints import FileStat
from pipeline.archive.output_folder import OutputLock, check_space
from pipeline.archive.provenance import Sealed, sealed, vanished, with_commands
from pipeline.errors import AutochromeError, MissingDependencyError
from pipeline.interruption import Cancelled, StopRequest
from pipeline.progress import Silent
from pipeline.publish import guard_names
from pipeline.results import Failure, FilmResult, Note, PhotoResult
from pipeline.stages import aside
from pipeline.version import program_version

_PAUSE = 0.5  # seconds between two progress reports


@dataclass(frozen=True, kw_only=True)
class WorkerSettings(Archive):
    """Settings shared by the workers of a run. ``until`` has a time zone, since a worker may be elsewhere.

    ``cores`` is the number of CPU cores a worker may use, None for all of its machine; its log records from ``level``
    up are forwarded. ``network``, a fingerprint, and ``version``, of the program, are those that the run was planned
    with; a worker with others colours nothing. If another run takes over ``lock``, the run's lock, the worker publishes
    nothing.
    """

    until: datetime | None
    level: int
    cores: int | None
    network: str
    version: str
    lock: OutputLock | None


@dataclass(frozen=True)
class Task:
    """Units for one worker: photographs that share batches, or one film; ``replaces`` applies to all of them.

    A worker that ``helps`` with a film writes segments of it, but yields no outcome: the film belongs to another
    worker.
    """

    units: tuple[Unit, ...]
    is_film: bool
    replaces: bool
    helps: bool = False


@dataclass(frozen=True)
class Ready:
    """The worker has started."""


@dataclass(frozen=True)
class ProgressCall:
    """A call to a method of `Progress`, to be forwarded."""

    method: str
    arguments: tuple[str | int | Note | None, ...]


@dataclass(frozen=True)
class LogLine:
    """A log record of a worker, as text."""

    name: str
    level: int
    text: str


@dataclass(frozen=True)
class TaskEnded:
    """The task is over; units without an outcome were stopped. ``error`` must end the run, if set."""

    error: AutochromeError | None


WorkerEvent: TypeAlias = Ready | ProgressCall | LogLine | Failure | Sealed | TaskEnded


class Worker:
    """One worker: give it a task with `begin`, and `poll` until `TaskEnded`. Can be shared between threads.

    It takes over its process: every file there gets its name behind ``fence``, and only while the run holds its lock.
    """

    def __init__(self, settings: WorkerSettings, fence: Path) -> None:
        self._settings = settings
        self._events: queue.Queue[WorkerEvent] = queue.Queue()
        self._stop = StopRequest(until=settings.until)
        self._executor: ThreadExecutor | None = None
        self._progress = _ProgressRelay(self._events.put)
        if settings.cores is not None:
            limit_cores(settings.cores)
        guard_names(lambda: _trusted(settings, fence))
        handler = _LogRelay(self._events.put)
        for name in ("pipeline", "engines"):
            logging.getLogger(name).addHandler(handler)
            logging.getLogger(name).setLevel(settings.level)
        self._events.put(Ready())

    def begin(self, task: Task) -> None:
        """Start ``task`` in its own thread."""
        aside(lambda: self._carry_out(task), name="task")

    def stop(self, *, at_once: bool) -> None:
        """Finish current work and start nothing more, or abandon it too."""
        self._stop.make(at_once=at_once)

    def poll(self, timeout: float) -> list[WorkerEvent]:
        """Return the events since the last call, waiting up to ``timeout`` seconds for some."""
        found: list[WorkerEvent] = []
        try:
            found.append(self._events.get(timeout=timeout))
            while True:
                found.append(self._events.get_nowait())
        except queue.Empty:
            return found

    def _carry_out(self, task: Task) -> None:
        error: AutochromeError | None = None
        try:
            if task.helps:
                self._opened().help(*task.units)
            else:
                self._colour(task)
            if self._stop.error is not None:
                raise self._stop.error
        except Cancelled:
            pass
        except AutochromeError as raised:
            error = raised
        except Exception as raised:
            logging.getLogger(__name__).exception("a worker fails")
            error = AutochromeError(f"a worker failed: unexpected {type(raised).__name__}: {raised}")
        self._progress.flush()
        self._events.put(TaskEnded(error))

    def _colour(self, task: Task) -> None:
        before: dict[Path, FileStat | None] = {}
        items = {unit.source: unit.item.as_posix() for unit in task.units}
        units = self._drawn(task, before)
        executor = self._opened()
        outcomes = executor.films(units, alone=True) if task.is_film else executor.photos(units, replaces=task.replaces)
        with closing(outcomes):
            for outcome in outcomes:
                self._stop.check_at_once()
                if outcome is not None:
                    source = outcome.source
                    self._events.put(self._sealed(outcome, items[source], before[source]))

    def _opened(self) -> ThreadExecutor:
        """Return the executor with its engine, which stays open for the life of the process."""
        if self._executor is None:
            settings = self._settings
            if settings.version != program_version():
                raise MissingDependencyError(
                    f"{platform.node()}: has Autochrome {program_version()}, not {settings.version}",
                    advice="Install the same version on all machines.",
                )
            executor = ThreadExecutor(
                settings, None, network=settings.network, progress=self._progress, stop=self._stop
            )
            self._executor = executor.__enter__()
        return self._executor

    def _drawn(self, task: Task, before: dict[Path, FileStat | None]) -> Iterator[Unit]:
        for unit in task.units:
            if self._stop.is_made:
                return
            check_space(self._settings.output, keep_free=self._settings.run_options.keep_free)
            before[unit.source] = FileStat.found(unit.source)
            yield unit

    def _sealed(
        self, outcome: PhotoResult | FilmResult | Failure, path: str, before: FileStat | None
    ) -> Failure | Sealed:
        if isinstance(outcome, Failure):
            return outcome
        found = FileStat.found(outcome.output)
        if before is None or found is None:
            return vanished(outcome)
        outcome = with_commands(outcome, self._settings, path)
        return sealed(outcome, self._settings, path=path, source=before, found=found)


@contextmanager
def _trusted(settings: WorkerSettings, fence: Path) -> Iterator[None]:
    if settings.lock is not None:
        settings.lock.check()
    with behind(fence):
        yield


class _ProgressRelay(Silent):
    """Forwards progress; counts are accumulated for a while, because a film has very many frames."""

    def __init__(self, put: Callable[[WorkerEvent], None]) -> None:
        self._put = put
        self._counts: dict[str, int] = {}
        self._next = 0.0

    def begin(self, item: str, total: int | None, unit: str) -> None:
        self._put(ProgressCall("begin", (item, total, unit)))

    def advance(self, item: str, count: int = 1) -> None:
        self._counts[item] = self._counts.get(item, 0) + count
        if time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Forward the accumulated counts."""
        counts, self._counts = self._counts, {}
        for item, count in counts.items():
            self._put(ProgressCall("advance", (item, count)))
        self._next = time.monotonic() + _PAUSE

    def end(self, item: str) -> None:
        self.flush()
        self._put(ProgressCall("end", (item,)))

    def say(self, text: str) -> None:
        self._put(ProgressCall("say", (text,)))

    def note(self, item: str, note: Note) -> None:
        self._put(ProgressCall("note", (item, note)))


class _LogRelay(logging.Handler):
    def __init__(self, put: Callable[[WorkerEvent], None]) -> None:
        super().__init__()
        self._put = put

    def emit(self, record: logging.LogRecord) -> None:
        self._put(LogLine(record.name, record.levelno, self.format(record)))
