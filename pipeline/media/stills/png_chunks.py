"""PNG (W3C Recommendation, third edition) as chunks, and an encoder that takes rows as they come."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.media.stills.still import Strip

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
# Stored samples per pixel.
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
# Five times as fast as 6 on 16-bit samples, for files some 5 % larger.
_LEVEL = 4
_CHUNK = 1 << 17


class DamagedPngError(ValueError):
    """Chunks that do not form a PNG file."""


@dataclass(frozen=True)
class Chunk:
    """A chunk's type and data."""

    kind: bytes
    data: bytes

    @property
    def safe_to_copy(self) -> bool:
        """Whether it stays true for a picture whose pixels have changed."""
        return bool(self.kind[3] & 32)

    def tobytes(self) -> bytes:
        """Return the chunk as stored in a file."""
        check = zlib.crc32(self.data, zlib.crc32(self.kind))
        return struct.pack(">I", len(self.data)) + self.kind + self.data + struct.pack(">I", check)


@dataclass(frozen=True)
class Placed:
    """A chunk as found: whether it followed the pixels, and whether its checksum is right."""

    chunk: Chunk
    after: bool
    sound: bool


@dataclass(frozen=True)
class Chunks:
    """All chunks except header, pixels and end; whether there is an end, and the number of non-empty bytes after it."""

    found: tuple[Placed, ...]
    is_closed: bool
    extra: int


@dataclass(frozen=True)
class Header:
    """IHDR: ``colour`` is one of the colour types of this module."""

    width: int
    height: int
    depth: int
    colour: int
    is_interlaced: bool = False

    def chunk(self) -> Chunk:
        """Return IHDR for a picture without interlacing."""
        return Chunk(b"IHDR", struct.pack(">IIBBBBB", self.width, self.height, self.depth, self.colour, 0, 0, 0))


def read_header(data: bytes) -> Header:
    """Return IHDR from the first 33 bytes of a file. Raises `DamagedPngError`."""
    if len(data) < 33 or not data.startswith(SIGNATURE) or data[12:16] != b"IHDR":
        raise DamagedPngError("no IHDR")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    return Header(width, height, depth, colour, is_interlaced=data[28] == 1)


def chunk_places(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type, start and stated end, which may be too far, of each chunk in a file."""
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        end = position + 12 + struct.unpack_from(">I", data, position)[0]
        yield data[position + 4 : position + 8], position, end
        position = end


def read_chunks(data: bytes) -> Chunks:
    """Return every chunk except header, pixels and end. Raises `DamagedPngError` if the chunks break off."""
    found: list[Placed] = []
    after = False
    for kind, position, end in chunk_places(data):
        if end > len(data):
            raise DamagedPngError(f"chunk {kind!r} does not end in the file")
        if kind == b"IDAT":
            after = True
        elif kind == b"IEND":
            return Chunks(tuple(found), is_closed=True, extra=len(data[end:].rstrip(b"\0")))
        elif kind != b"IHDR":
            chunk = Chunk(kind, data[position + 8 : end - 4])
            found.append(Placed(chunk, after=after, sound=chunk.tobytes()[-4:] == data[end - 4 : end]))
    if not after:
        raise DamagedPngError("it has no pixels")
    return Chunks(tuple(found), is_closed=False, extra=0)


def transparency_fits(data: bytes, colour: int) -> bool:
    """Return whether tRNS has the form required for this colour type (section 11.3.1.1)."""
    if colour == PALETTE:
        return 1 <= len(data) <= 256
    return len(data) == {GREY: 2, RGB: 6}.get(colour, -1)


def essential(data: bytes, header: Header) -> bytes:
    """Keep only the chunks that the pixels of a valid file need: libpng reports others on stderr."""
    parts = [SIGNATURE]
    for kind, position, end in chunk_places(data):
        if kind == b"IEND":
            break
        if kind in (b"IHDR", b"PLTE", b"IDAT") or (
            kind == b"tRNS" and transparency_fits(data[position + 8 : end - 4], header.colour)
        ):
            parts.append(data[position:end])
    return b"".join((*parts, Chunk(b"IEND", b"").tobytes()))


def encode_pixels(strips: Iterator[Strip]) -> Iterator[bytes]:
    """IDAT chunks for strips (rows, W, channels), uint8 or uint16, each row filtered the way that looks smallest."""
    packer = zlib.compressobj(_LEVEL)
    pending = bytearray()
    above: NDArray[np.uint8] | None = None
    for strip in strips:
        wide = strip.astype(strip.dtype.newbyteorder(">"), copy=False)
        rows = np.ascontiguousarray(wide).view(np.uint8).reshape(strip.shape[0], -1)
        if above is None:
            above = np.zeros(rows.shape[1], np.uint8)
        pending += packer.compress(_filtered(rows, above, strip.shape[2] * strip.dtype.itemsize))
        above = rows[-1]
        while len(pending) >= _CHUNK:
            yield Chunk(b"IDAT", bytes(pending[:_CHUNK])).tobytes()
            del pending[:_CHUNK]
    yield Chunk(b"IDAT", bytes(pending) + packer.flush()).tobytes()


def _filtered(rows: NDArray[np.uint8], above: NDArray[np.uint8], pixel: int) -> bytes:
    """Return rows (N, bytes), each after its filter type: the lowest sum of differences of None, Sub, Up and Paeth."""
    up = np.vstack((above[None], rows[:-1]))
    left, corner = np.zeros_like(rows), np.zeros_like(rows)
    left[:, pixel:], corner[:, pixel:] = rows[:, :-pixel], up[:, :-pixel]
    candidates = ((0, rows), (1, rows - left), (2, rows - up), (4, rows - _paeth(left, up, corner)))
    costs = np.stack(
        [np.abs(made.view(np.int8).astype(np.int16)).sum(axis=1, dtype=np.int64) for _, made in candidates]
    )
    best = costs.argmin(axis=0)
    out = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    for index, (kind, made) in enumerate(candidates):
        chosen = best == index
        out[chosen, 0] = kind
        out[chosen, 1:] = made[chosen]
    return out.tobytes()


def _paeth(left: NDArray[np.uint8], up: NDArray[np.uint8], corner: NDArray[np.uint8]) -> NDArray[np.uint8]:
    a, b, c = left.astype(np.int16), up.astype(np.int16), corner.astype(np.int16)
    to_left, to_up, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    nearest_up = np.where(to_up <= to_corner, up, corner)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest_up)
