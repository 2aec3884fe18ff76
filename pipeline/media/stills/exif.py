"""EXIF as a block of bytes: is it sound, and which way up is the picture."""

from __future__ import annotations

from io import BytesIO
from typing import BinaryIO

from pipeline.media.stills.tiff_ifd import (
    ORIENTATION,
    DamagedIfdError,
    Entry,
    TiffHeader,
    has_successor,
    integer,
    read_header,
    read_ifd,
    read_items,
)
from pipeline.results import Note, NoteKind

_UPRIGHT = 1


def orientation_of(exif: bytes | None) -> tuple[int, tuple[Note, ...]]:
    """Orientation (1 to 8) that the TIFF-structured block ``exif`` asks for; 1 where it is absent.

    A damaged block is a note and not an error: it is carried over as it is, and its orientation is still used if
    that much can be read.
    """
    if not exif:
        return _UPRIGHT, ()
    file = BytesIO(exif)
    try:
        header = read_header(file)
        orientation, notes = read_orientation(file, header)
    except DamagedIfdError as error:
        return _UPRIGHT, (Note(NoteKind.ASSUMED, f"EXIF is damaged ({error}): kept as it was, taken as upright"),)
    try:
        read_ifd(file, header, header.first)
        if has_successor(file, header, header.first):
            notes = (*notes, Note(NoteKind.ASSUMED, "the thumbnail in EXIF is kept: it shows the picture as it was"))
    except DamagedIfdError as error:
        text = f"EXIF is damaged ({error}): kept as it was; its orientation, {orientation}, was readable"
        notes = (*notes, Note(NoteKind.ASSUMED, text))
    return orientation, notes


def read_orientation(file: BinaryIO, header: TiffHeader) -> tuple[int, tuple[Note, ...]]:
    """Orientation (1 to 8) in the first directory; an impossible value is taken as upright, with a note.

    Raises `DamagedIfdError` if there is no directory to look at.
    """
    for tag, kind, count, value in read_items(file, header, header.first):
        if tag == ORIENTATION:
            found = integer(Entry(tag, kind, count, value), header.order)
            if found is not None and 1 <= found <= 8:
                return found, ()
            return _UPRIGHT, (Note(NoteKind.ASSUMED, f"orientation {found} is not one of 1 to 8: taken as upright"),)
    return _UPRIGHT, ()
