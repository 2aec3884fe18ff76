"""Interlaced PNG: its seven passes are separate pictures, which are decoded one by one and combined.

libpng's simple interface, called by imagecodecs, decodes such files too, but complains about them on stderr.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.media.stills.png_chunks import SAMPLES, SIGNATURE, Chunk, DamagedPngError, Header, chunk_places

# First row, first column, and the row and column steps (third edition, section 8.2).
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def decode_interlaced(data: bytes, header: Header, decode: Callable[[bytes], NDArray[Any]]) -> NDArray[Any]:
    """Decode a file of sound chunks, all required by its pixels; ``decode`` decodes one without interlacing.

    Raises `DamagedPngError`, and the errors of ``decode``.
    """
    packed, others = _split(data)
    passes = [found for found in (_Pass(header, *place) for place in _PASSES) if found.size]
    size = sum(found.size for found in passes)
    try:
        rows = zlib.decompressobj().decompress(packed, size)
    except zlib.error as error:
        raise DamagedPngError(f"IDAT: {error}") from error
    if len(rows) < size:
        raise DamagedPngError("not enough image data")
    whole: NDArray[Any] | None = None
    start = 0
    for found in passes:
        pixels = decode(found.file(rows[start : start + found.size], others))
        if whole is None:
            whole = np.empty((header.height, header.width, *pixels.shape[2:]), pixels.dtype)
        whole[found.row :: found.down, found.column :: found.right] = pixels
        start += found.size
    if whole is None:
        raise DamagedPngError("it has no pixels")
    return whole


class _Pass:
    """One pass: the position of its pixels, and ``size``, the bytes of its rows, each after its filter type."""

    def __init__(self, header: Header, row: int, column: int, down: int, right: int) -> None:
        self.row, self.column, self.down, self.right = row, column, down, right
        self._header = header
        self._height, self._width = -(-(header.height - row) // down), -(-(header.width - column) // right)
        stride = 1 + -(-self._width * SAMPLES.get(header.colour, 1) * header.depth // 8)
        self.size = self._height * stride if self._height > 0 and self._width > 0 else 0

    def file(self, rows: bytes, others: bytes) -> bytes:
        """Make a PNG of this pass alone."""
        header = Header(self._width, self._height, self._header.depth, self._header.colour).chunk()
        pixels = Chunk(b"IDAT", zlib.compress(rows, 1))
        return SIGNATURE + header.tobytes() + others + pixels.tobytes() + Chunk(b"IEND", b"").tobytes()


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Return packed pixels, and palette and transparency as stored in the file."""
    packed, others = [], []
    for kind, position, end in chunk_places(data):
        if kind == b"IDAT":
            packed.append(data[position + 8 : end - 4])
        elif kind in (b"PLTE", b"tRNS"):
            others.append(data[position:end])
    return b"".join(packed), b"".join(others)
