"""The metadata of a file, and what the coloured one must carry instead."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from pipeline.media.stills.exif import without_thumbnail
from pipeline.media.stills.icc import is_rgb, profile_for_colour
from pipeline.media.stills.xmp import AiColour, declare_ai_colour
from pipeline.results import Note, NoteKind


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """ICC ``profile``, ``exif`` (a TIFF structure, without prefix) and ``xmp`` packet, None if absent.

    ``other``: (name, bytes) of every other block, tag, chunk or box that is carried over unchanged.
    """

    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    other: tuple[tuple[str, bytes], ...] = ()

    def missing(self, found: Metadata) -> list[str]:
        """Return the names of blocks in ``other`` that ``found`` lacks, or holds with other bytes."""
        lost = Counter(self.other) - Counter(found.other)
        return [name for name, _ in lost.elements()]


def for_result(
    source: Metadata, declared: AiColour | None, *, xmp_room: int | None = None
) -> tuple[Metadata, tuple[Note, ...]]:
    """Return the metadata for the result of a source with metadata ``source``, and notes about it.

    ``declared`` is None for a picture that is rewritten with its own colours: its RGB profile is then kept.
    ``xmp_room`` is the largest packet that the format can hold, in bytes.
    """
    profile, notes = profile_for_colour(source.profile)
    if declared is None and source.profile is not None and is_rgb(source.profile):
        profile, notes = source.profile, ()
    made = replace(source, profile=profile, exif=without_thumbnail(source.exif) if source.exif else None)
    if declared is None:
        return made, notes
    xmp, more = declare_ai_colour(source.xmp, declared, has_new_profile=profile != source.profile)
    if xmp_room is not None and len(xmp) > xmp_room:
        text = "no room in the XMP segment: the result's XMP does not declare its AI colour"
        return made, (*notes, Note(NoteKind.DROPPED, text))
    return replace(made, xmp=xmp), (*notes, *more)
