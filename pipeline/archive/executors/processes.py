"""Workers in processes on this machine."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Collection, Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from engines.machine import usable_cores
from pipeline.archive.executors.worker import Task, Worker, WorkerEvent, WorkerSettings
from pipeline.process import prepare_process
from pipeline.stages import aside

_PAUSE = 0.5
_GONE = (EOFError, OSError)
_Line = Any
"""A Connection of multiprocessing; on Windows a PipeConnection, which is not a subclass of it."""


class ProcessPool:
    """``size`` processes, by default one per usable core; the cores are divided among them."""

    def __init__(self, size: int | None) -> None:
        self.size = size or usable_cores()
        # Not fork: the child would inherit locks, but not the threads that hold them.
        self._context = get_context("spawn")

    def settings(self, settings: WorkerSettings) -> WorkerSettings:
        """Return ``settings`` with each process's share of the cores."""
        return dataclasses.replace(settings, cores=max(1, usable_cores() // self.size))

    def start(self, settings: WorkerSettings, fence: Path) -> LocalWorker:
        """Start a process."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, settings, fence), daemon=True)
        process.start()
        theirs.close()
        return LocalWorker(process, ours, fence)

    def wait(
        self, remotes: Collection[LocalWorker], timeout: float
    ) -> Iterator[tuple[LocalWorker, list[WorkerEvent] | None]]:
        """Yield the events of processes; None for one that died."""
        by_line = {remote.line: remote for remote in remotes}
        for line in wait(list(by_line), timeout):
            remote = by_line[line]
            try:
                yield remote, remote.line.recv()
            except _GONE:
                yield remote, None

    def close(self) -> None:
        """Do nothing: the processes have already ended."""


class LocalWorker:
    """One process and the connection to it."""

    def __init__(self, process: Any, line: _Line, fence: Path) -> None:
        self.process, self.line, self.fence = process, line, fence

    def begin(self, task: Task) -> None:
        """Start a task."""
        with suppress(*_GONE):
            self.line.send(task)

    def stop(self, *, at_once: bool) -> None:
        """Tell it to stop."""
        with suppress(*_GONE):
            self.line.send(at_once)

    def kill(self) -> None:
        """Kill it and wait until it is dead."""
        self.process.kill()
        self.process.join()
        self.line.close()


def _serve(line: _Line, settings: WorkerSettings, fence: Path) -> None:
    # The driver decides when to stop; a terminal signals all its processes at once.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    prepare_process()
    worker = Worker(settings, fence)
    aside(lambda: _listen(line, worker), name="listen")
    while True:
        events = worker.poll(_PAUSE)
        if events:
            try:
                line.send(events)
            except _GONE:
                os._exit(1)


def _listen(line: _Line, worker: Worker) -> None:
    try:
        while True:
            message = line.recv()
            if isinstance(message, Task):
                worker.begin(message)
            else:
                worker.stop(at_once=bool(message))
    except _GONE:
        # The driver died: nobody would receive the results.
        os._exit(1)
