"""TIFF directories as raw entries: read, checked and written without interpreting their values.

EXIF is a TIFF stream without pixels, so this serves both. Layout: TIFF 6.0, section 2; EXIF 2.32, section 4.6.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import BinaryIO

TYPE_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
    129: 1,
}
_LONG8 = 16
_BIG_ONLY = (_LONG8, 17, 18)
SHORT, LONG, UNDEFINED, BYTE = 3, 4, 7, 1

EXIF_IFD, GPS_IFD, INTEROP_IFD = 34665, 34853, 40965
SUB_IFDS = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
ORIENTATION = 274
# Makers' notes contain offsets of unknown layout, most of them from the beginning of the TIFF structure.
MAKER_NOTE = 37500

_DEPTH = 3
_VALUE_LIMIT = 64 << 20


class DamagedIfdError(ValueError):
    """A directory that points outside its file or contradicts itself."""


@dataclass(frozen=True)
class Entry:
    """One tag with its value as stored in the file; ``children`` for a pointer to another directory.

    ``place`` is the file position that the value must keep in a copy, because it contains offsets of its own.
    """

    tag: int
    kind: int
    count: int
    data: bytes
    children: tuple[Entry, ...] = field(default=())
    place: int | None = None

    @property
    def placed(self) -> tuple[Entry, ...]:
        """The entries with a place, from this entry and those below it."""
        own = (self,) if self.place is not None else ()
        return (*own, *(entry for child in self.children for entry in child.placed))

    def tobytes(self) -> bytes:
        """Return type, count and value, including those of entries below it, for comparison."""
        own = struct.pack("<HIQ", self.tag, self.kind, self.count) + (b"" if self.children else self.data)
        return own + b"".join(child.tobytes() for child in self.children)


@dataclass(frozen=True)
class TiffHeader:
    """Byte order ("<" or ">"), whether it is BigTIFF, and the offset of the first directory."""

    order: str
    big: bool
    first: int


def read_header(file: BinaryIO) -> TiffHeader:
    """Read the first bytes of ``file``. Raises `DamagedIfdError`."""
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise DamagedIfdError("no TIFF header")
    (magic,) = struct.unpack_from(order + "H", head, 2)
    if magic == 42:
        return TiffHeader(order, False, struct.unpack_from(order + "I", head, 4)[0])
    if magic == 43 and len(head) == 16:
        return TiffHeader(order, True, struct.unpack_from(order + "Q", head, 8)[0])
    raise DamagedIfdError(f"not a TIFF version: {magic}")


def read_ifd(file: BinaryIO, header: TiffHeader, offset: int, *, depth: int = 0) -> tuple[Entry, ...]:
    """Read all entries of the directory at ``offset``, with EXIF, GPS and interoperability directories below them.

    Raises `DamagedIfdError` for anything that points outside the file, is unreasonably large, or nests too deep.
    """
    if depth >= _DEPTH:
        raise DamagedIfdError("directories nest too deep")
    return tuple(read_entry(file, header, item, depth=depth) for item in read_items(file, header, offset))


def read_items(file: BinaryIO, header: TiffHeader, offset: int) -> list[tuple[int, int, int, bytes]]:
    """Read the bare table at ``offset``: (tag, type, count, value or offset field), nothing followed or checked.

    Raises `DamagedIfdError` if the table itself lies outside the file.
    """
    counter, item, inline = ("Q", "HHQ", 8) if header.big else ("H", "HHI", 4)
    counter_size = struct.calcsize(header.order + counter)
    (number,) = struct.unpack(header.order + counter, _read(file, offset, counter_size))
    if not 0 < number <= 65535:
        raise DamagedIfdError(f"directory of {number} entries")
    size = struct.calcsize(header.order + item) + inline
    table = _read(file, offset + counter_size, number * size)
    items = []
    for start in range(0, number * size, size):
        tag, kind, count = struct.unpack_from(header.order + item, table, start)
        items.append((tag, kind, count, table[start + size - inline : start + size]))
    return items


def successor(file: BinaryIO, header: TiffHeader, offset: int) -> range:
    """Return the position of the pointer to the directory after the one at ``offset``; empty if there is none.

    Raises `DamagedIfdError`.
    """
    counter, size, pointer = ("Q", 20, "Q") if header.big else ("H", 12, "I")
    width = struct.calcsize(header.order + counter)
    (number,) = struct.unpack(header.order + counter, _read(file, offset, width))
    start = offset + width + number * size
    end = _read(file, start, struct.calcsize(header.order + pointer))
    return range(start, start + len(end) if any(end) else start)


def write_ifd(entries: tuple[Entry, ...], order: str, offset: int) -> bytes:
    """Return a classic TIFF directory for the even file position ``offset``, with its values and sub-directories.

    Values with a place of their own are left to the caller.
    """
    entries = tuple(sorted(entries, key=lambda entry: entry.tag))
    table = struct.pack(order + "H", len(entries))
    after = b""
    values_at = offset + 2 + 12 * len(entries) + 4
    for entry in entries:
        data = entry.data
        if entry.children:
            at = values_at + len(after)
            after += write_ifd(entry.children, order, at)
            data = struct.pack(order + "I", at)
        if entry.place is not None:
            data = struct.pack(order + "I", entry.place)
        elif len(data) > 4:
            at = values_at + len(after)
            after += data + b"\0" * (len(data) % 2)
            data = struct.pack(order + "I", at)
        table += struct.pack(order + "HHI", entry.tag, entry.kind, entry.count) + data.ljust(4, b"\0")
    return table + struct.pack(order + "I", 0) + after


def classic(entry: Entry) -> Entry | None:
    """Return ``entry`` without the 8-byte types of BigTIFF, also below it; None if nothing is left."""
    if entry.kind in _BIG_ONLY and not entry.children:
        return None
    if not entry.children:
        return entry
    children = tuple(kept for child in entry.children if (kept := classic(child)))
    return replace(entry, kind=LONG, count=1, data=b"", children=children) if children else None


def shortened(entry: Entry, order: str) -> Entry:
    """Return ``entry`` with BigTIFF's 8-byte integers shortened to 4 bytes. Raises `DamagedIfdError`."""
    if entry.kind != _LONG8:
        return entry
    values = struct.unpack(f"{order}{entry.count}Q", entry.data)
    if max(values, default=0) >> 32:
        raise DamagedIfdError(f"tag {entry.tag} holds a number beyond 4 bytes")
    return replace(entry, kind=LONG, data=struct.pack(f"{order}{entry.count}I", *values))


def integer(entry: Entry, order: str) -> int | None:
    """Return the first value of an entry of unsigned integers, else None."""
    code = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(entry.kind)
    if code is None or entry.count < 1 or len(entry.data) < TYPE_SIZES[entry.kind]:
        return None
    return int(struct.unpack_from(order + code, entry.data)[0])


def read_entry(file: BinaryIO, header: TiffHeader, item: tuple[int, int, int, bytes], *, depth: int = 0) -> Entry:
    """Read the entry of one `read_items` item, with its value and any directory it points to.

    Raises `DamagedIfdError` as `read_ifd` does.
    """
    tag, kind, count, value = item
    unit = TYPE_SIZES.get(kind)
    if unit is None:
        raise DamagedIfdError(f"tag {tag} has unknown type {kind}")
    size = unit * count
    if size > _VALUE_LIMIT:
        raise DamagedIfdError(f"tag {tag} claims {size} bytes")
    place = None
    if size > len(value):
        (at,) = struct.unpack(header.order + ("Q" if header.big else "I"), value)
        data = _read(file, at, size)
        place = at if tag == MAKER_NOTE else None
    else:
        data = value[:size]
    entry = Entry(tag, kind, count, data, place=place)
    if tag not in SUB_IFDS:
        return entry
    at = integer(entry, header.order)
    if at is None:
        raise DamagedIfdError(f"tag {tag} does not point to a directory")
    return replace(entry, children=read_ifd(file, header, at, depth=depth + 1))


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    # Beyond the limits of a file system, seeking itself fails.
    data = b""
    if offset < 1 << 40:
        file.seek(offset)
        data = file.read(size)
    if len(data) != size:
        raise DamagedIfdError(f"{size} bytes at {offset} are not in the file")
    return data
