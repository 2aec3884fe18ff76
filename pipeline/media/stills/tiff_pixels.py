"""Write one picture as a classic TIFF: strips packed as they come, then the directory that describes them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.media.stills.still import Strip
from pipeline.media.stills.tiff_ifd import LONG, SHORT, Entry, write_ifd

NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, ZSTD = 1, 5, 8, 32946, 32773, 50000
_STRIP_BYTES = 1 << 20
_LIMIT = 1 << 32

# How rows of a strip are packed, and whether they are replaced by differences along the row first (TIFF 6.0, sec. 14).
LOSSLESS: dict[int, tuple[Callable[[bytes], bytes], bool]] = {
    NONE: (lambda rows: rows, False),
    LZW: (lambda rows: bytes(imagecodecs.lzw_encode(rows)), True),
    DEFLATE: (lambda rows: bytes(imagecodecs.deflate_encode(rows)), True),
    OLD_DEFLATE: (lambda rows: bytes(imagecodecs.deflate_encode(rows)), True),
    PACKBITS: (lambda rows: bytes(imagecodecs.packbits_encode(rows)), False),
    ZSTD: (lambda rows: bytes(imagecodecs.zstd_encode(rows)), True),
}


def write_pixels(
    path: Path,
    strips: Iterator[Strip],
    *,
    shape: tuple[int, int, int],
    bits: int,
    order: str,
    compression: int,
    entries: tuple[Entry, ...],
) -> None:
    """Write ``strips`` (rows, W, 3 or 4), together ``shape``, as RGB with ``entries`` beside the tags for the pixels.

    ``order`` is "<" or ">", ``compression`` a key of `LOSSLESS`. Raises `OutputError` beyond the 4 GB of a TIFF.
    """
    pack, differs = LOSSLESS[compression]
    rows = max(1, _STRIP_BYTES // (shape[1] * shape[2] * bits // 8))
    offsets, counts = [], []
    with path.open("wb") as file:
        file.write((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 0))
        for strip in _of_height(strips, rows):
            packed = pack(_bytes(strip, order, differs=differs))
            offsets.append(file.tell())
            counts.append(len(packed))
            file.write(packed + b"\0" * (len(packed) % 2))
        at = file.tell()
        table = {
            256: (LONG, [shape[1]]),
            257: (LONG, [shape[0]]),
            258: (SHORT, [bits] * shape[2]),
            259: (SHORT, [compression]),
            262: (SHORT, [2]),
            273: (LONG, offsets),
            277: (SHORT, [shape[2]]),
            278: (LONG, [rows]),
            279: (LONG, counts),
            284: (SHORT, [1]),
        }
        if differs:
            table[317] = (SHORT, [2])
        made = tuple(_entry(tag, kind, values, order) for tag, (kind, values) in table.items())
        directory = write_ifd(made + entries, order, at) if at < _LIMIT else b""
        if at + len(directory) >= _LIMIT:
            raise OutputError(f"{path}: would be larger than the 4 GB a TIFF can hold", advice="Use a PNG source.")
        file.write(directory)
        file.seek(4)
        file.write(struct.pack(order + "I", at))


def _of_height(strips: Iterator[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
    """Regroup the rows into pieces of ``rows``, the last one maybe shorter."""
    held: list[NDArray[Any]] = []
    number = 0
    for strip in strips:
        while strip.shape[0]:
            part, strip = strip[: rows - number], strip[rows - number :]
            held.append(part)
            number += part.shape[0]
            if number == rows:
                yield np.concatenate(held)
                held, number = [], 0
    if held:
        yield np.concatenate(held)


def _bytes(strip: NDArray[Any], order: str, *, differs: bool) -> bytes:
    if differs:
        differences = strip.copy()
        differences[:, 1:] -= strip[:, :-1]
        strip = differences
    return strip.astype(np.dtype(f"{order}u{strip.dtype.itemsize}"), copy=False).tobytes()


def _entry(tag: int, kind: int, values: list[int], order: str) -> Entry:
    return Entry(tag, kind, len(values), struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values))
