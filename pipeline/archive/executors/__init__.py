"""Where work items are coloured: an executor takes units, yields what became of each, and ends when the run does.

An executor knows nothing of the ledger, the log or the report. Which one ``--on`` names says `executor_for`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from pipeline.archive.context import RunContext
from pipeline.archive.provenance import Sealed
from pipeline.archive.run_options import THREADS
from pipeline.color.colorizer import Colorizer
from pipeline.errors import UsageError
from pipeline.results import Failure, FilmResult, PhotoResult


@dataclass(frozen=True)
class Lost:
    """What became of a unit is not known: its worker was lost, and there may be a result.

    Where it ``is_safe`` the worker publishes nothing more, and the unit can be done again.
    """

    source: Path
    is_safe: bool


Outcome: TypeAlias = PhotoResult | FilmResult | Failure | Sealed | Lost


@dataclass(frozen=True, kw_only=True)
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


def executor_for(context: RunContext, colorizer: Colorizer | None, *, network: str) -> Executor:
    """Return the executor that the run asks for; ``colorizer`` can be lent to threads only.

    ``network`` is the fingerprint of the one that the run was planned with; no other is used. Raises
    `UsageError`, or what an executor raises that has no place to work.
    """
    on = context.run_options.on
    name = _RAY if on.startswith(_RAY_ADDRESS) else on
    if name not in _EXECUTORS:
        raise UsageError(
            f"{on}: no such place to work on", advice=f"Choose {', '.join(_EXECUTORS)} or {_RAY_ADDRESS}HOST."
        )
    if colorizer is not None and context.run_options.uses_other_processes:
        raise UsageError("an engine that is open here cannot be lent to other processes", advice="Leave it out.")
    return _EXECUTORS[name](context, colorizer, network)


def _threads(context: RunContext, colorizer: Colorizer | None, network: str) -> Executor:
    from pipeline.archive.executors.threads import ThreadExecutor

    return ThreadExecutor(context, colorizer, network=network, progress=context.reporter, stop=context.stop)


def _processes(context: RunContext, _colorizer: Colorizer | None, network: str) -> Executor:
    from pipeline.archive.executors.pool import PoolExecutor
    from pipeline.archive.executors.processes import ProcessPool

    return PoolExecutor(context, ProcessPool(context.run_options.workers), network=network)


def _ray(context: RunContext, _colorizer: Colorizer | None, network: str) -> Executor:
    from pipeline.archive.executors.pool import PoolExecutor
    from pipeline.archive.executors.ray_cluster import RayPool

    on = context.run_options.on
    return PoolExecutor(context, RayPool(None if on == _RAY else on, context.run_options.workers), network=network)


_RAY, _RAY_ADDRESS = "ray", "ray://"
_EXECUTORS: Mapping[str, Callable[[RunContext, Colorizer | None, str], Executor]] = {
    THREADS: _threads,
    "processes": _processes,
    _RAY: _ray,
}
