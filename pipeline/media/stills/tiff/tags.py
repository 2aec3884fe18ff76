"""Tags of a TIFF page: those that describe the picture are kept, those that describe its storage are rebuilt."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import tifffile

from pipeline.media.stills import photoshop
from pipeline.media.stills.exif import read_orientation
from pipeline.media.stills.ifd import (
    BYTE,
    SHORT,
    SUB_IFDS,
    UNDEFINED,
    DamagedIfdError,
    Entry,
    TiffHeader,
    classic,
    read_entry,
    read_header,
    read_items,
    shortened,
)
from pipeline.media.stills.metadata import Metadata
from pipeline.media.stills.tiff.pages import STRIP_COUNTS, STRIP_OFFSETS, TILE_COUNTS, TILE_OFFSETS
from pipeline.results import Note, NoteKind

_XMP, _ICC, _EXTRA_SAMPLES, _DESCRIPTION = 700, 34675, 338, 270
_PHOTOSHOP, _LAYERS = 34377, 37724
_SUBFILE_TYPE, _ONE_OF_SEVERAL = 254, 2
_SUB_PICTURES = 330
_PLACES = (STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS)
_CLASSIC_LIMIT = 1 << 32

# Tags about the storage of the pixels, which differs in the result.
_STRUCTURE = frozenset(
    (
        *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 292, 293, 317),
        *(320, 322, 323, 324, 325, 330, 332, 334, 336, 338, 339, 340, 341, 347, 512, 513, 514, 515, 517, 518, 519),
        *(520, 521, 529, 530, 531, 532, 559),
    )
)
# The meaning of grey codes, and pictures that show the old one.
_NO_LONGER_TRUE = {
    290: "the TIFF's grey response unit is not carried over: it describes grey pictures only",
    291: "the TIFF's grey response curve is not carried over: it describes grey pictures only",
    _LAYERS: "Photoshop's layers in the TIFF are not carried over: they show the picture as it was",
}
# Directories that are not followed: pointers to them would point at pixels.
_IFD = 13
_POINTERS = {400: "global parameters", 33424: "Kodak directory", 65024: "Kodak directory"}


@dataclass(frozen=True, kw_only=True)
class PageTags:
    """Tags of a page: its orientation, what is carried over, and what is not, with the reason."""

    order: str
    orientation: int
    entries: tuple[Entry, ...]
    profile: bytes | None
    xmp: bytes | None
    notes: tuple[Note, ...]

    @property
    def metadata(self) -> Metadata:
        """Profile, XMP and all other tags; EXIF is one of them."""
        other = tuple((f"TIFF tag {entry.tag}", entry.tobytes()) for entry in self.entries)
        return Metadata(profile=self.profile, xmp=self.xmp, other=other)


def read_tags(path: Path, page: tifffile.TiffPage) -> PageTags:
    """Read the tags that describe the picture; damaged ones are reported and left out. Raises `DamagedIfdError`."""
    entries: list[Entry] = []
    found: dict[int, bytes] = {}
    with path.open("rb") as file:
        header = replace(read_header(file), first=page.offset)
        orientation, notes = read_orientation(file, header)
        for item in read_items(file, header, page.offset):
            tag = item[0]
            if tag in _STRUCTURE and not (tag == _SUBFILE_TYPE and page.subfiletype == _ONE_OF_SEVERAL):
                continue
            entry, note = _carried(file, header, item)
            if note is not None:
                notes = (*notes, note)
            if entry is not None and tag in (_XMP, _ICC):
                found[tag] = entry.data
            elif entry is not None:
                entries.append(entry)
    return PageTags(
        order=header.order,
        orientation=orientation,
        entries=tuple(entries),
        profile=found.get(_ICC),
        xmp=found.get(_XMP),
        notes=notes,
    )


def entries_for(tags: tuple[Entry, ...], metadata: Metadata, extra_samples: tuple[int, ...], order: str) -> list[Entry]:
    """Return the entries of a coloured page that do not describe its storage; ``extra_samples`` give their meaning."""
    entries = list(tags)
    if metadata.profile is not None:
        entries.append(Entry(_ICC, UNDEFINED, len(metadata.profile), metadata.profile))
    if metadata.xmp is not None:
        entries.append(Entry(_XMP, BYTE, len(metadata.xmp), metadata.xmp))
    if extra_samples:
        data = struct.pack(f"{order}{len(extra_samples)}H", *extra_samples)
        entries.append(Entry(_EXTRA_SAMPLES, SHORT, len(extra_samples), data))
    return entries


def all_entries(file: BinaryIO, header: TiffHeader) -> tuple[Entry, ...]:
    """Return all tags of a kept page, including those of its storage; damaged ones were reported when it was read."""
    found = []
    for item in read_items(file, header, header.first):
        if item[0] not in (_SUB_PICTURES, *_PLACES):
            with contextlib.suppress(DamagedIfdError):
                found.append(classic(shortened(read_entry(file, header, item), header.order)))
    return tuple(entry for entry in found if entry is not None)


def _carried(file: BinaryIO, header: TiffHeader, item: tuple[int, int, int, bytes]) -> tuple[Entry | None, Note | None]:
    """Return the entry for the result, None if it is not carried over, and a note if needed."""
    tag, kind = item[:2]
    if tag in _NO_LONGER_TRUE:
        return None, Note(NoteKind.DROPPED, _NO_LONGER_TRUE[tag])
    if tag in _POINTERS or (kind == _IFD and tag not in SUB_IFDS):
        name = _POINTERS.get(tag, "a directory of its own")
        return None, Note(NoteKind.DROPPED, f"TIFF tag {tag} ({name}) is not carried over")
    try:
        entry = classic(read_entry(file, header, item))
    except DamagedIfdError as error:
        what = "EXIF" if tag in SUB_IFDS else "TIFF tag"
        return None, Note(NoteKind.DROPPED, f"{what} {tag} is damaged ({error})")
    if entry is None:
        return None, Note(NoteKind.DROPPED, f"TIFF tag {tag} exists in BigTIFF only")
    if tag == _DESCRIPTION and entry.data.startswith(b'{"shape":'):
        return None, Note(NoteKind.DROPPED, "TIFF description of an array layout that has changed")
    if tag == _PHOTOSHOP:
        data = photoshop.without_thumbnail(entry.data)
        if data != entry.data:
            text = "the thumbnail in Photoshop's records is not carried over: it shows the original picture"
            return Entry(tag, kind, len(data), data), Note(NoteKind.DROPPED, text)
    if any(placed.place is not None and placed.place >= _CLASSIC_LIMIT for placed in entry.placed):
        return None, Note(NoteKind.DROPPED, "EXIF with a maker note beyond 4 GB has no place in a classic TIFF")
    return entry, None
