"""JPEG 2000 files as boxes, and the header of the codestream.

Layout: ITU-T T.800, annex A (codestream) and annex I (the JP2 file).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
EXIF_UUID = b"JpgTiffExif->JP2"

_SIZ, _COD, _SOT = 0xFF51, 0xFF52, 0xFF90
_MOST_BOXES = 10_000


class DamagedJp2Error(ValueError):
    """Boxes that do not form a JPEG 2000 file."""


@dataclass(frozen=True)
class Box:
    """A box's type and contents."""

    kind: bytes
    data: bytes

    def tobytes(self) -> bytes:
        """Return the box as stored in a file."""
        if len(self.data) + 8 < 1 << 32:
            return struct.pack(">I4s", len(self.data) + 8, self.kind) + self.data
        return struct.pack(">I4sQ", 1, self.kind, len(self.data) + 16) + self.data


@dataclass(frozen=True)
class Codestream:
    """Size, the depth of every component (negative if signed), its subsampling, and whether coding is lossless."""

    width: int
    height: int
    depths: tuple[int, ...]
    is_subsampled: bool
    is_reversible: bool


def read_boxes(data: bytes) -> tuple[list[Box], int]:
    """Return the consecutive boxes in ``data``, and the number of bytes after them that form none.

    Raises `DamagedJp2Error` for too many.
    """
    boxes: list[Box] = []
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position) if len(data) - position >= 8 else (1, b"")
        start = position + 8
        if size == 1 and len(data) - position >= 16:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = position + size if size else len(data)
        if end < start or end > len(data):
            return boxes, len(data) - position
        boxes.append(Box(kind, data[start:end]))
        position = end
        if len(boxes) > _MOST_BOXES:
            raise DamagedJp2Error(f"more than {_MOST_BOXES} boxes")
    return boxes, 0


def read_codestream(data: bytes) -> Codestream:
    """Read the main header of a codestream. Raises `DamagedJp2Error`."""
    try:
        marker, siz, size = struct.unpack_from(">HHH", data)
        if (marker, siz) != (0xFF4F, _SIZ):
            raise DamagedJp2Error("its codestream has no size")
        right, lower, left, upper = struct.unpack_from(">4I", data, 8)
        (number,) = struct.unpack_from(">H", data, 40)
        parts = [struct.unpack_from("3B", data, 42 + 3 * index) for index in range(min(number, 16))]
        position = 4 + size
        reversible = False
        while (marker := struct.unpack_from(">H", data, position)[0]) != _SOT:
            if marker == _COD:
                reversible = data[position + 13] == 1
            position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    except (struct.error, IndexError) as error:
        raise DamagedJp2Error("its codestream breaks off") from error
    return Codestream(
        width=right - left,
        height=lower - upper,
        depths=tuple(-(depth & 0x7F) - 1 if depth & 0x80 else depth + 1 for depth, _, _ in parts),
        is_subsampled=any((across, down) != (1, 1) for _, across, down in parts),
        is_reversible=reversible,
    )
