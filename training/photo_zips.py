"""Photographs for training in their original form: JPEG in zip files, decoded when a crop is cut.

In this form 140,000 photographs of 256 pixels are 2.4 GB, which the operating system keeps in memory; decoded they
would be 36.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engines.errors import WeightsError
from engines.machine import usable_cores
from training.data import U8, PhotoCache, Photos, is_cache
from training.files import replacing
from training.photo_files import PhotosError
from training.photo_verdict import photo_verdict

INDEX = "index.npz"
_LOCAL_HEADER = 30
_JPEG = frozenset({".jpg", ".jpeg"})


def index_zips(folder: Path) -> dict[str, int]:
    """Examine every JPEG in the zip files of ``folder`` and list the locations of usable ones in its `INDEX`.

    The order is that of the names' SHA-256, so that the last ones are a random choice, which stays the same when others
    are added or removed. Returns the number of photographs by `training.photo_verdict`. Raises `WeightsError` for a zip
    file whose photographs are compressed.
    """
    zips = sorted(folder.glob("*.zip"))
    found: list[tuple[bytes, int, int, int, int, int]] = []
    counts: dict[str, int] = {}
    for number, path in enumerate(zips):
        places = list(_places(path))
        content: U8 = np.memmap(path, np.uint8, mode="r")
        with ThreadPoolExecutor(usable_cores()) as pool:
            judged = pool.map(_judge, (content[first : first + length] for _, first, length in places))
            for (name, first, length), (verdict, height, width) in zip(places, judged, strict=True):
                counts[verdict] = counts.get(verdict, 0) + 1
                if verdict == "kept":
                    digest = hashlib.sha256(name.encode()).digest()
                    found.append((digest, number, first, length, height, width))
    found.sort()
    table = np.array([row[1:] for row in found], np.int64).reshape(-1, 5)
    with replacing(folder / INDEX) as partial, partial.open("wb") as output:
        np.savez(output, table=table, zips=np.array([path.name for path in zips]))
    return counts


def _places(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, offset and length of every stored JPEG in ``path``."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as raw:
        for entry in archive.infolist():
            if Path(entry.filename).suffix.lower() not in _JPEG:
                continue
            if entry.compress_type != zipfile.ZIP_STORED:
                raise WeightsError(
                    f"{path}: {entry.filename} is compressed", advice="Store the photographs as they are."
                )
            raw.seek(entry.header_offset + _LOCAL_HEADER - 4)
            name, extra = struct.unpack("<HH", raw.read(4))
            yield entry.filename, entry.header_offset + _LOCAL_HEADER + name + extra, entry.file_size


def _judge(content: U8) -> tuple[str, int, int]:
    picture = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB)
    if picture is None:
        return "unreadable", 0, 0
    rgb = np.asarray(picture, np.uint8)
    return photo_verdict(rgb), rgb.shape[0], rgb.shape[1]


class PhotoZips:
    """Random access to the photographs listed by `index_zips`; the same interface as `training.data.PhotoCache`."""

    def __init__(self, folder: Path) -> None:
        """Open the zip files in ``folder``."""
        with np.load(folder / INDEX) as index:
            table: npt.NDArray[np.int64] = index["table"]
            names: Sequence[str] = index["zips"].tolist()
        self._contents: list[U8] = [np.memmap(folder / name, np.uint8, mode="r") for name in names]
        self._places = table[:, :3]
        self.sizes: npt.NDArray[np.int64] = table[:, 3:]
        """Height and width of every photograph, shape (N, 2)."""

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, number: int) -> U8:
        """Return photograph ``number`` as uint8 RGB, shape (H, W, 3)."""
        zip_number, first, length = (int(value) for value in self._places[number])
        picture = cv2.imdecode(self._contents[zip_number][first : first + length], cv2.IMREAD_COLOR_RGB)
        if picture is None:
            raise WeightsError(f"photograph {number}: was changed after it was indexed", advice="Index the zips again.")
        return np.asarray(picture, np.uint8)


def is_ready(folder: Path) -> bool:
    """Return whether `open_photos` can open ``folder``."""
    return (folder / INDEX).exists() or is_cache(folder)


def open_photos(folder: Path) -> Photos:
    """Return the photographs of ``folder``: zip files with an index, or else a cache of `training.data.build_cache`.

    Raises `PhotosError` if it is neither.
    """
    if (folder / INDEX).exists():
        return PhotoZips(folder)
    if is_cache(folder):
        return PhotoCache(folder)
    raise PhotosError(
        f"{folder}: no photographs prepared for training", advice="colorize-model train makes them in RUN/photos."
    )
