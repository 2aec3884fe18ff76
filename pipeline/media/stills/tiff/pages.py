"""Write classic TIFF: for each page, strips compressed as they come, then the directory that describes them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.media.stills.ifd import LONG, SHORT, Entry, write_ifd
from pipeline.media.stills.still import Strip

NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, ZSTD = 1, 5, 8, 32946, 32773, 50000
STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS = 273, 279, 324, 325
_TILE_WIDTH = 322
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


class TiffPages:
    """A classic TIFF being written, page after page, to ``file``, whose name is ``path``.

    ``order`` is "<" or ">"; the values of ``placed`` entries are put at their places, and all else around them. Methods
    raise `OutputError` beyond the 4 GB of a TIFF.
    """

    def __init__(self, path: Path, file: BinaryIO, order: str, placed: Iterable[Entry] = ()) -> None:
        self._path, self._file, self._order = path, file, order
        file.write((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 0))
        self._link, self._end = 4, 8
        self._taken: list[range] = []
        for entry in placed:
            if entry.place is not None:
                self._taken.append(range(entry.place, entry.place + len(entry.data)))
                file.seek(entry.place)
                file.write(entry.data)
        self._taken.sort(key=lambda taken: taken.start)

    def add(
        self,
        strips: Iterator[Strip],
        *,
        shape: tuple[int, int, int],
        bits: int,
        compression: int,
        entries: tuple[Entry, ...],
    ) -> None:
        """Add a page of ``strips`` (rows, W, 3 or more), together ``shape``: RGB, ``entries`` beside its own tags.

        ``compression`` is a key of `LOSSLESS`.
        """
        pack, differs = LOSSLESS[compression]
        rows = max(1, _STRIP_BYTES // (shape[1] * shape[2] * bits // 8))
        packed = (pack(_bytes(strip, self._order, differs=differs)) for strip in _of_height(strips, rows))
        offsets, counts = self._placed(packed)
        table = {
            256: (LONG, [shape[1]]),
            257: (LONG, [shape[0]]),
            258: (SHORT, [bits] * shape[2]),
            259: (SHORT, [compression]),
            262: (SHORT, [2]),
            STRIP_OFFSETS: (LONG, offsets),
            277: (SHORT, [shape[2]]),
            278: (LONG, [rows]),
            STRIP_COUNTS: (LONG, counts),
            284: (SHORT, [1]),
        }
        if differs:
            table[317] = (SHORT, [2])
        made = tuple(_entry(tag, kind, values, self._order) for tag, (kind, values) in table.items())
        self._finish(made + entries)

    def copy(self, segments: Iterator[bytes], entries: tuple[Entry, ...]) -> None:
        """Add a page unchanged: its compressed strips or tiles, and ``entries`` for all except their location."""
        offsets, counts = self._placed(segments)
        is_tiled = any(entry.tag == _TILE_WIDTH for entry in entries)
        places = (TILE_OFFSETS, TILE_COUNTS) if is_tiled else (STRIP_OFFSETS, STRIP_COUNTS)
        made = (_entry(tag, LONG, values, self._order) for tag, values in zip(places, (offsets, counts), strict=True))
        self._finish((*entries, *made))

    def _placed(self, pieces: Iterator[bytes]) -> tuple[list[int], list[int]]:
        offsets, counts = [], []
        for piece in pieces:
            at = self._room(len(piece))
            offsets.append(at)
            counts.append(len(piece))
            self._write(at, piece)
        return offsets, counts

    def _room(self, size: int) -> int:
        """Return the first even position after all written data where ``size`` bytes overlap nothing that is placed."""
        at = self._end
        for taken in self._taken:
            if at < taken.stop and at + size > taken.start:
                at = taken.stop + taken.stop % 2
        return at

    def _write(self, at: int, data: bytes) -> None:
        self._check(at + len(data))
        self._file.seek(at)
        self._file.write(data)
        self._end = at + len(data) + len(data) % 2

    def _finish(self, entries: tuple[Entry, ...]) -> None:
        at = self._room(len(write_ifd(entries, self._order, self._end)))
        self._write(at, write_ifd(entries, self._order, at))
        self._file.seek(self._link)
        self._file.write(struct.pack(self._order + "I", at))
        self._link = at + 2 + 12 * len(entries)

    def _check(self, end: int) -> None:
        if end >= _LIMIT:
            raise OutputError(
                f"{self._path}: would be larger than the 4 GB a TIFF can hold", advice="Use a PNG source."
            )


def _of_height(strips: Iterator[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
    """Regroup the rows into pieces of ``rows``, the last one possibly shorter."""
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
