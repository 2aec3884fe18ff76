"""Where work items are coloured; `executor_for` returns the executor that ``--on`` names.

An executor (`base`) knows nothing of the ledger, the log or the report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipeline.archive.context import RunContext
from pipeline.archive.executors.base import Executor, Lost, Outcome, Unit
from pipeline.archive.run_options import THREADS
from pipeline.color.colorizer import Colorizer
from pipeline.errors import UsageError

__all__ = ["Executor", "Lost", "Outcome", "Unit", "executor_for"]


def executor_for(context: RunContext, colorizer: Colorizer | None, *, network: str) -> Executor:
    """Return the executor that the run asks for; ``colorizer`` can only be used by threads.

    ``network`` is the fingerprint that the run was planned with; no other network is used. Raises `UsageError`, or the
    errors of an executor that has nowhere to run.
    """
    on = context.run_options.on
    name = _RAY if on.startswith(_RAY_ADDRESS) else on
    if name not in _EXECUTORS:
        raise UsageError(f"{on}: no such executor", advice=f"Choose {', '.join(_EXECUTORS)} or {_RAY_ADDRESS}HOST.")
    if colorizer is not None and context.run_options.uses_other_processes:
        raise UsageError("an open engine cannot be passed to other processes", advice="Leave it out.")
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
