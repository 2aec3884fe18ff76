"""What a file says beside its pixels, and what the coloured one must say in its place."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from pipeline.media.stills.exif import without_thumbnail
from pipeline.media.stills.icc import is_rgb, profile_for_colour
from pipeline.media.stills.xmp import AiColour, declare_ai_colour
from pipeline.results import Note, NoteKind


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """ICC ``profile``, ``exif`` (a TIFF structure, without prefix) and ``xmp`` packet, None where there is none.

    ``other``: (name, bytes) of every other block, tag, chunk or box that is carried over as it is.
    """

    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    other: tuple[tuple[str, bytes], ...] = ()

    def missing(self, found: Metadata) -> list[str]:
        """Name the blocks of ``other`` that ``found`` lacks, or holds with other bytes."""
        lost = Counter(self.other) - Counter(found.other)
        return [name for name, _ in lost.elements()]


def for_result(
    source: Metadata, declared: AiColour | None, *, xmp_room: int | None = None
) -> tuple[Metadata, tuple[Note, ...]]:
    """Return what a result must carry whose source carries ``source``, and what there is to say about it.

    ``declared`` is None for a picture that is written anew with its own colours: its RGB profile is kept then.
    ``xmp_room`` is the largest packet the format holds, in bytes.
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
