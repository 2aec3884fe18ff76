"""The effect of a few given colours: ``python -m benchmarks.hints PHOTO...`` prints the tables of docs/corrections.md.

Each colour photograph is coloured as on the review page, with its own colours given nowhere, in the middle of its most
colourful object, there and on a calm position elsewhere, and at random positions. Measures of the results:

* *CIEDE2000*: the mean distance from the photograph;
* *spill*: over edges, by the detector of docs/evaluation.md; and over the same edges with and without hints, since
  edges that get their colour from a hint are not counted without;
* *missed*: the distance of the shown colour from the given one, moved into the gamut at the luma shown: at the position
  itself, and the largest within the reach, where no other hint is nearer.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.color.colorizer import open_colorizer
from pipeline.color.hints import ab_of_hex
from pipeline.color.spaces import Matrix, chroma_from_ab, rgb_of
from pipeline.options import Hint, Options, TreatAs
from pipeline.photo.screen import ScreenPhoto, open_screen_photo
from pipeline.process import prepare_process
from training.cielab_numpy import F64, U8, rgb_to_lab
from training.detectors import at_size, colour_spill
from training.evaluate import network_size, read_picture
from training.metrics import ciede2000

NONE, THING, BESIDE = "none", "most colourful thing", "it and a calm place"
POINTS = (1, 5, 10, 50)
CHROMA = (0, 10, 20, 40, 60, 150)

_CELLS = 64  # positions on the shorter side
_MIDDLE = 5  # cells of an object
_APART = 16  # minimum distance in cells from the object to the calm position
_SIZE, _MULTIPLE = 256, 32  # size at which the detector works
_SMALL = 2.0  # CIEDE2000 that counts as exact
_BT601 = np.array([0.299, 0.587, 0.114])

Places = list[tuple[int, int]]


@dataclass
class Found:
    """Measures of results with a given number of colours: one number per photograph, per hint for `missed`.

    ``same_edges`` holds the spill without and with them over edges that count in both, ``missed`` (chroma given,
    distance at the position, largest distance within the reach, share of pixels there that are exact).
    """

    distance: list[float] = field(default_factory=list)
    spill: list[float] = field(default_factory=list)
    same_edges: list[tuple[float, float]] = field(default_factory=list)
    missed: list[tuple[float, float, float, float]] = field(default_factory=list)


def measure(photo: ScreenPhoto, truth: U8, found: Mapping[str, Found], *, seed: int) -> None:
    """Add to ``found`` the effect of giving ``photo`` colours of its ``truth`` (H, W, 3), as named by the keys."""
    true = rgb_to_lab(truth)
    shape = network_size(*truth.shape[:2], size=_SIZE, multiple=_MULTIPLE)
    small, plain = at_size(true, *shape), None
    for name, hints in statements(truth, seed=seed):
        made = photo.after(Options(treat_as=TreatAs.MONOCHROME, hints=hints))
        shown = rgb_to_lab(made)
        found[name].distance.append(float(ciede2000(shown, true).mean()))
        result = at_size(shown, *shape)
        plain = result if plain is None else plain
        spill = colour_spill(result, small)
        if spill is not None:
            found[name].spill.append(spill)
        before, after = colour_spill(plain, small, also=result), colour_spill(result, small, also=plain)
        if before is not None and after is not None:
            found[name].same_edges.append((before, after))
        found[name].missed.extend(missed(made, hints))


def statements(truth: U8, *, seed: int) -> Iterator[tuple[str, tuple[Hint, ...]]]:
    """Yield the hints to give, by name: true colours at positions in ``truth`` (H, W, 3)."""
    scale = _CELLS / min(truth.shape[:2])
    columns, rows = (max(1, round(side * scale)) for side in truth.shape[1::-1])
    cells = np.asarray(cv2.resize(truth, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    chroma = np.hypot(*np.moveaxis(rgb_to_lab(cells)[..., 1:], -1, 0))
    thing, calm = _thing_and_calm(chroma)
    order = np.random.default_rng(seed).permutation(rows * columns)
    drawn = [(int(place // columns), int(place % columns)) for place in order[: max(POINTS)]]
    chosen: dict[str, Places] = {NONE: [], THING: [thing], BESIDE: [thing, calm]}
    chosen |= {str(count): drawn[:count] for count in POINTS}
    for name, places in chosen.items():
        yield name, tuple(_hint(cells, row, column) for row, column in places)


def _thing_and_calm(chroma: F64) -> tuple[tuple[int, int], tuple[int, int]]:
    smooth = cv2.blur(chroma, (_MIDDLE, _MIDDLE))
    row, column = np.unravel_index(int(smooth.argmax()), smooth.shape)
    down, across = np.mgrid[: smooth.shape[0], : smooth.shape[1]]
    is_far = np.hypot(down - row, across - column) > _APART
    calm = np.unravel_index(int(np.where(is_far, np.inf, smooth).argmin()), smooth.shape)
    return (int(row), int(column)), (int(calm[0]), int(calm[1]))


def _hint(cells: U8, row: int, column: int) -> Hint:
    rows, columns = cells.shape[:2]
    red, green, blue = cells[row, column]
    return Hint(x=(column + 0.5) / columns, y=(row + 0.5) / rows, color=f"#{red:02X}{green:02X}{blue:02X}")


def missed(shown: U8, hints: Sequence[Hint]) -> Iterator[tuple[float, float, float, float]]:
    """Yield for each of ``hints`` its chroma, and CIEDE2000 in ``shown``: at its position, and the most in reach.

    The fourth value is the share of pixels within reach for which it is below 2.
    """
    height, width = shown.shape[:2]
    down, across = np.mgrid[:height, :width] + 0.5
    all_apart = [np.hypot(down - one.y * height, across - one.x * width) / min(height, width) for one in hints]
    nearest = np.argmin(all_apart, axis=0) if hints else None
    for number, (hint, apart) in enumerate(zip(hints, all_apart, strict=True)):
        is_near = (apart <= max(hint.reach, float(apart.min()))) & (nearest == number)
        there = shown[is_near].reshape(1, -1, 3)
        far = ciede2000(rgb_to_lab(there), rgb_to_lab(_stated(there, hint.color)))[0]
        exact = float(np.mean(far < _SMALL))
        yield math.hypot(*ab_of_hex(hint.color)), float(far[apart[is_near].argmin()]), float(far.max()), exact


def _stated(shown: U8, color: str) -> U8:
    """Return ``color`` at the luma of each pixel of ``shown`` (1, n, 3), as far as the gamut allows."""
    luma = np.asarray(shown @ _BT601 / 255, np.float32)
    ab = np.broadcast_to(np.array(ab_of_hex(color), np.float32)[:, None, None], (2, *luma.shape))
    made = rgb_of(luma, chroma_from_ab(luma, ab, Matrix.BT601), Matrix.BT601)
    return np.asarray(np.rint(made * 255), np.uint8)


def table(found: Mapping[str, Found]) -> str:
    """Return what was found as a Markdown table."""
    lines = [f"| stated | {' | '.join(found)} |", "|---|" + "---|" * len(found)]
    rows: dict[str, list[str]] = {
        "CIEDE2000": [f"{np.mean(one.distance):.2f}" for one in found.values()],
        "spill, %": [f"{100 * np.mean(one.spill):.2f}" for one in found.values()],
        "over the same edges, without": [f"{100 * np.mean(one.same_edges, axis=0)[0]:.2f}" for one in found.values()],
        "with": [f"{100 * np.mean(one.same_edges, axis=0)[1]:.2f}" for one in found.values()],
        "missed at the place": [_quantile([at for _, at, *_ in one.missed], 0.5) for one in found.values()],
    }
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items())])


def missed_table(found: Mapping[str, Found]) -> str:
    """Return by how much given colours were missed, by their chroma, as a Markdown table."""
    lines = [
        "| chroma stated | hints | at the place: median | 95 % | below 2 | within the reach, the largest: median "
        "| 95 % | below 2 | pixels below 2 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    every: npt.NDArray[np.float64] = np.array([row for one in found.values() for row in one.missed]).reshape(-1, 4)
    for low, high in pairwise(CHROMA):
        those = every[(every[:, 0] >= low) & (every[:, 0] < high), 1:]
        cells = [f"{low} to {high}", str(len(those))]
        for far in those.T[:2]:
            below = f"{100 * np.mean(far < _SMALL):.0f} %" if len(far) else ""
            cells += [_quantile(far, 0.5), _quantile(far, 0.95), below]
        cells.append(f"{100 * those[:, 2].mean():.1f} %" if len(those) else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _quantile(values: Sequence[float] | npt.NDArray[np.float64], share: float) -> str:
    return f"{np.quantile(values, share):.2f}" if len(values) else ""


def main() -> None:
    """Print the tables."""
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    parser.add_argument("--draws", type=int, default=1, help="of the places at random, in every photograph")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--model", default="fast")
    args = parser.parse_args()
    found = {name: Found() for name in (NONE, THING, BESIDE, *map(str, POINTS))}
    with open_colorizer(replace(Options(), engine=args.engine, model=args.model)) as colorizer:
        print(f"{colorizer.choice.reason}; weights {colorizer.weights}; {time.strftime('%d %B %Y')}\n")
        for number, path in enumerate(args.photos):
            photo, truth = open_screen_photo(path, colorizer), read_picture(path)
            for draw in range(args.draws):
                measure(photo, truth, found, seed=draw * len(args.photos) + number)
    print(table(found), missed_table(found), sep="\n\n")


if __name__ == "__main__":
    main()
