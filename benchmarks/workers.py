"""JPEG scans by threads, by processes and by Ray: ``python -m benchmarks.workers FOLDER --count 24 --workers 2``.

FOLDER holds JPEG files, which are coloured repeatedly under other names until there are ``--count``. It prints wall and
CPU seconds per photograph without the start of program and engine, which is determined by a run over two. For Ray, if
installed, a cluster of one node is started, and driver and workers count, but not the cluster's own processes, whose
CPU time depends on time and not on photographs. Linux only.

``python -m benchmarks.workers FILM`` colours one film by one process and by several, and prints wall and CPU seconds of
each, including start-up: if other programs run on the machine, two processes get more of it than one, and only CPU
counts. Only a film of more than twice ``--segment-frames`` is shared.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from pipeline.archive.processing import WHOLE
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.options import SEGMENT_FRAMES
from pipeline.process import prepare_process
from pipeline.progress import Silent

_FEW = 2


def main() -> None:
    """Colour with each executor, each time in a separate process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER|FILM")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--segment-frames", type=int, default=SEGMENT_FRAMES)
    parser.add_argument("--on", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.on:
        prepare_process()
        workers = None if args.on == "threads" else args.workers
        options = RunOptions(keep_free=0, report=False, on=args.on, workers=workers, segment_frames=args.segment_frames)
        clock = _RayWorkers()
        with _cluster(args.workers) if args.on == "ray" else nullcontext():
            colorize_archive(args.folder / "in", args.folder / "out", run_options=options, progress=clock)
        own = resource.getrusage(resource.RUSAGE_SELF)
        sys.stdout.write(json.dumps({"cpu": own.ru_utime + own.ru_stime + clock.cpu}) + "\n")
        return
    if args.folder.is_file():
        for workers in (1, args.workers):
            wall, cpu = _measured("processes", [args.folder], 1, workers, args.segment_frames)
            sys.stdout.write(f"{workers} processes: {wall:.1f} s, {cpu:.1f} s of CPU\n")
            sys.stdout.flush()
        return
    sources = sorted(args.folder.rglob("*.jp*g"))
    ray = ("ray",) if importlib.util.find_spec("ray") else ()
    for on in ("threads", "processes", *ray):
        few, many = (_measured(on, sources, count, args.workers) for count in (_FEW, _FEW + args.count))
        wall, cpu = ((after - before) / args.count for before, after in zip(few, many, strict=True))
        sys.stdout.write(
            f"{on}: {1000 * wall:.0f} ms, {cpu:.3f} s of CPU a photograph; "
            f"start: {few[0]:.1f} s, {few[1]:.1f} s of CPU\n"
        )
        sys.stdout.flush()


def _measured(
    on: str, sources: list[Path], count: int, workers: int, segment_frames: int = SEGMENT_FRAMES
) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as whole:
        folder = Path(whole)
        (folder / "in").mkdir()
        for number, source in enumerate(islice(cycle(sources), count)):
            shutil.copyfile(source, folder / "in" / f"{number:05}{source.suffix}")
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [sys.executable, "-m", "benchmarks.workers", str(folder), "--on", on, "--workers", str(workers)]
        command += ["--segment-frames", str(segment_frames)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        wall, used = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        return wall, json.loads(done.stdout.splitlines()[-1])["cpu"] if on == "ray" else cpu


class _RayWorkers(Silent):
    """Records the CPU time used by Ray's workers when the last item is done."""

    cpu = 0.0

    def advance(self, item: str, count: int = 1) -> None:
        del count
        if item == WHOLE:
            self.cpu = sum(_cpu_of(path) for path in Path("/proc").glob("[0-9]*"))


def _cpu_of(process: Path) -> float:
    """Return the CPU seconds of a Ray worker; 0 for other processes, and those that are gone."""
    try:
        if not (process / "cmdline").read_bytes().startswith(b"ray::Actor"):
            return 0.0
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _cluster(cpus: int) -> Iterator[None]:
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus, "object_store_memory": 80 << 20})
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
