"""Workers on a Ray cluster (https://docs.ray.io): actors, one per CPU, on any machines.

All machines see the same folders under the same names and have Autochrome installed. Ray detects lost machines and
processes; the fence of `pipeline.archive.executors.fence` handles those that it considers lost but are alive.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.archive.executors.worker import Task, Worker, WorkerEvent, WorkerSettings
from pipeline.errors import EngineError, MissingDependencyError
from pipeline.process import prepare_process
from pipeline.version import DISTRIBUTION

_POLL = 1.0


class Actor:
    """A `Worker` in a Ray process; its methods are called from several threads."""

    def __init__(self, settings: WorkerSettings, fence: str) -> None:
        prepare_process()
        self._worker = Worker(settings, Path(fence))

    def begin(self, task: Task) -> None:
        """Start a task."""
        self._worker.begin(task)

    def stop(self, at_once: bool) -> None:
        """Stop, cleanly or at once."""
        self._worker.stop(at_once=at_once)

    def poll(self) -> list[WorkerEvent]:
        """Return the events since the last call."""
        return self._worker.poll(_POLL)


class RayPool:
    """The cluster at ``address``, or the one that this machine is part of; ``size`` workers, or one per CPU."""

    def __init__(self, address: str | None, size: int | None) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError(
                "Ray is not installed", advice=f"Install it: pip install '{DISTRIBUTION}[ray]'"
            ) from error
        self._ray: Any = ray
        try:
            ray.init(address=address or "auto", log_to_driver=False, configure_logging=False, ignore_reinit_error=True)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise EngineError(
                f"{address or 'ray'}: no Ray cluster answers: {str(error).splitlines()[0]}",
                advice="Start one with: ray start --head. If it has a token, set RAY_AUTH_TOKEN.",
            ) from error
        self.size = size or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._polls: dict[Any, RayWorker] = {}

    def settings(self, settings: WorkerSettings) -> WorkerSettings:
        """Return ``settings`` with the one core that an actor requests."""
        return replace(settings, cores=1)

    def start(self, settings: WorkerSettings, fence: Path) -> RayWorker:
        """Start an actor; it waits until a CPU is free."""
        made = self._ray.remote(Actor).options(
            num_cpus=1, max_concurrency=4, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
        )
        return RayWorker(self._ray, made.remote(settings, str(fence)), fence)

    def wait(
        self, remotes: Collection[RayWorker], timeout: float
    ) -> Iterator[tuple[RayWorker, list[WorkerEvent] | None]]:
        """Yield the events of actors; None for one that died, or whose machine did."""
        for remote in remotes:
            if remote not in self._polls.values():
                self._polls[remote.actor.poll.remote()] = remote
        wanted = [poll for poll, remote in self._polls.items() if remote in remotes]
        if not wanted:
            time.sleep(timeout)
            return
        self._ray.wait(wanted, num_returns=1, timeout=timeout)
        ready, _ = self._ray.wait(wanted, num_returns=len(wanted), timeout=0)
        for poll in ready:
            remote = self._polls.pop(poll)
            try:
                yield remote, self._ray.get(poll)
            except self._ray.exceptions.RayError:
                yield remote, None

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()


class RayWorker:
    """One actor."""

    def __init__(self, ray: Any, actor: Any, fence: Path) -> None:
        self._ray, self.actor, self.fence = ray, actor, fence

    def begin(self, task: Task) -> None:
        """Start a task."""
        self.actor.begin.remote(task)

    def stop(self, *, at_once: bool) -> None:
        """Tell it to stop."""
        self.actor.stop.remote(at_once)

    def kill(self) -> None:
        """Kill it, if it can be reached."""
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(self.actor, no_restart=True)
