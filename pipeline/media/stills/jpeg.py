"""JPEG photographs: the coded luma stays as it is, chroma is added beside it."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.media.stills.exif import PREFIX, orientation_of, without_thumbnail
from pipeline.media.stills.icc import profile_for_colour
from pipeline.media.stills.jpeg_graft import chroma_table, encoded, grafted, luma_alone
from pipeline.media.stills.jpeg_luma import NotSeparableError, luma_scans
from pipeline.media.stills.jpeg_segments import (
    APP0,
    APP1,
    APP2,
    APP14,
    DQT,
    LARGEST_PAYLOAD,
    DamagedJpegError,
    JpegFile,
    Scan,
    Segment,
    parse,
    read_frame,
)
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.samples import checked_strips, damaged, refuse, small_chroma, small_size
from pipeline.media.stills.still import AiColour, ColourModel, Plane, Still, StillFormat, Strip
from pipeline.media.stills.xmp import declare_ai_colour
from pipeline.results import Note, NoteKind

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ICC = b"ICC_PROFILE\0"
_MPF = b"MPF\0"
_ADOBE = b"Adobe"


@dataclass(frozen=True, kw_only=True, eq=False)
class CarriedJpeg:
    """What the writer needs: the file taken apart, and its luma scans (None where they cannot be taken out)."""

    jpeg: JpegFile
    luma: tuple[Scan, ...] | None


def read_jpeg(path: Path, *, pixel_limit: int) -> Still:
    """Decode the Y' plane, without the way through RGB. Raises `InputError`."""
    try:
        with path.open("rb") as file:
            frame = read_frame(file.read(16 << 20))
        check_size(path, frame.width, frame.height, pixel_limit=pixel_limit)
        if frame.precision != 8:
            raise refuse(path, f"is a JPEG of {frame.precision} bits")
        if len(frame.components) not in (1, 3):
            raise refuse(path, f"is a JPEG of {len(frame.components)} components (CMYK or the like)")
        data = path.read_bytes()
        jpeg = parse(data)
    except DamagedJpegError as error:
        raise damaged(path, f"is not a sound JPEG file: {error}") from error
    luma = _decode(path, data)
    if luma.shape != (frame.height, frame.width):
        raise damaged(path, f"decodes to {luma.shape}, its header says {frame.height} x {frame.width}")
    orientation, notes = orientation_of(_exif(jpeg.applications))
    scans, scan_notes = _luma_scans(path, jpeg, luma)
    return Still(
        path=path,
        format=StillFormat.JPEG,
        luma=luma,
        bits=8,
        orientation=orientation,
        colour_model=ColourModel.YCBCR,
        alpha=None,
        notes=(*notes, *scan_notes),
        carried=CarriedJpeg(jpeg=jpeg, luma=scans),
        chroma=_own_chroma(path, data, jpeg),
        profile=_profile(jpeg.applications),
    )


def write_jpeg(path: Path, still: Still, strips: Iterator[Strip], *, declared: AiColour | None) -> tuple[Note, ...]:
    """Write (Y', Cb, Cr) ``strips`` to ``path``; the Y' of the strips is needed only where luma is coded anew."""
    carried: CarriedJpeg = still.carried
    applications, notes = _applications(carried.jpeg, declared)
    table = chroma_table(_source_chroma_table(carried.jpeg))
    if carried.luma is None:
        pieces: Iterator[bytes] = _coded_anew(still, strips, applications, table)
    else:
        chroma = np.empty((2, still.height, still.width), np.uint8)
        for top, strip in checked_strips(still, strips):
            chroma[:, top : top + strip.shape[0]] = np.moveaxis(strip[..., 1:], 2, 0)
        luma_table = carried.jpeg.quantisation[carried.jpeg.frame.components[0].table]
        pieces = grafted(applications, carried.jpeg.frame, carried.luma, luma_table, (chroma[0], chroma[1]), table)
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
    return notes


def _decode(path: Path, data: bytes) -> Plane:
    try:
        with Image.open(BytesIO(data), formats=("JPEG",)) as image:
            # libjpeg then leaves chroma undecoded and hands out the Y' plane itself.
            image.draft("L", None)
            if image.mode != "L":
                raise refuse(path, f"is a JPEG of mode {image.mode}")
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise damaged(path, f"cannot be decoded: {error}") from error


def _own_chroma(path: Path, data: bytes, jpeg: JpegFile) -> NDArray[np.float32] | None:
    """Small chroma of a file that has any; libjpeg reduces it while decoding."""
    if len(jpeg.frame.components) != 3:
        return None
    size = small_size(jpeg.frame.width, jpeg.frame.height)
    try:
        with Image.open(BytesIO(data), formats=("JPEG",)) as image:
            image.draft("RGB" if _is_rgb(jpeg) else "YCbCr", size)
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise damaged(path, f"cannot be decoded: {error}") from error
    if _is_rgb(jpeg):
        return small_chroma(pixels)
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)
    return np.ascontiguousarray(np.moveaxis((small[..., 1:] - 128) / 255, -1, 0), np.float32)


def _luma_scans(path: Path, jpeg: JpegFile, decoded: Plane) -> tuple[tuple[Scan, ...] | None, tuple[Note, ...]]:
    """Find the luma scans, and what to say where luma has to be coded anew instead."""
    if _is_rgb(jpeg):
        return None, (Note(NoteKind.CONVERTED, "JPEG holds R, G and B: it becomes Y'CbCr, its luma is rounded"),)
    try:
        found = luma_scans(jpeg)
    except NotSeparableError as error:
        return None, (Note(NoteKind.CONVERTED, f"JPEG luma is coded anew with its own tables ({error})"),)
    except DamagedJpegError as error:
        return None, (Note(NoteKind.CONCEALED, f"image data is damaged ({error}): decoded as far as it goes"),)
    if len(jpeg.frame.components) == 3 and not _decodes_to(path, jpeg, found.scans, decoded):
        return None, (Note(NoteKind.CONCEALED, "image data is damaged (its luma cannot be told from its chroma)"),)
    if not found.sound:
        return found.scans, (Note(NoteKind.CONCEALED, "image data is damaged (it goes on after the last block)"),)
    return found.scans, ()


def _decodes_to(path: Path, jpeg: JpegFile, scans: tuple[Scan, ...], luma: Plane) -> bool:
    """Whether the scans taken out of a colour file still are its luma: what damaged codes mean depends on company."""
    alone = luma_alone(jpeg.frame, scans, jpeg.quantisation[jpeg.frame.components[0].table])
    try:
        return np.array_equal(_decode(path, alone), luma)
    except InputError:
        return False


def _is_rgb(jpeg: JpegFile) -> bool:
    """Whether three components are R, G and B: the signs that libjpeg goes by, in its order."""
    if len(jpeg.frame.components) != 3:
        return False
    if any(segment.marker == APP0 and segment.payload.startswith(b"JFIF\0") for segment in jpeg.applications):
        return False
    for segment in jpeg.applications:
        if segment.marker == APP14 and segment.payload.startswith(_ADOBE) and len(segment.payload) >= 12:
            return segment.payload[11] == 0
    return tuple(part.name for part in jpeg.frame.components) == tuple(b"RGB")


def _source_chroma_table(jpeg: JpegFile) -> tuple[int, ...] | None:
    if len(jpeg.frame.components) != 3 or _is_rgb(jpeg):
        return None
    return jpeg.quantisation.get(jpeg.frame.components[1].table)


def _exif(segments: Sequence[Segment]) -> bytes | None:
    parts = [segment.payload.removeprefix(PREFIX) for segment in segments if _is(segment, APP1, PREFIX)]
    return b"".join(parts) or None


def _applications(jpeg: JpegFile, declared: AiColour | None) -> tuple[list[Segment], tuple[Note, ...]]:
    """Application segments and comments of the result: the source's own, except those that would no longer be true."""
    kept = [_now_ycbcr(segment) for segment in jpeg.applications if not _is(segment, APP2, _MPF)]
    notes: list[Note] = []
    if len(kept) < len(jpeg.applications):
        notes.append(Note(NoteKind.DROPPED, "further pictures in the JPEG file (MPF) are not carried over"))
    elif jpeg.extra > 1024:
        notes.append(Note(NoteKind.DROPPED, f"{jpeg.extra} bytes after the end of the JPEG are not carried over"))
    kept, more = _with_profile(_without_thumbnail(kept))
    notes += more
    if declared is not None:
        kept, more = _with_declaration(kept, declared)
        notes += more
    return kept, tuple(notes)


def _without_thumbnail(segments: list[Segment]) -> list[Segment]:
    # EXIF that is too long for one segment goes on in the next.
    rest, kept = without_thumbnail(_exif(segments) or b""), []
    for segment in segments:
        if _is(segment, APP1, PREFIX):
            size = len(segment.payload) - len(PREFIX)
            segment, rest = replace(segment, payload=PREFIX + rest[:size]), rest[size:]
        kept.append(segment)
    return kept


def _is(segment: Segment, marker: int, begin: bytes) -> bool:
    return segment.marker == marker and segment.payload.startswith(begin)


def _now_ycbcr(segment: Segment) -> Segment:
    """Adobe's marker says how colour is coded: on a grey file it may say anything, here it has to say Y'CbCr."""
    if not _is(segment, APP14, _ADOBE) or len(segment.payload) < 12:
        return segment
    return replace(segment, payload=segment.payload[:11] + b"\x01" + segment.payload[12:])


def _with_profile(segments: list[Segment]) -> tuple[list[Segment], tuple[Note, ...]]:
    profile = _profile(segments)
    if profile is None:
        return segments, ()
    result, notes = profile_for_colour(profile)
    if result == profile:
        return segments, notes
    at = next(index for index, segment in enumerate(segments) if _is(segment, APP2, _ICC))
    others = [segment for segment in segments if not _is(segment, APP2, _ICC)]
    return [*others[:at], *_profile_segments(result or b""), *others[at:]], notes


def _profile(segments: Sequence[Segment]) -> bytes | None:
    parts = [segment.payload[12:] for segment in segments if _is(segment, APP2, _ICC) and len(segment.payload) > 14]
    return b"".join(part[2:] for part in sorted(parts, key=lambda part: part[0])) or None


def _profile_segments(profile: bytes) -> list[Segment]:
    room = LARGEST_PAYLOAD - len(_ICC) - 2
    number = math.ceil(len(profile) / room)
    return [
        Segment(APP2, _ICC + struct.pack("BB", index + 1, number) + profile[index * room : (index + 1) * room])
        for index in range(number)
    ]


def _with_declaration(segments: list[Segment], declared: AiColour) -> tuple[list[Segment], tuple[Note, ...]]:
    places = [index for index, segment in enumerate(segments) if _is(segment, APP1, _XMP)]
    former = segments[places[0]].payload[len(_XMP) :] if places else None
    packet, notes = declare_ai_colour(former, declared)
    if len(_XMP) + len(packet) > LARGEST_PAYLOAD:
        text = "no room in the XMP segment: the result's XMP does not declare its AI colour"
        return segments, (Note(NoteKind.DROPPED, text),)
    made = Segment(APP1, _XMP + packet)
    if places:
        return [*segments[: places[0]], made, *segments[places[0] + 1 :]], notes
    # JFIF and EXIF insist on being first.
    first = 0
    while first < len(segments) and (segments[first].marker == APP0 or _is(segments[first], APP1, PREFIX)):
        first += 1
    return [*segments[:first], made, *segments[first:]], notes


def _coded_anew(
    still: Still, strips: Iterator[Strip], applications: list[Segment], table: Sequence[int]
) -> Iterator[bytes]:
    """Encode Y'CbCr with the source's luma table: for the rare files whose coded luma cannot be taken over."""
    jpeg: JpegFile = still.carried.jpeg
    luma_table = jpeg.quantisation.get(jpeg.frame.components[0].table, table)
    image = Image.new("YCbCr", (still.width, still.height))
    for top, strip in checked_strips(still, strips):
        image.paste(Image.fromarray(np.ascontiguousarray(strip, np.uint8), "YCbCr"), (0, top))
    made = encoded(image, [luma_table, table, table], subsampling=0)
    yield b"\xff\xd8"
    yield from (segment.tobytes() for segment in applications)
    first = made.scans[0]
    yield from (segment.tobytes() for segment in first.tables if segment.marker == DQT)
    yield made.frame.tobytes()
    yield replace(first, tables=tuple(table for table in first.tables if table.marker != DQT)).tobytes()
    yield b"\xff\xd9"
