"""Hand work to workers in other processes, here or on other machines, through any `Pool`.

Workers may die. The items of a dead worker may already have results, so they are done again, replacing those, last and
one at a time. A worker that cannot be reached may still be alive: its fence is closed before its items go to another.
The driver opens no engine.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Generator, Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from pipeline.archive.context import RunContext
from pipeline.archive.executors.base import Lost, Outcome, Unit
from pipeline.archive.executors.fence import close_all_fences, close_fence, raise_fence
from pipeline.archive.executors.worker import LogLine, ProgressCall, Ready, Task, TaskEnded, WorkerEvent, WorkerSettings
from pipeline.archive.provenance import Sealed
from pipeline.errors import EngineError, OutputError
from pipeline.results import Failure
from pipeline.version import program_version

_PHOTOS = 8  # photographs per task
_PAUSE = 0.2
_PATIENCE = 20.0  # seconds for workers to end at once
_WAITING = 60.0

logger = logging.getLogger(__name__)


class Remote(Protocol):
    """A worker as seen by its driver; ``fence`` guards what it publishes."""

    fence: Path

    def begin(self, task: Task) -> None:
        """Start a task."""

    def stop(self, *, at_once: bool) -> None:
        """Tell it to start nothing more, or to end at once."""

    def kill(self) -> None:
        """Kill it, if it can be reached."""


R = TypeVar("R", bound=Remote)


class Pool(Protocol[R]):
    """A place where up to ``size`` workers can run."""

    size: int

    def start(self, settings: WorkerSettings, fence: Path) -> R:
        """Start a worker; it reports `Ready` later, if at all."""
        ...

    def wait(self, remotes: Collection[R], timeout: float) -> Iterable[tuple[R, list[WorkerEvent] | None]]:
        """Return the events of workers, waiting up to ``timeout`` seconds; None for a worker that died."""
        ...

    def settings(self, settings: WorkerSettings) -> WorkerSettings:
        """Return ``settings`` adapted to workers of this kind."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class PoolExecutor(Generic[R]):
    """Distributes units to the workers of ``pool``."""

    def __init__(self, context: RunContext, pool: Pool[R], *, network: str) -> None:
        self._context, self._pool = context, pool
        self._home = context.home
        until = context.stop.until
        self._settings = pool.settings(
            WorkerSettings(
                source=context.source.absolute(),
                output=context.output.absolute(),
                options=context.options,
                run_options=context.run_options,
                until=until.astimezone() if until is not None else None,
                level=logging.getLogger("pipeline").getEffectiveLevel(),
                cores=None,
                network=network,
                version=program_version(),
                lock=context.ledger.lock,
            )
        )
        self._starting: set[R] = set()
        self._idle: list[R] = []
        self._busy: dict[R, dict[Path, Unit]] = {}
        # Films with finished frames, which other workers may help with; and which worker was sent to help with which.
        self._under_way: set[str] | None = None
        self._helped: set[tuple[R, Path]] = set()
        self._deaths = 0
        self._stops_sent: set[tuple[R, bool]] = set()
        self._deadline: float | None = None

    def __enter__(self) -> Self:
        if not close_all_fences(self._home):
            raise OutputError(
                f"{self._home}: a worker of an earlier run is about to publish and makes no progress",
                advice="End that process, on whichever machine it runs, and run again.",
            )
        for _ in range(self._pool.size):
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for remote in [*self._starting, *self._idle, *self._busy]:
            remote.kill()
            close_fence(remote.fence, patience=0.0)
        self._pool.close()

    def photos(self, units: Iterator[Unit], *, replaces: bool) -> Generator[Outcome | None, None, None]:
        """Distribute photographs in groups that share batches."""

        def tasks() -> Iterator[Task]:
            while page := tuple(islice(units, _PHOTOS)):
                yield Task(page, is_film=False, replaces=replaces)

        yield from self._hand_out(tasks(), most=self._pool.size)

    def films(self, units: Iterator[Unit], *, alone: bool) -> Generator[Outcome | None, None, None]:
        """Distribute films, one per worker; workers without a film of their own help with others."""
        tasks = (Task((unit,), is_film=True, replaces=unit.replaces) for unit in units)
        self._under_way = None if alone else set()
        self._helped.clear()
        yield from self._hand_out(tasks, most=1 if alone else self._pool.size)
        self._under_way = None

    def _hand_out(self, tasks: Iterator[Task], *, most: int) -> Generator[Outcome | None, None, None]:
        is_all, waited = False, time.monotonic()
        while True:
            while not is_all and self._idle and len(self._busy) < most:
                task = next(tasks, None)
                if task is None:
                    is_all = True
                    break
                remote = self._idle.pop()
                self._busy[remote] = {unit.source: unit for unit in task.units}
                remote.begin(task)
            if is_all and self._under_way and not self._context.stop.is_made:
                self._help(self._under_way)
            if not self._busy and (is_all or self._context.stop.is_made):
                return
            if not self._busy and time.monotonic() - waited > _WAITING:
                self._context.reporter.say("no worker has started yet: waiting for free CPUs")
                waited = time.monotonic()
            self._pass_on_stop()
            for remote, events in self._pool.wait([*self._starting, *self._busy], _PAUSE):
                yield from self._lost(remote) if events is None else self._received(remote, events)

    def _help(self, under_way: Collection[str]) -> None:
        """Have idle workers help with films in progress, each once per film, films with the fewest helpers first."""
        units = [unit for units in self._busy.values() for unit in units.values()]
        films = [unit for unit in units if str(unit.source) in under_way]
        for remote in list(self._idle):
            offered = [unit for unit in films if (remote, unit.source) not in self._helped]
            if offered:
                unit = min(offered, key=lambda unit: sum(source == unit.source for _, source in self._helped))
                self._helped.add((remote, unit.source))
                self._idle.remove(remote)
                # If it dies, the lost work is still its owner's to do.
                self._busy[remote] = {}
                remote.begin(Task((unit,), is_film=True, replaces=unit.replaces, helps=True))

    def _start(self) -> None:
        self._starting.add(self._pool.start(self._settings, raise_fence(self._home)))

    def _received(self, remote: R, events: list[WorkerEvent]) -> Iterator[Outcome | None]:
        for event in events:
            if isinstance(event, Ready):
                self._starting.discard(remote)
                self._idle.append(remote)
            elif isinstance(event, ProgressCall):
                self._pass_on(event)
            elif isinstance(event, LogLine):
                logging.getLogger(event.name).log(event.level, "%s", event.text)
            elif isinstance(event, Failure | Sealed):
                self._deaths = 0
                self._busy[remote].pop(event.source)
                yield event
            elif isinstance(event, TaskEnded):
                left = self._busy.pop(remote)
                self._idle.append(remote)
                self._check(event)
                # Those without an outcome were stopped.
                yield from (None for _ in left)

    def _pass_on(self, event: ProgressCall) -> None:
        if event.method == "advance" and self._under_way is not None:
            self._under_way.add(str(event.arguments[0]))
        getattr(self._context.reporter, event.method)(*event.arguments)

    def _check(self, over: TaskEnded) -> None:
        """Let a disk error end the run cleanly; raise any other, which would affect every worker."""
        if isinstance(over.error, OutputError):
            self._context.stop.fail(over.error)
        elif over.error is not None:
            raise over.error

    def _lost(self, remote: R) -> Iterator[Outcome]:
        logger.warning("a worker was lost")
        remote.kill()
        self._starting.discard(remote)
        units = self._busy.pop(remote, {})
        is_safe = close_fence(remote.fence)
        self._deaths += 1
        if self._deaths > 3 * self._pool.size + 3:
            raise EngineError(
                f"workers die as soon as they start: {self._deaths} in a row",
                advice="See what --log-file says, and whether Autochrome is installed on all machines.",
            )
        if not self._context.stop.is_made:
            self._start()
        for unit in units.values():
            self._context.reporter.say(f"{unit.source}: its worker was lost; it is done again")
            yield Lost(unit.source, is_safe=is_safe)

    def _pass_on_stop(self) -> None:
        stop = self._context.stop
        if not stop.is_made:
            return
        for remote in self._busy:
            if (remote, stop.is_at_once) not in self._stops_sent:
                self._stops_sent.add((remote, stop.is_at_once))
                remote.stop(at_once=stop.is_at_once)
        if stop.is_at_once:
            self._deadline = self._deadline or time.monotonic() + _PATIENCE
            if time.monotonic() > self._deadline:
                for remote in self._busy:
                    remote.kill()
