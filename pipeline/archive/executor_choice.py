"""Which executor ``--on`` names: the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipeline.archive.context import RunContext
from pipeline.archive.executors import Executor, ThreadExecutor
from pipeline.archive.run_options import RunOptions
from pipeline.color.colorizer import Colorizer
from pipeline.errors import UsageError

THREADS, PROCESSES, RAY = "threads", "processes", "ray"
RAY_ADDRESS = "ray://"


def is_elsewhere(run_options: RunOptions) -> bool:
    """Whether items are coloured in other processes than the driver."""
    return run_options.on != THREADS


def executor_for(context: RunContext, colorizer: Colorizer | None) -> Executor:
    """Return the executor that the run asks for. Raises `UsageError`, or what the executor raises that has no place."""
    name = RAY if context.run_options.on.startswith(RAY_ADDRESS) else context.run_options.on
    if name == THREADS:
        return ThreadExecutor(context, colorizer)
    if colorizer is not None:
        raise UsageError("an engine that is open here cannot be lent to other processes", advice="Leave it out.")
    if name not in _ELSEWHERE:
        raise UsageError(f"{name}: no such place to work on", advice=f"Choose {PROCESSES}, {RAY} or {RAY_ADDRESS}HOST.")
    return _ELSEWHERE[name](context)


def _processes(context: RunContext) -> Executor:
    from pipeline.archive.pool_executor import PoolExecutor
    from pipeline.archive.processes import ProcessPool

    return PoolExecutor(context, ProcessPool(context.run_options.workers))


def _ray(context: RunContext) -> Executor:
    from pipeline.archive.on_ray import RayPool
    from pipeline.archive.pool_executor import PoolExecutor

    on = context.run_options.on
    return PoolExecutor(context, RayPool(on if on.startswith(RAY_ADDRESS) else None, context.run_options.workers))


_ELSEWHERE: Mapping[str, Callable[[RunContext], Executor]] = {PROCESSES: _processes, RAY: _ray}
