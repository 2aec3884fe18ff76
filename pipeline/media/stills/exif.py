"""EXIF as a block of bytes: check it, read the orientation, and remove the thumbnail of the old picture."""

from __future__ import annotations

from io import BytesIO
from typing import BinaryIO

from pipeline.media.stills.ifd import (
    EXIF_IFD,
    ORIENTATION,
    DamagedIfdError,
    Entry,
    TiffHeader,
    integer,
    read_entry,
    read_header,
    read_ifd,
    read_items,
    successor,
)
from pipeline.results import Note, NoteKind

PREFIX = b"Exif\0\0"
_UPRIGHT = 1
_EXPOSURE = (33434, 33437)  # exposure time and f-number
_FILE_SOURCE, _SCANNERS = 41728, (b"\x01", b"\x02")  # of film, of prints


def orientation_of(exif: bytes | None) -> tuple[int, tuple[Note, ...]]:
    """Return the orientation (1 to 8) in the TIFF-structured block ``exif``; 1 if absent.

    A damaged block gives a note, not an error: it is carried over unchanged, and its orientation is still used if that
    much can be read.
    """
    if not exif:
        return _UPRIGHT, ()
    file = BytesIO(exif)
    try:
        header = read_header(file)
        orientation, notes = read_orientation(file, header)
    except DamagedIfdError as error:
        return _UPRIGHT, (Note(NoteKind.ASSUMED, f"EXIF is damaged ({error}): kept as it was, treated as upright"),)
    try:
        if _pointer_to_thumbnail(file, header):
            text = "the thumbnail in EXIF is not carried over: it shows the original picture"
            notes = (*notes, Note(NoteKind.DROPPED, text))
    except DamagedIfdError as error:
        text = f"EXIF is damaged ({error}): kept as it was; its orientation, {orientation}, was readable"
        notes = (*notes, Note(NoteKind.ASSUMED, text))
    return orientation, notes


def is_taken_by_camera(exif: bytes | None) -> bool:
    """Return whether the TIFF-structured block ``exif`` is from an exposure by a digital camera, not from a scanner."""
    if not exif:
        return False
    file = BytesIO(exif)
    try:
        header = read_header(file)
        items = read_items(file, header, header.first)
        pointer = next((item for item in items if item[0] == EXIF_IFD), None)
        where = None if pointer is None else integer(Entry(*pointer), header.order)
        found = {} if where is None else {item[0]: item for item in read_items(file, header, where)}
        # Rationals: exposures of 0/0 come from programs that fill in unknown values.
        exposures = [read_entry(file, header, found[tag]) for tag in _EXPOSURE if tag in found]
        origin = read_entry(file, header, found[_FILE_SOURCE]).data[:1] if _FILE_SOURCE in found else b""
    except DamagedIfdError:
        return False
    return origin not in _SCANNERS and any(any(entry.data[:4]) for entry in exposures)


def without_thumbnail(exif: bytes) -> bytes:
    """Return the block ``exif``, with `PREFIX` or without, without its thumbnail; a damaged one unchanged.

    The bytes that point to the thumbnail become zero, and nothing else changes or moves: makers' notes in EXIF contain
    offsets of unknown layout.
    """
    start = len(PREFIX) if exif.startswith(PREFIX) else 0
    file = BytesIO(exif[start:])
    try:
        pointer = _pointer_to_thumbnail(file, read_header(file))
    except DamagedIfdError:
        return exif
    return exif[: start + pointer.start] + bytes(len(pointer)) + exif[start + pointer.stop :]


def _pointer_to_thumbnail(file: BinaryIO, header: TiffHeader) -> range:
    read_ifd(file, header, header.first)
    return successor(file, header, header.first)


def read_orientation(file: BinaryIO, header: TiffHeader) -> tuple[int, tuple[Note, ...]]:
    """Return the orientation (1 to 8) in the first directory; an impossible value counts as upright, with a note.

    Raises `DamagedIfdError` if there is no directory to read.
    """
    for tag, kind, count, value in read_items(file, header, header.first):
        if tag == ORIENTATION:
            found = integer(Entry(tag, kind, count, value), header.order)
            if found is not None and 1 <= found <= 8:
                return found, ()
            what = "the orientation" if found is None else f"orientation {found}"
            return _UPRIGHT, (Note(NoteKind.ASSUMED, f"{what} is not one of 1 to 8: treated as upright"),)
    return _UPRIGHT, ()
