"""A whole archive: ``python -m benchmarks.archive --photos 20000`` colours synthetic photographs, then runs again.

It prints the memory at each tenth of the work, the share of time spent in the ledger, and the duration of the second
run, which finds everything done. The photographs are tiny and so is the network, with random weights, so that whatever
does not grow with the pictures dominates. Each run is a separate process.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.memory import peak_megabytes
from pipeline.archive import run as runs
from pipeline.archive.ledger import Ledger
from pipeline.archive.processing import WHOLE
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.options import Options
from pipeline.process import prepare_process
from pipeline.progress import Silent
from tests.engines.tiny import write_tiny_model

_SIDE = 96
_IN_A_FOLDER = 500
_LEDGER = (
    *("plan", "claim", "begin", "release", "put_off", "publish_snapshot", "done", "seal", "failed", "update_stats"),
    *("forget", "left", "counts", "get", "runs", "begin_run", "end_run", "heaviest", "suspects", "_rows"),
)


class Clock:
    """Adds up the time spent in methods, however they are nested, and in any thread."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = threading.local()

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function``, timed."""

        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            if getattr(self._inside, "is_it", False):
                return function(*arguments, **options)
            self._inside.is_it, started = True, time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - started
                self._inside.is_it = False

        return call


class Sampler(Silent):
    """Samples this process's memory at each tenth of the work, and the time when the work begins."""

    def __init__(self) -> None:
        self.megabytes: list[float] = []
        self._total = self._done = 0

    def begin(self, item: str, total: int | None, unit: str) -> None:  # noqa: ARG002 - all are items
        """Store the amount of work."""
        if item == WHOLE and total:
            self._total = total
            self.megabytes.append(resident_megabytes())

    def advance(self, item: str, count: int = 1) -> None:
        """Sample the memory when another tenth is done."""
        if item == WHOLE:
            before, self._done = self._done, self._done + count
            if before * 10 // self._total != self._done * 10 // self._total:
                self.megabytes.append(resident_megabytes())


def resident_megabytes() -> float:
    """Return this process's current memory, in MB of 10^6 bytes; Linux only."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def make(folder: Path, count: int) -> None:
    """Write ``count`` grey photographs, all different, in folders of five hundred."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32)
    for number in range(count):
        box = folder / f"box{number // _IN_A_FOLDER:04}"
        box.mkdir(exist_ok=True, parents=True)
        scale, shift = rng.uniform(5, 40), rng.uniform(0, 100)
        wave = 128 + 90 * np.sin((columns + shift) / scale) * np.cos(rows / scale)
        Image.fromarray(wave.astype(np.uint8)).save(box / f"scan{number:06}.jpg", quality=90)


def colour(source: Path, output: Path, model: Path) -> dict[str, Any]:
    """Run once in this process and return the measurements."""
    ledger, report, sampler = Clock(), Clock(), Sampler()
    for name in _LEDGER:
        setattr(Ledger, name, ledger.timed(getattr(Ledger, name)))
    vars(runs)["write_report"] = report.timed(vars(runs)["write_report"])
    result = colorize_archive(
        source,
        output,
        Options(engine="onnxruntime", model=str(model)),
        run_options=RunOptions(keep_free=0),
        progress=sampler,
    )
    return {
        "done": result.photos,
        "skipped": result.skipped,
        "failed": result.failed,
        "seconds": result.seconds + report.seconds,
        "ledger": ledger.seconds,
        "report": report.seconds,
        "megabytes": sampler.megabytes,
        "peak": peak_megabytes(),
    }


def main() -> None:
    """Make an archive and run over it twice."""
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--run", nargs=3, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        _say(json.dumps(colour(*args.run)))
        return
    with tempfile.TemporaryDirectory() as whole:
        folder = Path(whole)
        make(folder / "scans", args.photos)
        paths = (folder / "scans", folder / "out", write_tiny_model(folder))
        for title in ("first run", "second run"):
            _tell(title, _ourselves("--run", *map(str, paths)))
        size = (folder / "out" / ".autochrome" / "ledger.sqlite3").stat().st_size
        _say(f"ledger: {size / 1e6:.1f} MB, {size / args.photos:.0f} bytes a photograph")


def _tell(title: str, found: dict[str, Any]) -> None:
    seconds, rest = found["seconds"], found["seconds"] - found["report"]
    _say(f"{title}: {found['done']:,} done, {found['skipped']:,} skipped, {found['failed']:,} failed")
    _say(f"  {seconds:.1f} s in all, of which the report {found['report']:.1f} s")
    _say(f"  ledger: {found['ledger']:.2f} s, {100 * found['ledger'] / rest:.1f} % of the rest")
    _say(f"  peak {found['peak']:.0f} MB; at each tenth: {', '.join(f'{one:.0f}' for one in found['megabytes'])}")


def _ourselves(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.archive", *arguments]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
