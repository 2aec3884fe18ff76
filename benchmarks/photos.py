"""The cost of a photograph: ``python -m benchmarks.photos [PHOTO...]`` prints the table of docs/performance.md.

The whole process, file to file, for one photograph and for eight, is timed in alternation with decoding the scan and
encoding a colour picture of the same size and quality, which any program must do. Without arguments, grainy grey
photographs of 12 megapixels are made, one of each format.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from benchmarks.speed import Timed
from engines.machine import cpu_name, usable_cores
from pipeline.color.colorizer import open_colorizer
from pipeline.options import Options
from pipeline.photo.job import PhotoJob, colorize_photos
from pipeline.photo.one import colorize_photo
from pipeline.process import prepare_process

_WIDTH, _HEIGHT = 4000, 3000
_GRAIN = 5.0
_MANY = 8


def make(folder: Path) -> list[Path]:
    """Write grey photographs with grain: a JPEG, an 8-bit TIFF and a PNG."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(128, 60, (_HEIGHT // 100, _WIDTH // 100)).astype(np.float32)
    smooth = np.asarray(cv2.resize(coarse, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC), np.float32)
    codes = np.clip(smooth + rng.normal(0, _GRAIN, smooth.shape), 0, 255).astype(np.uint8)
    picture = Image.fromarray(codes)
    paths = [folder / "scan.jpg", folder / "scan.tif", folder / "scan.png"]
    picture.save(paths[0], quality=92)
    picture.save(paths[1], compression="tiff_lzw")
    picture.save(paths[2])
    return paths


def measure(photo: Path, folder: Path, *, rounds: int) -> dict[str, Timed]:
    """Return the times of decoding, of encoding the result's picture, and of the whole process for one and eight."""
    results = [folder / f"coloured-{number}-{photo.name}" for number in range(_MANY)]
    options = replace(Options(), overwrite=True)
    with open_colorizer(options) as colorizer:
        colour = partial(colorize_photo, photo, results[0], options, colorizer=colorizer)
        colour()
        with Image.open(results[0]) as coloured:
            coloured.load()
            picture, kind, how = coloured.copy(), coloured.format, _settings(coloured)
        jobs = [PhotoJob(photo, result) for result in results]
        ways: dict[str, Callable[[], object]] = {
            "decode": lambda: Image.open(photo).load(),
            "encode": lambda: picture.save(BytesIO(), kind, **how),
            "one": colour,
            "many": lambda: list(colorize_photos(jobs, colorizer=colorizer, options=options)),
        }
        timed = {name: Timed() for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                timed[name].run(way)
    return timed


def _settings(coloured: Image.Image) -> dict[str, Any]:
    if isinstance(coloured, JpegImageFile):
        return {"qtables": coloured.quantization, "subsampling": 0}
    return {"compression": coloured.info["compression"]} if coloured.format == "TIFF" else {}


def table(timed: dict[str, dict[str, Timed]]) -> str:
    """Return a Markdown table of medians in ms per photograph; ratios are taken round by round."""
    rows = [
        "| | decode ms | encode ms | one alone ms | CPU ms | times decode + encode | one of many ms | CPU ms | times |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, ways in timed.items():
        wall = {way: 1000 * np.array(times.wall) for way, times in ways.items()}
        cpu = {way: 1000 * float(np.median(times.cpu)) for way, times in ways.items()}
        wall["many"], cpu["many"] = wall["many"] / _MANY, cpu["many"] / _MANY
        plain = wall["decode"] + wall["encode"]
        cells = [f"{float(np.median(wall[way])):.0f}" for way in ("decode", "encode")]
        for way in ("one", "many"):
            ratio = float(np.median(wall[way] / plain))
            cells += [f"{float(np.median(wall[way])):.0f}", f"{cpu[way]:.0f}", f"{ratio:.2f}"]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Print the table."""
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    print(f"{cpu_name()}, {usable_cores()} cores; medians of {args.rounds} rounds, {time.strftime('%d %B %Y')}\n")
    with tempfile.TemporaryDirectory() as folder:
        photos = args.photos or make(Path(folder))
        print(table({photo.name: measure(photo, Path(folder), rounds=args.rounds) for photo in photos}))


if __name__ == "__main__":
    main()
