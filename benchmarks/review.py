"""The cost of a click on the review page: ``python -m benchmarks.review PHOTO...`` prints a table.

Each of 20 clicks adds a colour to a photograph, and the page requests the new picture at screen size; timed from the
request to its JPEG, in this process. CPU time is the relevant figure on a busy machine.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from engines.machine import cpu_name, usable_cores
from pipeline.color.colorizer import open_colorizer
from pipeline.corrections import Correction
from pipeline.options import Hint, Options, TreatAs
from pipeline.process import prepare_process
from pipeline.review.catalogue import PHOTO, FileCatalogue
from pipeline.review.studio import Place, Studio

_CLICKS = 20
_COLORS = ("#3A5FCD", "#C8201E", "#0E8C2A", "#E8C39E", "neutral")


def clicks(studio: Studio, catalogue: FileCatalogue, name: str) -> tuple[list[float], list[float]]:
    """Return the wall and CPU time in seconds of each click on the photograph ``name``, once it is open."""
    item, place, rng = catalogue.find(name), Place(), np.random.default_rng(0)
    studio.after(item, place, Correction(treat_as=TreatAs.MONOCHROME))
    wall, cpu, hints = [], [], list[Hint]()
    for number in range(_CLICKS):
        x, y = rng.random(2)
        hints.append(Hint(x=float(x), y=float(y), color=_COLORS[number % len(_COLORS)]))
        correction = Correction(hints=tuple(hints), treat_as=TreatAs.MONOCHROME)
        begun, used = time.perf_counter(), time.process_time()
        studio.after(item, place, correction)
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
    return wall, cpu


def main() -> None:
    """Print the table."""
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    photos = parser.parse_args().photos
    print(f"{cpu_name()}, {usable_cores()} cores; {_CLICKS} clicks on each, {time.strftime('%d %B %Y')}\n")
    print("| | ms, median | 95 % | processor time, median | 95 % |", "|---|---|---|---|---|", sep="\n")
    catalogue = FileCatalogue(
        [(PHOTO, path, path.with_name(f"{path.stem}.colorized.jpg")) for path in photos], Options()
    )
    with open_colorizer() as colorizer:
        studio = Studio(colorizer, catalogue)
        for path in photos:
            cells = [
                f"{1000 * np.quantile(times, share):.0f}"
                for times in clicks(studio, catalogue, path.name)
                for share in (0.5, 0.95)
            ]
            print(f"| {path.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
