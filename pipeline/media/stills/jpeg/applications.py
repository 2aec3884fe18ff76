"""Application segments and comments of a JPEG: which stay true in the coloured one, and their content."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from pipeline.media.stills import photoshop
from pipeline.media.stills.exif import PREFIX
from pipeline.media.stills.jpeg.segments import APP0, APP1, APP2, APP13, APP14, COM, LARGEST_PAYLOAD, Segment
from pipeline.media.stills.metadata import Metadata
from pipeline.results import Note, NoteKind

XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ICC = b"ICC_PROFILE\0"
_MPF = b"MPF\0"
_ADOBE = b"Adobe"
_JFIF, _JFXX = b"JFIF\0", b"JFXX\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_JFIF_SIZE = 14


def kept_segments(segments: Sequence[Segment]) -> tuple[tuple[Segment, ...], tuple[Note, ...]]:
    """Return the segments without those that would no longer be true in a coloured picture."""
    notes = []
    kept = [segment for segment in segments if not is_of(segment, APP2, _MPF)]
    if len(kept) < len(segments):
        notes.append(Note(NoteKind.DROPPED, "further pictures in the JPEG file (MPF) are not carried over"))
    without = _without_photoshop_thumbnail(_without_jfif_thumbnail(kept))
    if without != kept:
        notes.append(
            Note(
                NoteKind.DROPPED,
                "a thumbnail in JFIF or Photoshop's records is not carried over: it shows the original picture",
            )
        )
    return tuple(map(_now_ycbcr, without)), tuple(notes)


def metadata_of(segments: Sequence[Segment]) -> Metadata:
    """Return the metadata in the segments; all but profile, EXIF and XMP are blocks to carry over unchanged."""
    xmp = next((segment.payload[len(XMP) :] for segment in segments if is_of(segment, APP1, XMP)), None)
    others = [segment for segment in segments if _field(segment) is None]
    return Metadata(
        profile=_profile(segments),
        exif=exif_of(segments),
        xmp=xmp,
        other=tuple((_name(segment), segment.payload) for segment in others),
    )


def with_metadata(segments: Sequence[Segment], metadata: Metadata) -> list[Segment]:
    """Replace profile, EXIF and XMP of the source by those of the result."""
    made = {
        "exif": _exif_segments(segments, metadata.exif or b""),
        "xmp": [Segment(APP1, XMP + metadata.xmp)] if metadata.xmp is not None else [],
        "profile": _profile_segments(metadata.profile) if metadata.profile else [],
    }
    placed: list[Segment] = []
    for segment in segments:
        field = _field(segment)
        placed += [segment] if field is None else made.pop(field, [])
    # JFIF and EXIF must be first.
    first = 0
    while first < len(placed) and (placed[first].marker == APP0 or is_of(placed[first], APP1, PREFIX)):
        first += 1
    return [*placed[:first], *(segment for new in made.values() for segment in new), *placed[first:]]


def _exif_segments(segments: Sequence[Segment], exif: bytes) -> list[Segment]:
    """Return segments of the same sizes as the source's or, if EXIF has another size, as few as hold it."""
    sizes = [len(segment.payload) - len(PREFIX) for segment in segments if is_of(segment, APP1, PREFIX)]
    if sum(sizes) != len(exif):
        return [Segment(APP1, PREFIX + part) for part in _parts(exif, PREFIX)]
    ends = list(accumulate(sizes))
    return [Segment(APP1, PREFIX + exif[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def exif_of(segments: Sequence[Segment]) -> bytes | None:
    """Join EXIF, which continues in further segments if it is too long for one."""
    parts = [segment.payload.removeprefix(PREFIX) for segment in segments if is_of(segment, APP1, PREFIX)]
    return b"".join(parts) or None


def is_rgb(segments: Sequence[Segment], names: tuple[int, ...]) -> bool:
    """Return whether three components called ``names`` are R, G and B, by libjpeg's rules, in its order."""
    if len(names) != 3 or any(is_of(segment, APP0, _JFIF) for segment in segments):
        return False
    for segment in segments:
        if is_of(segment, APP14, _ADOBE) and len(segment.payload) >= 12:
            return segment.payload[11] == 0
    return names == tuple(b"RGB")


def is_of(segment: Segment, marker: int, begin: bytes) -> bool:
    """Return whether a segment has this marker and its payload starts with ``begin``."""
    return segment.marker == marker and segment.payload.startswith(begin)


def _field(segment: Segment) -> str | None:
    """Return the field of `Metadata` that a segment belongs to, None for any other."""
    if segment.marker == APP1:
        return "exif" if segment.payload.startswith(PREFIX) else "xmp" if segment.payload.startswith(XMP) else None
    return "profile" if is_of(segment, APP2, _ICC) else None


def _name(segment: Segment) -> str:
    return "comment" if segment.marker == COM else f"APP{segment.marker - APP0} segment"


def _now_ycbcr(segment: Segment) -> Segment:
    """Adobe's marker states the colour coding: on a grey file it may say anything, here it must say Y'CbCr."""
    if not is_of(segment, APP14, _ADOBE) or len(segment.payload) < 12:
        return segment
    return replace(segment, payload=segment.payload[:11] + b"\x01" + segment.payload[12:])


def _without_jfif_thumbnail(segments: list[Segment]) -> list[Segment]:
    kept = []
    for segment in segments:
        if is_of(segment, APP0, _JFXX):
            continue
        if is_of(segment, APP0, _JFIF) and len(segment.payload) > _JFIF_SIZE:
            segment = replace(segment, payload=segment.payload[: _JFIF_SIZE - 2] + b"\0\0")
        kept.append(segment)
    return kept


def _without_photoshop_thumbnail(segments: list[Segment]) -> list[Segment]:
    """Remove it from the records, which continue in further segments if they are too long for one."""
    places = [at for at, segment in enumerate(segments) if is_of(segment, APP13, _PHOTOSHOP)]
    former = b"".join(segments[at].payload.removeprefix(_PHOTOSHOP) for at in places)
    made = photoshop.without_thumbnail(former)
    if made == former:
        return segments
    new = [Segment(APP13, _PHOTOSHOP + part) for part in _parts(made, _PHOTOSHOP)]
    others = [segment for at, segment in enumerate(segments) if at not in places]
    return [*others[: places[0]], *new, *others[places[0] :]]


def _parts(data: bytes, prefix: bytes) -> list[bytes]:
    room = LARGEST_PAYLOAD - len(prefix)
    return [data[start : start + room] for start in range(0, len(data), room)]


def _profile(segments: Sequence[Segment]) -> bytes | None:
    parts = [segment.payload[12:] for segment in segments if is_of(segment, APP2, _ICC) and len(segment.payload) > 14]
    return b"".join(part[2:] for part in sorted(parts, key=lambda part: part[0])) or None


def _profile_segments(profile: bytes) -> list[Segment]:
    room = LARGEST_PAYLOAD - len(_ICC) - 2
    number = math.ceil(len(profile) / room)
    return [
        Segment(APP2, _ICC + struct.pack("BB", index + 1, number) + profile[index * room : (index + 1) * room])
        for index in range(number)
    ]
