"""How well sources are judged: ``python -m benchmarks.tone FOLDER... [--prints FOLDER...]`` prints the two rates.

Every FOLDER, or zip file, holds colour photographs. The first rate is the share of them that would get new colours;
the second is the share of prints that would be left as they are: of toned ones made from the same photographs, and of
those in the folders after ``--prints``. Photographs are split in two halves by their names: one that ``--fit`` fits
the table of `pipeline.color.tone_odds` to, and prints it, and one held out.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from benchmarks.toning import toned_print
from pipeline.color.scan_tone import JUDGED_SIDE, scan_tone
from pipeline.color.spaces import F32
from pipeline.color.tint_fit import fitted
from pipeline.color.tone import inside
from pipeline.color.tone_odds import LIMIT, terms
from pipeline.results import SourceTone

Figures = npt.NDArray[np.float64]

_SIDE = 64
_RIDGE = 3.0
_ROUNDS = 25
_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"}


@dataclass
class Rate:
    """How many of ``of`` pictures were judged wrongly, and how many of those without a doubt."""

    of: int = 0
    wrong: int = 0
    unflagged: int = 0
    flagged: int = 0

    def count(self, *, is_wrong: bool, is_flagged: bool) -> None:
        """Count one more picture."""
        self.of += 1
        self.wrong += is_wrong
        self.flagged += is_flagged
        self.unflagged += is_wrong and not is_flagged

    def __str__(self) -> str:
        share = 100 * self.wrong / max(1, self.of)
        return (
            f"{self.wrong:,} of {self.of:,} ({share:.2f} %), {self.unflagged:,} of these without a doubt;"
            f" {100 * self.flagged / max(1, self.of):.1f} % are in doubt"
        )


def pictures(folders: Iterable[Path], *, most: int | None, seed: int) -> Iterator[tuple[str, F32]]:
    """Yield the name and R, G and B, (h, w, 3), 0..1, of photographs chosen at random from folders and zip files."""
    found: list[tuple[Path, str]] = []
    for folder in folders:
        if folder.suffix == ".zip":
            with zipfile.ZipFile(folder) as archive:
                names = archive.namelist()
        else:
            names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
        found += [(folder, name) for name in sorted(names) if Path(name).suffix.lower() in _SUFFIXES]
    random.Random(seed).shuffle(found)
    for folder, name in sorted(found[:most]):
        try:
            if folder.suffix == ".zip":
                with zipfile.ZipFile(folder) as archive:
                    data = archive.read(name)
            else:
                data = (folder / name).read_bytes()
            with Image.open(BytesIO(data)) as image:
                image.thumbnail((512, 512))
                yield name, np.asarray(image.convert("RGB"), np.float32) / np.float32(255)
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            print(f"left out: {name}: {error}")


def planes(picture: F32) -> tuple[F32, F32]:
    """Return luma (h, w) and chroma (2, h, w) of R, G and B, as photographs are judged by."""
    height, width = picture.shape[:2]
    scale = min(1.0, JUDGED_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    red, green, blue = np.moveaxis(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma.astype(np.float32), np.stack([(blue - luma) / 1.772, (red - luma) / 1.402]).astype(np.float32)


def figures(picture: F32) -> Figures | None:
    """Return what the judgement is made from; None where a picture shows nothing."""
    luma, chroma = planes(picture)
    height, width = luma.shape
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    luma, cb, cr = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (luma, *chroma))
    shown = inside(luma, cb, cr)
    return fitted(luma, np.stack([cb, cr], axis=-1), shown).figures if shown.sum() >= 100 else None


def fit(coloured: Figures, prints: Figures) -> tuple[Figures, Figures, Figures]:
    """Return centres, scales and weights of a logistic regression on `terms`, by Newton's method, with a ridge."""
    rows = np.concatenate([coloured, prints])
    is_coloured = np.concatenate([np.ones(len(coloured)), np.zeros(len(prints))])
    share = np.where(is_coloured, len(rows) / (2 * len(coloured)), len(rows) / (2 * len(prints)))
    centres, scales = rows.mean(axis=0), rows.std(axis=0)
    expanded = np.stack([terms(np.clip((row - centres) / scales, -LIMIT, LIMIT)) for row in rows])
    ridge = _RIDGE * np.eye(expanded.shape[1])
    ridge[0, 0] = 1e-6
    weights = np.zeros(expanded.shape[1])
    for _ in range(_ROUNDS):
        odds = 1 / (1 + np.exp(-np.clip(expanded @ weights, -30, 30)))
        slope = expanded.T @ (share * (odds - is_coloured)) + ridge @ weights
        curve = (expanded * (share * odds * (1 - odds))[:, None]).T @ expanded + ridge
        weights -= np.linalg.solve(curve, slope)
    return centres, scales, weights


def main() -> None:
    """Print the rates, or the fitted table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="colour photographs")
    parser.add_argument("--prints", nargs="+", type=Path, default=[], metavar="FOLDER", help="toned prints")
    parser.add_argument("--photos", type=int, default=2000, help="so many photographs, chosen at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fit", action="store_true", help="fit the table instead")
    options = parser.parse_args()
    if options.fit:
        _fit(options)
        return
    kinds = ("coloured photographs repainted", "toned prints left")
    rates = {(kind, half): Rate() for kind in kinds for half in (0, 1)}
    for name, picture in pictures(options.folders, most=options.photos, seed=options.seed):
        _count(rates[kinds[0], _half(name)], picture, is_print=False)
        print_, _ = toned_print(picture, _draw(name, options.seed))
        _count(rates[kinds[1], _half(name)], print_, is_print=True)
    for (kind, half), rate in rates.items():
        print(f"{kind}, {'held out' if half else 'tuned on'}: {rate}")
    real = Rate()
    for _, picture in pictures(options.prints, most=None, seed=options.seed):
        _count(real, picture, is_print=True)
    if real.of:
        print(f"real toned prints left: {real}")


def _count(rate: Rate, picture: F32, *, is_print: bool) -> None:
    found = scan_tone(*planes(picture))
    is_left = found.verdict.tone is SourceTone.COLOUR
    rate.count(is_wrong=is_left is is_print, is_flagged=found.verdict.confidence <= 0.5)


def _fit(options: argparse.Namespace) -> None:
    coloured, prints = [], []
    for name, picture in pictures(options.folders, most=options.photos, seed=options.seed):
        if _half(name) == 0:
            coloured += [found for found in [figures(picture)] if found is not None]
            print_, _ = toned_print(picture, _draw(name, options.seed))
            prints += [found for found in [figures(print_)] if found is not None]
    for name, values in zip(("CENTRES", "SCALES", "WEIGHTS"), fit(np.stack(coloured), np.stack(prints)), strict=True):
        print(name, np.array2string(values, precision=4, separator=", ", threshold=10_000))


def _draw(name: str, seed: int) -> random.Random:
    return random.Random(f"{name} {seed}")


def _half(name: str) -> int:
    return int(hashlib.md5(Path(name).name.encode(), usedforsecurity=False).hexdigest(), 16) % 2


if __name__ == "__main__":
    main()
