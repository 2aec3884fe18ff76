"""Gather small pictures for the tone network from photographs in folders and zip files."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import accumulate, islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from engines.machine import usable_cores
from engines.tensors import F32
from training.photo_files import UNREADABLE, PhotosError, check_sources, contents, pictures
from training.tone.prints import found_photo, found_print, print_of_any_size
from training.tone.samples import U8, Pictures

KEPT_SIDE = 128
"""Longer side in pixels of the pictures kept, as in `pipeline.color.scan_tone`."""
READ_SIDE = 512
LEAST_SIDE = 100

_TONED = Path(__file__).with_name("toned_photographs.txt")
_HARD = 0.035  # residual chroma: a third of all photographs have less
_PLAIN = 0.08  # share of the others that is kept
_FOUND, _MADE, _AS_FOUND = 0.3, 0.25, 0.7
_SOFTENED = 0.006  # added to residual chroma, so that the hardest photographs are not drawn all the time
_FITTED_SIDE = 48
_CHUNK = 256


def toned_photographs() -> frozenset[str]:
    """Return the names of photographs in the large training set that are toned, or may be, as seen one by one."""
    return frozenset(_TONED.read_text(encoding="ascii").split())


def is_held_out(name: str) -> bool:
    """Return whether a photograph belongs to the half, by the SHA-256 of its name, that nothing is trained on."""
    return bool(hashlib.sha256(Path(name).name.encode()).digest()[0] & 1)


def decoded(data: bytes) -> tuple[F32, bytes | None]:
    """Return a picture (h, w, 3), 0..1, of at most 512 pixels a side, and its EXIF. Raises `UNREADABLE`."""
    with Image.open(BytesIO(data)) as image:
        exif = image.info.get("exif")
        image.thumbnail((READ_SIDE, READ_SIDE))
        rgb = np.asarray(image.convert("RGB"), np.float32) / np.float32(255)
    return rgb, exif if isinstance(exif, bytes) else None


def gathered(
    photos: Sequence[Path], prints: Sequence[Path] = (), colour: Sequence[Path] = (), *, most: int | None = None
) -> Pictures:
    """Return what samples are made of: photographs that are not held out, and all pictures in the other folders.

    ``most`` limits the photographs, in the order of the hashes of their names. Raises `PhotosError` for a source
    that is missing, and for too few photographs.
    """
    check_sources([*photos, *prints, *colour])
    toned = toned_photographs()
    listed = [
        (source, name)
        for source in photos
        for name, _, _ in pictures(source)
        if Path(name).name not in toned and not is_held_out(name)
    ]
    chosen = sorted(listed, key=lambda one: hashlib.sha256(one[1].encode()).digest())[:most]
    hard: list[tuple[U8, float]] = []
    plain: list[U8] = []
    found: list[U8] = []
    made: list[U8] = []
    for name, photo in _pictures(sorted(chosen)):
        draw = random.Random(f"tone {name}")
        beside = residual_chroma(photo)
        if beside < _HARD or draw.random() < _PLAIN:
            if beside < _HARD:
                hard.append((_kept(photo), 1 / (_SOFTENED + beside)))
            else:
                plain.append(_kept(photo))
            if draw.random() < _FOUND:
                found.append(_kept(found_photo(photo, draw)))
        if draw.random() < _MADE:
            made.append(_kept((found_print if draw.random() < _AS_FOUND else print_of_any_size)(photo, draw)))
    if not (hard and plain and found and made):
        raise PhotosError("too few photographs", advice="Give some thousands, in folders or zip files.")
    real = [[_kept(picture) for _, picture in _pictures(_all(places))] for places in (prints, colour)]
    return Pictures(
        hard=[one for one, _ in hard],
        hardness=list(accumulate(weight for _, weight in hard)),
        plain=plain,
        found=found,
        made=made,
        real_prints=real[0],
        real_colour=real[1],
    )


def residual_chroma(photo: F32) -> float:
    """Return the root mean square of Cb and Cr of ``photo`` (h, w, 3), 0..1, that a curve over luma leaves."""
    scale = _FITTED_SIDE / max(photo.shape[:2])
    size = max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale))
    red, green, blue = cv2.resize(photo, size, interpolation=cv2.INTER_AREA).reshape(-1, 3).T
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = np.stack([(blue - luma) / 1.772, (red - luma) / 1.402], axis=1)
    terms = np.stack([np.ones_like(luma), luma, luma**2, np.maximum(luma - 0.5, 0)], axis=1)
    weights, *_ = np.linalg.lstsq(terms, chroma, rcond=None)
    return float(np.sqrt(np.square(chroma - terms @ weights).sum(axis=1).mean()))


def _all(places: Sequence[Path]) -> list[tuple[Path, str]]:
    return [(place, name) for place in places for name, _, _ in pictures(place)]


def _pictures(named: Sequence[tuple[Path, str]]) -> Iterator[tuple[str, F32]]:
    """Yield the names and pictures that can be read and are large enough."""
    with ThreadPoolExecutor(usable_cores()) as threads:
        entries = zip(named, contents(list(named)), strict=True)
        while chunk := list(islice(entries, _CHUNK)):
            yield from (one for one in threads.map(_picture, chunk) if one is not None)


def _picture(one: tuple[tuple[Path, str], bytes | None]) -> tuple[str, F32] | None:
    (_, name), data = one
    if data is None:
        return None
    try:
        rgb, _ = decoded(data)
    except UNREADABLE:
        return None
    return (name, rgb) if min(rgb.shape[:2]) >= LEAST_SIDE else None


def _kept(picture: F32) -> U8:
    scale = KEPT_SIDE / max(picture.shape[:2])
    reduced = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.rint(np.clip(reduced, 0, 1) * 255).astype(np.uint8)
