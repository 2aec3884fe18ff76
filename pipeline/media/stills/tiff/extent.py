"""The extent of a TIFF: the end of the last item that its directories refer to."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from pipeline.media.stills.ifd import SUB_IFDS, TYPE_SIZES, DamagedIfdError, TiffHeader, read_header, read_items

# Tags and types that point to directories: sub-pictures and global parameters beside EXIF and the like.
_DIRECTORIES = frozenset((*SUB_IFDS, 330, 400))
_DIRECTORY_TYPES = (13, 18)
# Tags with the positions of strips, tiles, free space and a thumbnail, and those with their sizes.
_PLACES = {273: 279, 324: 325, 288: 289, 513: 514}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MOST_DIRECTORIES = 10_000
_MOST_BYTES = 64 << 20
_BLOCK = 1 << 20
# Beyond the limits of a file system, seeking itself fails.
_FARTHEST = 1 << 40


def bytes_behind(path: Path, *, known: int) -> int:
    """Return the number of bytes after everything that the TIFF at ``path`` refers to, not counting zeros at its end.

    ``known`` is an end that is known otherwise. Items referred to only by a damaged directory are ignored, and so are
    positions beyond the file, which damaged tags contain. Raises `DamagedIfdError`, `OSError`.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        end = last = place = max(end for end in (known, *_ends(file)) if end <= size)
        file.seek(end)
        while block := file.read(_BLOCK):
            last = place + len(block.rstrip(b"\0")) if any(block) else last
            place += len(block)
    return last - end


def reaches_beyond(path: Path) -> bool:
    """Return whether the TIFF at ``path`` refers to more than it contains, or is too damaged. Raises `OSError`."""
    try:
        with path.open("rb") as file:
            return max(_ends(file)) > path.stat().st_size
    except DamagedIfdError:
        return True


def _ends(file: BinaryIO) -> list[int]:
    """Return the end of each item that the directories refer to, inside the file or not, including the header's.

    Raises `DamagedIfdError`.
    """
    header = read_header(file)
    ends, waiting, seen = [8], [header.first], set[int]()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        try:
            items = read_items(file, header, at)
        except DamagedIfdError:
            if at == header.first:
                raise
            continue
        values = {item[0]: _values(file, header, item) for item in items}
        pointer = header.order + ("Q" if header.big else "I")
        following = at + (8 + 20 * len(items) if header.big else 2 + 12 * len(items))
        file.seek(following)
        if len(data := file.read(struct.calcsize(pointer))) == struct.calcsize(pointer):
            waiting += [after for after in struct.unpack(pointer, data) if after]
        ends.append(following + len(data))
        ends += (_value_end(header, item) for item in items)
        for places, sizes in _PLACES.items():
            pairs = zip(values.get(places, ()), values.get(sizes, ()), strict=False)
            ends += (place + size for place, size in pairs)
        for tag, kind, *_ in items:
            if tag in _DIRECTORIES or kind in _DIRECTORY_TYPES:
                waiting += values[tag]
    return ends


def _value_end(header: TiffHeader, item: tuple[int, int, int, bytes]) -> int:
    """Return where the value of an entry ends, 0 if it is stored in the entry itself."""
    _tag, kind, count, field = item
    size = TYPE_SIZES.get(kind, 0) * count
    if size <= len(field):
        return 0
    (at,) = struct.unpack(header.order + ("Q" if header.big else "I"), field)
    return int(at) + size


def _values(file: BinaryIO, header: TiffHeader, item: tuple[int, int, int, bytes]) -> tuple[int, ...]:
    """Return the numbers in an entry of unsigned integers; empty if they are not in the file, or of another type."""
    _tag, kind, count, field = item
    size = TYPE_SIZES.get(kind, 0) * count
    if kind not in _CODES or not 0 < size <= _MOST_BYTES:
        return ()
    if end := _value_end(header, item):
        if end >= _FARTHEST:
            return ()
        file.seek(end - size)
        field = file.read(size)
    return struct.unpack(f"{header.order}{count}{_CODES[kind]}", field[:size]) if len(field) >= size else ()
