"""How well sources are judged: ``python -m benchmarks.tone FOLDER... [--prints FOLDER...]`` prints the two rates.

Every FOLDER, or zip file, holds colour photographs. The first rate is the share of them that would get new colours;
the second is the share of prints that would be left as they are: of toned ones made from the same photographs, and of
those in the folders after ``--prints``. Photographs are split in two halves by the SHA-256 of their names: rates are of
the one half, and tables are fitted to the other: ``--fit FILE`` writes `pipeline.color.tone_table`, ``--refine FILE``
`pipeline.color.tone_refinement`, which is asked after it.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from benchmarks.tone_fit import Figures, fitted_table, linear, module
from benchmarks.toning import through_jpeg, toned_print
from engines.network import Prediction
from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.color.scan_tone import JUDGED_SIDE, Ask, Scan, scan_tone
from pipeline.color.spaces import F32, still_spec
from pipeline.color.tint_fit import FIGURES, LEAST_PIXELS, fitted
from pipeline.color.tone import evidence, inside
from pipeline.media.stills import is_taken_by_camera
from pipeline.options import Options
from pipeline.results import SourceTone
from pipeline.sizes import size_within

_SIDE = 64
_READ_SIDE = 512
_LEAST_SIDE = 100
_DOUBTFUL = 6.0  # log odds by the first table, up to which the network is asked when the last one is fitted
_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".avif"}
_UNREADABLE = (UnidentifiedImageError, OSError, ValueError, SyntaxError)


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph: ``rgb`` (h, w, 3), 0..1, of at most 512 pixels a side, and whether a digital camera took it."""

    name: str
    rgb: F32
    by_camera: bool

    @property
    def is_held_out(self) -> bool:
        """Whether it belongs to the half that nothing is fitted to."""
        return bool(_hash(Path(self.name).name)[0] & 1)

    def draw(self, seed: int) -> random.Random:
        """Return numbers at random that are its own."""
        return random.Random(f"{self.name} {seed}")


@dataclass
class Rate:
    """How many of ``of`` pictures were judged wrongly, and how many of those without a doubt.

    ``colorizer`` is asked as runs ask it, if there is one; ``folder`` is where the wrong ones are kept to be looked at.
    """

    name: str
    colorizer: Colorizer | None
    folder: Path | None
    of: int = 0
    wrong: int = 0
    unflagged: int = 0
    flagged: int = 0

    def count(self, photo: Photo, *, is_print: bool) -> None:
        """Judge one more picture."""
        ask = None if self.colorizer is None else asking(self.colorizer, photo.rgb)
        found = scan_tone(*planes(photo.rgb), by_camera=photo.by_camera, ask=ask)
        is_wrong = (found.verdict.tone is SourceTone.COLOUR) is is_print
        is_flagged = found.verdict.confidence <= 0.5
        self.of += 1
        self.wrong += is_wrong
        self.flagged += is_flagged
        self.unflagged += is_wrong and not is_flagged
        if is_wrong and self.folder is not None:
            place = self.folder / self.name / f"{found.verdict.confidence:.2f} {Path(photo.name).stem}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.rint(photo.rgb * 255).astype(np.uint8)).save(place)

    def __str__(self) -> str:
        share = 100 * self.wrong / max(1, self.of)
        return (
            f"{self.name}: {self.wrong:,} of {self.of:,} ({share:.2f} %), {self.unflagged:,} of these without a doubt;"
            f" {100 * self.flagged / max(1, self.of):.1f} % are in doubt"
        )


def photos(places: Iterable[Path], *, most: int | None, seed: int) -> Iterator[Photo]:
    """Yield photographs of folders and zip files, each once, in an order that the hashes of their names decide."""
    found: list[tuple[bytes, str, Callable[[str], bytes]]] = []
    for place in places:
        if place.suffix == ".zip":
            names = zipfile.ZipFile(place).namelist()
        else:
            names = [str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()]
        read = _reader(place)
        found += [(_hash(f"{name} {seed}"), name, read) for name in names if Path(name).suffix.lower() in _SUFFIXES]
    seen = set[bytes]()
    for _, name, read in sorted(found, key=lambda one: one[:2])[:most]:
        data = read(name)
        try:
            photo = _decoded(name, data)
        except _UNREADABLE as error:
            print(f"left out: {name}: {error}")
            continue
        if min(photo.rgb.shape[:2]) >= _LEAST_SIDE and (content := _hash(photo.rgb.tobytes())) not in seen:
            seen.add(content)
            yield photo


def planes(picture: F32) -> tuple[F32, F32]:
    """Return luma (h, w) and chroma (2, h, w) of R, G and B, as photographs are judged by."""
    height, width = picture.shape[:2]
    size = size_within(JUDGED_SIDE, width, height)
    red, green, blue = np.moveaxis(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma.astype(np.float32), np.stack([(blue - luma) / 1.772, (red - luma) / 1.402]).astype(np.float32)


def figures(picture: F32) -> Figures | None:
    """Return what the judgement is made from; None where a picture shows nothing."""
    luma, chroma = planes(picture)
    height, width = luma.shape
    size = size_within(_SIDE, width, height)
    luma, cb, cr = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (luma, *chroma))
    shown = inside(luma, cb, cr)
    return fitted(luma, np.stack([cb, cr], axis=-1), shown).figures if shown.sum() >= LEAST_PIXELS else None


def coloured_kinds(photo: Photo, seed: int) -> Iterator[F32]:
    """Yield the photograph as it is, and as it might be found: paler, smaller, coded again."""
    yield photo.rgb
    draw = photo.draw(seed)
    changed = photo.rgb
    if draw.random() < 0.4:
        grey = changed.mean(axis=2, keepdims=True)
        changed = grey + np.float32(draw.uniform(0.3, 1)) * (changed - grey)
    if draw.random() < 0.5:
        changed = _smaller(changed, draw)
    yield through_jpeg(changed, draw)


def print_kinds(photo: Photo, seed: int) -> Iterator[F32]:
    """Yield a toned print made from the photograph, at its size or smaller."""
    draw = photo.draw(seed)
    yield toned_print(_smaller(photo.rgb, draw) if draw.random() < 0.3 else photo.rgb, draw)[0]


def main() -> None:
    """Print the rates, or write fitted tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", type=Path, metavar="FOLDER", help="colour photographs, or a zip file")
    parser.add_argument("--prints", nargs="+", type=Path, default=[], metavar="FOLDER", help="toned prints")
    parser.add_argument("--photos", type=int, default=2000, help="so many photographs, chosen by hash")
    parser.add_argument("--all", action="store_true", help="rates of both halves, for places nothing was fitted to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", default="auto", help="engine of the network; none: nobody is asked")
    parser.add_argument("--fit", type=Path, metavar="FILE", help="fit the first table and write it")
    parser.add_argument("--refine", type=Path, metavar="FILE", help="fit the tables after the first and write them")
    parser.add_argument("--wrong", type=Path, metavar="FOLDER", help="save what was judged wrongly, as PNG")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="PIL")
    if options.fit is not None:
        options.fit.write_text(_fitted(options), encoding="ascii")
        return
    with nullcontext() if options.engine == "none" else open_colorizer(Options(engine=options.engine)) as colorizer:
        if options.refine is not None:
            if colorizer is None:
                parser.error("--refine asks the network: it needs an engine")
            options.refine.write_text(_refined(options, colorizer), encoding="ascii")
        else:
            _print_rates(options, colorizer)


def _print_rates(options: argparse.Namespace, colorizer: Colorizer | None) -> None:
    repainted, by_camera, made, real = (
        Rate(name, colorizer, options.wrong)
        for name in (
            "colour photographs repainted",
            "colour photographs by cameras repainted",
            "toned prints, made from them, left",
            "real prints left",
        )
    )
    for photo in photos(options.places, most=options.photos, seed=options.seed):
        if photo.is_held_out or options.all:
            (by_camera if photo.by_camera else repainted).count(photo, is_print=False)
            for rgb in print_kinds(photo, options.seed):
                made.count(replace(photo, rgb=rgb, by_camera=False), is_print=True)
    for photo in photos(options.prints, most=None, seed=options.seed):
        real.count(photo, is_print=True)
    for rate in (repainted, by_camera, made, real):
        print(rate)


def _fitted(options: argparse.Namespace) -> str:
    """Return the module of the first table."""
    coloured: list[Figures] = []
    prints: list[Figures] = []
    count = 0
    for photo in _fitted_to(options):
        count += 1
        for found, kinds in ((coloured, coloured_kinds), (prints, print_kinds)):
            found += [row for rgb in kinds(photo, options.seed) if (row := figures(rgb)) is not None]
    words = (
        f"Made by ``python -m benchmarks.tone FOLDER... --fit FILE`` from {count:,} photographs;"
        f" {len(FIGURES)} figures of each."
    )
    return module(words, [fitted_table(coloured, prints).lines()])


def _refined(options: argparse.Namespace, colorizer: Colorizer) -> str:
    """Return the module of the tables that are asked after the first one, which stays as it is."""
    edges: tuple[list[Figures], list[Figures]] = [], []
    content: tuple[list[Figures], list[Figures]] = [], []
    count = 0
    for photo in _fitted_to(options):
        count += 1
        for number, kinds in enumerate((coloured_kinds, print_kinds)):
            for rgb in kinds(photo, options.seed):
                luma, chroma = planes(rgb)
                first = evidence(luma, *chroma).log_odds
                scan = Scan.of(luma, chroma, inside(luma, *chroma), by_camera=False, ask=asking(colorizer, rgb))
                if (found := scan.edges) is None:
                    continue
                edges[number].append(np.array([first, *found]))
                if abs(first) < _DOUBTFUL and (told := scan.content) is not None:
                    content[number].append(np.array([first, *found, *told]))
    by_edges = fitted_table(*edges)
    second = [[np.array([by_edges.log_odds(row[:3]), *row[3:]]) for row in rows] for rows in content]
    by_content = fitted_table(*second, expand=linear, of=(len(edges[0]), len(edges[1])))
    words = (
        f"Made by ``python -m benchmarks.tone FOLDER... --refine FILE`` from {count:,} photographs, of which the"
        f"\nnetwork {colorizer.weights} was asked about {len(content[0]):,} in colour and {len(content[1]):,} prints.\n"
    )
    return module(words, [by_edges.lines("EDGE_"), by_content.lines("CONTENT_")])


def _fitted_to(options: argparse.Namespace) -> Iterator[Photo]:
    found = photos(options.places, most=options.photos, seed=options.seed)
    return (photo for photo in found if not photo.is_held_out)


def asking(colorizer: Colorizer, rgb: F32) -> Ask:
    """Return what asks the network about a picture, R, G and B (h, w, 3), once."""

    @cache
    def ask() -> Prediction:
        luma = np.asarray(cv2.cvtColor(np.rint(rgb * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY), np.uint8)
        return colorizer.examine(colorizer.model_input(luma, still_spec(8), size=colorizer.spec.size.photo))

    return ask


def _decoded(name: str, data: bytes) -> Photo:
    with Image.open(BytesIO(data)) as image:
        exif = image.info.get("exif")
        image.thumbnail((_READ_SIDE, _READ_SIDE))
        rgb = np.asarray(image.convert("RGB"), np.float32) / np.float32(255)
    return Photo(name, rgb, is_taken_by_camera(exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else None))


def _smaller(picture: F32, draw: random.Random) -> F32:
    scale = draw.uniform(0.5, 0.9)
    height, width = picture.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def _reader(place: Path) -> Callable[[str], bytes]:
    if place.suffix == ".zip":
        archive = zipfile.ZipFile(place)
        return lambda name: archive.read(name)
    return lambda name: (place / name).read_bytes()


def _hash(content: str | bytes) -> bytes:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).digest()


if __name__ == "__main__":
    main()
