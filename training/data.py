"""Photographs for training: decoded once into one flat file, then random crops from it.

The cache is a single array of uint8 RGB pixels with an index of offsets and sizes; it is mapped into
memory, so several runs share it and the operating system keeps what fits.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

U8 = npt.NDArray[np.uint8]

_SUFFIXES = {".avif", ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}
_MIN_SIDE = 64
_GREY_CHROMA = 3.0


@dataclass(frozen=True)
class CacheReport:
    """How many photographs went into a cache, and why the others did not."""

    kept: int
    too_small: int
    grey: int
    unreadable: int


def build_cache(sources: list[Path], cache: Path, *, short_side: int) -> CacheReport:
    """Decode every photograph in ``sources`` (folders or zip files) into ``cache``.

    Pictures are scaled down so that the shorter side is ``short_side`` pixels. Pictures with a side
    under 64 pixels and pictures without colour (mean Lab chroma under 3) are left out and counted.
    """
    cache.mkdir(parents=True, exist_ok=True)
    counts = {"kept": 0, "too_small": 0, "grey": 0, "unreadable": 0}
    index: list[tuple[int, int, int]] = []
    offset = 0
    partial = cache / "pixels.partial"
    with partial.open("wb") as out, ThreadPoolExecutor(os.cpu_count()) as pool:
        files = _files(sources)
        while chunk := list(islice(files, 64)):
            for verdict, picture in pool.map(_prepare, chunk, repeat(short_side)):
                counts[verdict] += 1
                if picture is not None:
                    index.append((offset, picture.shape[0], picture.shape[1]))
                    offset += out.write(picture.tobytes())
    np.save(cache / "index.npy", np.array(index, np.int64).reshape(-1, 3))
    report = CacheReport(**counts)
    (cache / "report.json").write_text(json.dumps(counts))
    partial.rename(cache / "pixels.u8")
    return report


def _files(sources: list[Path]) -> Iterator[bytes]:
    for source in sources:
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                for name in sorted(archive.namelist()):
                    if Path(name).suffix.lower() in _SUFFIXES:
                        yield archive.read(name)
        else:
            for path in sorted(source.rglob("*")):
                if path.suffix.lower() in _SUFFIXES:
                    yield path.read_bytes()


def _prepare(data: bytes, short_side: int) -> tuple[str, U8 | None]:
    try:
        rgb = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    except (OSError, ValueError):
        return "unreadable", None
    height, width = rgb.shape[:2]
    if min(height, width) < _MIN_SIDE:
        return "too_small", None
    scale = min(1.0, short_side / min(height, width))
    rgb = cv2.resize(rgb, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    if float(np.hypot(lab[..., 1], lab[..., 2]).mean()) < _GREY_CHROMA:
        return "grey", None
    return "kept", np.ascontiguousarray(rgb)


class PhotoCache:
    """Random access to the photographs of a cache made by `build_cache`."""

    def __init__(self, cache: Path) -> None:
        self._index = np.load(cache / "index.npy")
        self._pixels: npt.NDArray[np.uint8] = np.memmap(cache / "pixels.u8", np.uint8, mode="r")

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, number: int) -> U8:
        """Return photograph ``number`` as uint8 RGB, shape (H, W, 3)."""
        offset, height, width = (int(v) for v in self._index[number])
        return self._pixels[offset : offset + height * width * 3].reshape(height, width, 3)


def random_crop(picture: U8, size: int, min_scale: float, rng: np.random.Generator) -> U8:
    """Return a random square of ``picture``, flipped half the time, scaled to (size, size, 3).

    The square's side is between ``min_scale`` and 1 times the shorter side.
    """
    height, width = picture.shape[:2]
    side = round(min(height, width) * rng.uniform(min_scale, 1.0))
    top = int(rng.integers(height - side + 1))
    left = int(rng.integers(width - side + 1))
    square = picture[top : top + side, left : left + side]
    if rng.random() < 0.5:
        square = square[:, ::-1]
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (size, size), interpolation=interpolation), np.uint8)


class CropStream:
    """Batches of random crops, a pure function of (seed, step): a resumed run sees what an uninterrupted one would."""

    def __init__(self, cache: PhotoCache, *, batch: int, size: int, min_scale: float, seed: int, holdout: int) -> None:
        """Read all photographs of ``cache`` but the last ``holdout``."""
        self._cache = cache
        self._count = len(cache) - holdout
        self._batch, self._size, self._min_scale, self._seed = batch, size, min_scale, seed

    def __getitem__(self, step: int) -> U8:
        """Return the batch of ``step`` as uint8 RGB, shape (N, 3, size, size)."""
        per_epoch = self._count // self._batch
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng((self._seed, 1, epoch)).permutation(self._count)
        rng = np.random.default_rng((self._seed, 2, step))
        chosen = order[place * self._batch : (place + 1) * self._batch]
        crops = [random_crop(self._cache[int(n)], self._size, self._min_scale, rng) for n in chosen]
        return np.ascontiguousarray(np.stack(crops).transpose(0, 3, 1, 2))
