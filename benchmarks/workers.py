"""JPEG scans by threads and by processes: ``python -m benchmarks.workers FOLDER --count 24 --workers 2``.

FOLDER holds JPEG files, which are coloured again and again under other names until there are ``--count``. Printed are
wall and CPU seconds a photograph without the start of program and engine, which is told apart by a run over two.

``python -m benchmarks.workers FILM`` colours one film by one process and by several, and prints wall and CPU seconds of
each, start and all: where other programs run on the machine, two processes get more of it than one, and CPU alone
counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.process import prepare_process

_FEW = 2


def main() -> None:
    """Colour by each executor, each time in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER|FILM")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--on", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.on:
        prepare_process()
        workers = None if asked.on == "threads" else asked.workers
        options = RunOptions(keep_free=0, report=False, on=asked.on, workers=workers)
        result = colorize_archive(asked.folder / "in", asked.folder / f"out-{asked.on}", run_options=options)
        sys.stdout.write(json.dumps({"done": result.photos + result.films + result.kept}) + "\n")
        return
    if asked.folder.is_file():
        for workers in (1, asked.workers):
            wall, cpu = _measured("processes", [asked.folder], 1, workers)
            sys.stdout.write(f"{workers} processes: {wall:.1f} s, {cpu:.1f} s of CPU\n")
            sys.stdout.flush()
        return
    sources = sorted(asked.folder.rglob("*.jp*g"))
    for on in ("threads", "processes"):
        few, many = (_measured(on, sources, count, asked.workers) for count in (_FEW, _FEW + asked.count))
        wall, cpu = ((after - before) / asked.count for before, after in zip(few, many, strict=True))
        sys.stdout.write(
            f"{on}: {1000 * wall:.0f} ms, {cpu:.3f} s of CPU a photograph; "
            f"start: {few[0]:.1f} s, {few[1]:.1f} s of CPU\n"
        )
        sys.stdout.flush()


def _measured(on: str, sources: list[Path], count: int, workers: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as whole:
        folder = Path(whole)
        (folder / "in").mkdir()
        for number, source in enumerate(islice(cycle(sources), count)):
            shutil.copyfile(source, folder / "in" / f"{number:05}{source.suffix}")
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [sys.executable, "-m", "benchmarks.workers", str(folder), "--on", on, "--workers", str(workers)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        return time.monotonic() - started, cpu


if __name__ == "__main__":
    main()
