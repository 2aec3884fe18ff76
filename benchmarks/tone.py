"""Accuracy of tone classification: ``python -m benchmarks.tone FOLDER... [--prints FOLDER...]`` prints the two rates.

Every FOLDER, or zip file, holds colour photographs. The first rate is the share of them that would get new colours; the
second is the share of prints that would be left unchanged: of toned ones made from the same photographs, and of those
in the folders after ``--prints``. The folders after ``--old`` hold old photographs in colour. Photographs are split in
two halves by the SHA-256 of their names: rates are measured on one half, and tables are fitted to the other: ``--fit
FILE`` writes `pipeline.color.tone_table`, and ``--fit-edges FILE`` `pipeline.color.tone_edges_table`, which is applied
after it. The tone network (`training.tone`) is trained on that other half too; ``--tables`` measures without it.

``old_photographs.csv`` lists the real prints and old colour photographs that the network was trained on, by their
repositories on GitHub; ``training/tone/toned_photographs.txt`` those of the large training set that are toned
themselves, or may be, as seen one by one. They are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipeline.color.model_input import EXIF_TURNS
from pipeline.color.scan_tone import JUDGED_SIDE, Appears, Scan, appearance, scan_tone
from pipeline.color.spaces import F32
from pipeline.color.tint_fit import FIGURES, LEAST_PIXELS, fitted
from pipeline.color.tone import evidence, inside
from pipeline.color.tone_edges import FIGURES as EDGE_FIGURES
from pipeline.color.tone_odds import Figures, standardised, terms
from pipeline.media.stills import is_taken_by_camera
from pipeline.results import SourceTone
from pipeline.sizes import size_within
from training.photo_files import UNREADABLE
from training.tone.gather import LEAST_SIDE, decoded, is_held_out, toned_photographs
from training.tone.prints import found_print, paler, print_of_any_size, smaller, through_jpeg

_SIDE = 64
_RIDGE, _RIDGE_OF_EDGES = 3.0, 0.3  # for many terms, for few
_ROUNDS = 25
_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".avif"}
_WIDTH = 120


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph: ``rgb`` (h, w, 3), 0..1, of at most 512 pixels a side, and whether a digital camera took it."""

    name: str
    rgb: F32
    by_camera: bool

    @property
    def is_held_out(self) -> bool:
        """Whether it belongs to the half that nothing is fitted to."""
        return is_held_out(self.name)

    def draw(self, seed: int) -> random.Random:
        """Return a random generator specific to this photograph."""
        return random.Random(f"{self.name} {seed}")


@dataclass
class Rate:
    """How many of ``of`` pictures were classified wrongly, and how many of those without a doubt.

    ``folder``, if not None, is where the wrong ones are saved for inspection. ``appears`` is the tone network, if any.
    """

    name: str
    folder: Path | None
    appears: Appears | None
    of: int = 0
    wrong: int = 0
    unflagged: int = 0
    flagged: int = 0

    def count(self, photo: Photo, *, is_print: bool) -> None:
        """Classify one more picture."""
        found = scan_tone(*planes(photo.rgb), by_camera=photo.by_camera, appears=self.appears)
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
    """Yield the photographs in folders and zip files, each once, in the order of the hashes of their names."""
    found: list[tuple[bytes, str, Callable[[str], bytes]]] = []
    for place in places:
        if place.suffix == ".zip":
            names = zipfile.ZipFile(place).namelist()
        else:
            names = [str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()]
        read = _reader(place)
        found += [(_hash(f"{name} {seed}"), name, read) for name in names if Path(name).suffix.lower() in _SUFFIXES]
    seen = set[bytes]()
    toned = toned_photographs()
    for _, name, read in sorted(found, key=lambda one: one[:2])[:most]:
        if Path(name).name in toned:
            continue
        data = read(name)
        try:
            photo = _decoded(name, data)
        except UNREADABLE as error:
            print(f"left out: {name}: {error}")
            continue
        if min(photo.rgb.shape[:2]) >= LEAST_SIDE and (content := _hash(photo.rgb.tobytes())) not in seen:
            seen.add(content)
            yield photo


def planes(picture: F32) -> tuple[F32, F32]:
    """Return luma (h, w) and chroma (2, h, w) of R, G and B, in the form used for classification."""
    height, width = picture.shape[:2]
    size = size_within(JUDGED_SIDE, width, height)
    red, green, blue = np.moveaxis(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma.astype(np.float32), np.stack([(blue - luma) / 1.772, (red - luma) / 1.402]).astype(np.float32)


def figures(picture: F32) -> Figures | None:
    """Return the figures used for classification; None if a picture shows nothing."""
    luma, chroma = planes(picture)
    height, width = luma.shape
    size = size_within(_SIDE, width, height)
    luma, cb, cr = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (luma, *chroma))
    shown = inside(luma, cb, cr)
    return fitted(luma, np.stack([cb, cr], axis=-1), shown).figures if shown.sum() >= LEAST_PIXELS else None


def with_edges(picture: F32) -> Figures | None:
    """Return the input of the second table: the first one's log odds and the figures of edges."""
    luma, chroma = planes(picture)
    edges = Scan.of(luma, chroma, inside(luma, *chroma), by_camera=False).edges
    return None if edges is None else np.array([evidence(luma, *chroma).log_odds, *edges])


def coloured_kinds(photo: Photo, seed: int) -> Iterator[F32]:
    """Yield the photograph unchanged, and as it might be found: paler, smaller, re-encoded."""
    yield photo.rgb
    draw = photo.draw(seed)
    changed = photo.rgb
    if draw.random() < 0.4:
        changed = paler(changed, draw.uniform(0.3, 1))
    if draw.random() < 0.5:
        changed = smaller(changed, draw)
    yield through_jpeg(changed, draw)


def print_kinds(photo: Photo, seed: int) -> Iterator[F32]:
    """Yield a toned print made from the photograph, at its size or smaller."""
    yield print_of_any_size(photo.rgb, photo.draw(seed))


def all_print_kinds(photo: Photo, seed: int) -> Iterator[F32]:
    """Yield two toned prints made from the photograph: as `print_kinds`, and as it might be found."""
    yield from print_kinds(photo, seed)
    yield found_print(photo.rgb, photo.draw(seed + 1))


def fit(coloured: Figures, prints: Figures, *, ridge: float) -> tuple[Figures, Figures, Figures]:
    """Return centres, scales and weights of a logistic regression by Newton's method, with a ``ridge``."""
    rows = np.concatenate([coloured, prints])
    is_coloured = np.concatenate([np.ones(len(coloured)), np.zeros(len(prints))])
    share = np.where(is_coloured, len(rows) / (2 * len(coloured)), len(rows) / (2 * len(prints)))
    centres, scales = rows.mean(axis=0), rows.std(axis=0)
    expanded = np.stack([terms(standardised(row, centres, scales)) for row in rows])
    penalty = ridge * np.eye(expanded.shape[1])
    penalty[0, 0] = 1e-6
    weights = np.zeros(expanded.shape[1])
    for _ in range(_ROUNDS):
        odds = 1 / (1 + np.exp(-np.clip(expanded @ weights, -30, 30)))
        slope = expanded.T @ (share * (odds - is_coloured)) + penalty @ weights
        curve = (expanded * (share * odds * (1 - odds))[:, None]).T @ expanded + penalty
        weights -= np.linalg.solve(curve, slope)
    return centres, scales, weights


def main() -> None:
    """Print the rates, or write fitted tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", type=Path, metavar="FOLDER", help="colour photographs, or a zip file")
    parser.add_argument("--prints", nargs="+", type=Path, default=[], metavar="FOLDER", help="toned prints")
    parser.add_argument("--old", nargs="+", type=Path, default=[], metavar="FOLDER", help="old colour photographs")
    parser.add_argument("--photos", type=int, default=2000, help="so many photographs, chosen by hash")
    parser.add_argument("--all", action="store_true", help="rates of both halves, for places nothing was fitted to")
    parser.add_argument("--tables", action="store_true", help="rates without the network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fit", type=Path, metavar="FILE", help="fit the first table and write it")
    parser.add_argument("--fit-edges", type=Path, metavar="FILE", help="fit the second table and write it")
    parser.add_argument("--wrong", type=Path, metavar="FOLDER", help="save what was judged wrongly, as PNG")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="PIL")
    if options.fit is not None:
        options.fit.write_text(_fitted(options), encoding="ascii")
    elif options.fit_edges is not None:
        options.fit_edges.write_text(_fitted_edges(options), encoding="ascii")
    else:
        _print_rates(options, None if options.tables else appearance(EXIF_TURNS[1]))


def _print_rates(options: argparse.Namespace, appears: Appears | None) -> None:
    repainted, by_camera, made, found, real, old = (
        Rate(name, options.wrong, appears)
        for name in (
            "colour photographs repainted",
            "colour photographs by cameras repainted",
            "toned prints, made from them, left",
            "toned prints as they may be found, left",
            "real prints left",
            "old colour photographs repainted",
        )
    )
    for photo in photos(options.places, most=options.photos, seed=options.seed):
        if photo.is_held_out or options.all:
            (by_camera if photo.by_camera else repainted).count(photo, is_print=False)
            for rate, rgb in zip((made, found), all_print_kinds(photo, options.seed), strict=True):
                rate.count(replace(photo, rgb=rgb, by_camera=False), is_print=True)
    for photo in photos(options.prints, most=None, seed=options.seed):
        real.count(photo, is_print=True)
    for photo in photos(options.old, most=None, seed=options.seed):
        old.count(photo, is_print=False)
    for rate in (repainted, by_camera, made, found, real, old):
        print(rate)


def _fitted(options: argparse.Namespace) -> str:
    """Return the module of the first table."""
    command = (
        f"``python -m benchmarks.tone FOLDER... --fit FILE`` from {{count:,}} photographs; {len(FIGURES)} figures."
    )
    return _module(options, figures, command, ridge=_RIDGE)


def _fitted_edges(options: argparse.Namespace) -> str:
    """Return the module of the second table; the first one is unchanged."""
    command = "``python -m benchmarks.tone FOLDER... --fit-edges FILE`` from {count:,} photographs:"
    words = f"{command} log odds and {len(EDGE_FIGURES)} figures."
    return _module(options, with_edges, words, ridge=_RIDGE_OF_EDGES)


def _module(
    options: argparse.Namespace, figures_of: Callable[[F32], Figures | None], words: str, *, ridge: float
) -> str:
    """Return the module of a table fitted to ``figures_of`` pictures; ``words`` about it name their ``count``."""
    coloured: list[Figures] = []
    prints: list[Figures] = []
    count = 0
    for photo in photos(options.places, most=options.photos, seed=options.seed):
        if photo.is_held_out:
            continue
        count += 1
        for found, kinds in ((coloured, coloured_kinds), (prints, print_kinds)):
            found += [row for rgb in kinds(photo, options.seed) if (row := figures_of(rgb)) is not None]
    names = ("CENTRES", "SCALES", "WEIGHTS")
    values = fit(np.stack(coloured), np.stack(prints), ridge=ridge)
    tables = "\n".join(_table(name, table) for name, table in zip(names, values, strict=True))
    imports = "from __future__ import annotations\n\nimport numpy as np"
    text = words.format(count=count)
    return f'"""Made by {text}"""\n\n{imports}\n\n# fmt: off\n{tables}# fmt: on\n'


def _table(name: str, values: Figures) -> str:
    lines, line = [f"{name} = np.array(["], "   "
    for value in values:
        item = f" {float(f'{value:.4g}'):g},"
        if len(line) + len(item) > _WIDTH:
            lines.append(line)
            line = "   "
        line += item
    return "\n".join([*lines, line, "])"]) + "\n"


def _decoded(name: str, data: bytes) -> Photo:
    rgb, exif = decoded(data)
    return Photo(name, rgb, is_taken_by_camera(None if exif is None else exif.removeprefix(b"Exif\0\0")))


def _reader(place: Path) -> Callable[[str], bytes]:
    if place.suffix == ".zip":
        archive = zipfile.ZipFile(place)
        return lambda name: archive.read(name)
    return lambda name: (place / name).read_bytes()


def _hash(content: str | bytes) -> bytes:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).digest()


if __name__ == "__main__":
    main()
