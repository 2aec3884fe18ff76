"""Speed on a GPU, by one command: ``python -m benchmarks.gpu --output FOLDER`` writes gpu.json and gpu.md.

It measures the network alone by batch (including copies to the GPU and back), other colourisers' networks with random
weights in the same engines, and whole runs of `colorize_video` on synthetic films with the share of time in which the
GPU was idle. ``--rehearse`` runs all of it at toy sizes, on any hardware.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.memory import make
from benchmarks.rivals import export_rivals
from engines.base import Setup
from engines.cache import cache_folder
from engines.errors import AutochromeError
from engines.machine import cpu_name, usable_cores
from engines.network import Network
from engines.networks import open_network
from engines.weights import known_weights
from pipeline.color.colorizer import open_colorizer
from pipeline.film.job import colorize_video
from pipeline.options import Options

# Model input of a 4 : 3 film.
_SHAPE = (160, 224)
_WINDOWS = 5


@dataclass(frozen=True)
class Plan:
    """How much to measure; a rehearsal measures little."""

    engines: tuple[str, ...] = ("tensorrt", "onnxruntime", "openvino")
    models: tuple[str, ...] = field(default_factory=known_weights)
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    shape: tuple[int, int] = _SHAPE
    rivals: bool = True
    window: float = 0.5
    films: tuple[tuple[int, int], ...] = ((854, 480), (1920, 1080))
    seconds: int = 30


REHEARSAL = Plan(
    engines=("tensorrt", "onnxruntime", "openvino"),
    batches=(1, 3),
    shape=(64, 96),
    rivals=False,
    window=0.05,
    films=((320, 240),),
    seconds=1,
)


@dataclass(frozen=True)
class Rate:
    """Pictures per second of a network alone: the median of windows, and the slowest and fastest of them."""

    what: str
    on: str
    batch: int
    height: int
    width: int
    median: float
    slowest: float
    fastest: float


@dataclass(frozen=True)
class Run:
    """A whole film: ``start`` seconds to open the engine, then ``seconds`` for the film, with its ``cpu`` seconds.

    ``idle`` is the share of the film's time in which the GPU was idle, None if unknown.
    """

    width: int
    height: int
    frames: int
    on: str
    model: str
    start: float
    seconds: float
    cpu: float
    idle: float | None


@dataclass
class Report:
    """All measurements, and why others are missing."""

    machine: dict[str, str]
    rates: list[Rate] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def measure(plan: Plan, say: Callable[[str], None]) -> Report:
    """Carry out the measurements of ``plan``; an unavailable engine is named in the report, and stops nothing."""
    report = Report(machine())
    for model in plan.models:
        for engine in plan.engines:
            with _left_out(report, f"{model} on {engine}", say):
                report.rates += _engine_rates(plan, engine, model, say)
    with tempfile.TemporaryDirectory() as folder:
        rivals: list[Path] = []
        with _left_out(report, "other colourisers", say):
            rivals = export_rivals(Path(folder), narrow=1 if plan.rivals else 8)
        for rival in rivals:
            for engine in plan.engines:
                with _left_out(report, f"{rival.stem} on {engine}", say):
                    report.rates += _engine_rates(plan, engine, str(rival), say)
        for width, height in plan.films:
            film = Path(folder, f"{height}.mp4")
            make(film, seconds=plan.seconds, width=width, height=height)
            for engine in plan.engines:
                for model in plan.models:
                    with _left_out(report, f"{height}p, {model} on {engine}", say):
                        report.runs.append(_whole_run(film, (width, height), engine, model))
    return report


@contextmanager
def _left_out(report: Report, what: str, say: Callable[[str], None]) -> Iterator[None]:
    say(what)
    try:
        yield
    except (AutochromeError, ImportError) as error:
        report.left_out.append(f"{what}: {error}")


def _engine_rates(plan: Plan, name: str, model: str, say: Callable[[str], None]) -> Iterator[Rate]:
    network, _ = open_network(name, model, setup=Setup(cache=cache_folder(), say=say))
    try:
        spec = network.spec
        on = f"{spec.runtime}, {spec.precision}, {spec.device}"
        height, width = plan.shape
        shape = spec.size.shape(min(height, spec.size.photo), width=width, height=height)
        for batch in (one for one in plan.batches if one <= spec.max_batch):
            yield _rate(spec.model, on, network, batch, shape, plan.window)
    finally:
        network.close()


def _rate(what: str, on: str, network: Network, batch: int, shape: tuple[int, int], window: float) -> Rate:
    pictures = np.random.default_rng(0).uniform(0, 100, (batch, 1, *shape)).astype(np.float32)
    for _ in range(3):
        network.predict(pictures)
    rates = []
    for _ in range(_WINDOWS):
        done, start = 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < window or not done:
            network.predict(pictures)
            done += batch
        rates.append(done / passed if passed > 0 else 0.0)
    return Rate(what, on, batch, *shape, statistics.median(rates), min(rates), max(rates))


def _whole_run(film: Path, size: tuple[int, int], engine: str, model: str) -> Run:
    options = Options(engine=engine, model=model, overwrite=True)
    opening = time.perf_counter()
    with open_colorizer(options) as colorizer:
        start = time.perf_counter()
        before = sum(os.times()[:4])
        with _gpu_use() as use:
            result = colorize_video(film, film.with_name("coloured.mp4"), options, colorizer=colorizer)
        seconds = time.perf_counter() - start
        return Run(
            *size,
            frames=result.frames,
            on=f"{colorizer.spec.runtime}, {colorizer.spec.precision}",
            model=model,
            start=start - opening,
            seconds=seconds,
            cpu=sum(os.times()[:4]) - before,
            idle=1 - statistics.mean(use) / 100 if use else None,
        )


@contextmanager
def _gpu_use() -> Iterator[list[float]]:
    """Fill the yielded list, at the end, with the GPU's use in percent, sampled five times a second by nvidia-smi."""
    samples: list[float] = []
    program = shutil.which("nvidia-smi")
    if program is None:
        yield samples
        return
    ask = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0", "-lms", "200"]
    with subprocess.Popen([program, *ask], stdout=subprocess.PIPE, text=True) as sampler:
        try:
            yield samples
        finally:
            sampler.terminate()
            output, _ = sampler.communicate()
            samples += [float(line) for line in output.splitlines() if line.strip().isdigit()]


def machine() -> dict[str, str]:
    """Return a description of the current machine."""
    found = {"processor": cpu_name(), "cores": str(usable_cores()), "Python": platform.python_version()}
    program = shutil.which("nvidia-smi")
    if program is None:
        return {**found, "GPU": "none"}
    ask = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    output = subprocess.run([program, *ask], capture_output=True, text=True, check=False).stdout.strip()
    return {**found, "GPU": output or "nvidia-smi gives no answer"}


def markdown(report: Report) -> str:
    """Return the report as tables."""
    lines = ["; ".join(f"{name}: {value}" for name, value in report.machine.items()), ""]
    lines += ["| network | on | input | batch | pictures/s | slowest to fastest |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {one.what} | {one.on} | {one.width} x {one.height} | {one.batch} | {one.median:.1f} "
        f"| {one.slowest:.1f} to {one.fastest:.1f} |"
        for one in report.rates
    ]
    lines += [
        "",
        "| film | model | on | frames/s | CPU s a frame | GPU idle | start |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.width} x {one.height}, {one.frames} frames | {one.model} | {one.on} | {one.frames / one.seconds:.1f} "
        f"| {one.cpu / one.frames:.4f} | {'unknown' if one.idle is None else f'{one.idle:.0%}'} | {one.start:.2f} s |"
        for one in report.runs
    ]
    if report.left_out:
        lines += ["", "Not measured:", "", *(f"- {line}" for line in report.left_out)]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(), help="folder for gpu.json and gpu.md")
    parser.add_argument("--rehearse", action="store_true", help="toy sizes, to see that all of it runs")
    parser.add_argument("--models", nargs="+", help="names or paths; all that are installed unless given")
    parser.add_argument("--engines", nargs="+", help="names; tensorrt, onnxruntime and openvino unless given")
    args = parser.parse_args(arguments)
    plan = REHEARSAL if args.rehearse else Plan()
    plan = replace(plan, models=tuple(args.models or plan.models), engines=tuple(args.engines or plan.engines))
    report = measure(plan, lambda line: print(line, file=sys.stderr, flush=True))
    tables = markdown(report)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "gpu.json").write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    (args.output / "gpu.md").write_text(tables, encoding="utf-8")
    print(tables)


if __name__ == "__main__":
    main()
