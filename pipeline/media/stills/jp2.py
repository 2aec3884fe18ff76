"""JPEG 2000 photographs (.jp2): decoded by OpenJPEG, written without loss, every other box carried along."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from pipeline.media.stills.exif import orientation_of, without_thumbnail
from pipeline.media.stills.icc import profile_for_colour
from pipeline.media.stills.jp2_boxes import (
    EXIF_UUID,
    XMP_UUID,
    Box,
    Codestream,
    DamagedJp2Error,
    read_boxes,
    read_codestream,
)
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.samples import checked_strips, damaged, luma_of_rgb, refuse, small_chroma
from pipeline.media.stills.still import AiColour, ColourModel, Still, StillFormat, Strip
from pipeline.media.stills.xmp import declare_ai_colour
from pipeline.results import Note, NoteKind

# OpenJPEG holds four bytes for every sample.
_PIXEL_LIMIT = 120_000_000
_FILE_LIMIT = 2 << 30
_SRGB, _GREY = 16, 17
_ENUMERATED, _RESTRICTED_ICC, _ANY_ICC = 1, 2, 3
_REFUSED_SPACES = {12: "CMYK", 14: "L*a*b*", 18: "YCbCr"}
# Boxes of the header that describe the former samples; the result has its own.
_REPLACED = (b"ihdr", b"bpcc", b"colr", b"pclr", b"cmap", b"cdef")


@dataclass(frozen=True, kw_only=True, eq=False)
class CarriedJp2:
    """All boxes of the source in order, that of the codestream empty, and those inside its header box."""

    boxes: tuple[Box, ...]
    header: tuple[Box, ...]


def read_jp2(path: Path, *, pixel_limit: int) -> Still:
    """Decode to luma. Raises `InputError`."""
    try:
        if path.stat().st_size > _FILE_LIMIT:
            raise refuse(path, "is a JPEG 2000 of more than 2 GB")
        data = path.read_bytes()
        boxes = tuple(read_boxes(data))
        codestreams = [box.data for box in boxes if box.kind == b"jp2c"]
        header = tuple(read_boxes(next((box.data for box in boxes if box.kind == b"jp2h"), b"")))
        if len(codestreams) != 1 or not header:
            tell = refuse if codestreams else damaged
            raise tell(path, f"is a JPEG 2000 of {len(codestreams)} pictures")
        coded = read_codestream(codestreams[0])
        check_size(path, coded.width, coded.height, pixel_limit=min(pixel_limit, _PIXEL_LIMIT))
        _check_kind(path, coded, header)
        pixels = imagecodecs.jpeg2k_decode(data)
    except (DamagedJp2Error, RuntimeError, ValueError) as error:
        raise damaged(path, f"cannot be decoded: {error}") from error
    del data
    if pixels.shape[:2] != (coded.height, coded.width):
        raise damaged(path, f"decodes to {pixels.shape[:2]}, its header says {coded.height} x {coded.width}")
    orientation, notes = orientation_of(_uuid(boxes, EXIF_UUID))
    if not coded.is_reversible:
        text = "lossy JPEG 2000 is written without loss, so that its luma stays: the file grows"
        notes = (*notes, Note(NoteKind.CONVERTED, text))
    is_rgb = pixels.ndim == 3
    return Still(
        path=path,
        format=StillFormat.JPEG_2000,
        luma=luma_of_rgb(pixels) if is_rgb else np.ascontiguousarray(pixels),
        bits=8 * pixels.dtype.itemsize,
        orientation=orientation,
        colour_model=ColourModel.RGB,
        alpha=None,
        notes=notes,
        carried=CarriedJp2(boxes=tuple(map(_carried, boxes)), header=header),
        chroma=small_chroma(pixels) if is_rgb else None,
        profile=_profile(header),
    )


def write_jp2(path: Path, still: Still, strips: Iterator[Strip], *, declared: AiColour | None) -> tuple[Note, ...]:
    """Write RGB ``strips`` without loss, with the source's boxes."""
    carried: CarriedJp2 = still.carried
    icc, notes = profile_for_colour(_profile(carried.header))
    boxes = carried.boxes
    if declared is not None:
        packet, more = declare_ai_colour(_uuid(boxes, XMP_UUID), declared)
        notes += more
        boxes = _with_xmp(boxes, packet)
    pixels = np.empty((still.height, still.width, 3), still.luma.dtype)
    for top, strip in checked_strips(still, strips):
        pixels[top : top + strip.shape[0]] = strip
    coded = _coded(pixels)
    with path.open("wb") as file:
        for box in boxes:
            if box.kind == b"jp2h":
                file.write(_header(still, carried.header, icc).tobytes())
            else:
                file.write((Box(b"jp2c", coded) if box.kind == b"jp2c" else box).tobytes())
    return notes


def _coded(pixels: NDArray[Any]) -> bytes:
    # Each resolution halves the sides; more than a small picture has room for is an error.
    resolutions = max(1, min(6, min(pixels.shape[:2]).bit_length() - 1))
    return bytes(
        imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True, resolutions=resolutions)
    )


def _check_kind(path: Path, coded: Codestream, header: tuple[Box, ...]) -> None:
    kinds = {box.kind for box in header}
    if b"pclr" in kinds:
        raise refuse(path, "is a JPEG 2000 with a palette")
    space = next((box.data for box in header if box.kind == b"colr"), b"")
    if len(space) >= 7 and space[0] == _ENUMERATED:
        (number,) = struct.unpack_from(">I", space, 3)
        if number not in (_SRGB, _GREY):
            raise refuse(path, f"is a JPEG 2000 of {_REFUSED_SPACES.get(number, f'colour space {number}')} samples")
    if len(coded.depths) not in (1, 3):
        raise refuse(path, f"is a JPEG 2000 of {len(coded.depths)} components (with transparency, CMYK or the like)")
    if set(coded.depths) not in ({8}, {16}):
        form = "signed " if min(coded.depths) < 0 else ""
        raise refuse(path, f"is a JPEG 2000 of {abs(coded.depths[0])}-bit {form}samples")
    if coded.is_subsampled:
        raise refuse(path, "is a JPEG 2000 with components of different sizes")


def _header(still: Still, former: tuple[Box, ...], icc: bytes | None) -> Box:
    """Header box of the result: size, three components, its colour space, and what else the source's held."""
    colour = struct.pack(">BbBI", _ENUMERATED, 0, 0, _SRGB)
    if icc is not None:
        colour = struct.pack(">BbB", _RESTRICTED_ICC, 0, 0) + icc
    size = struct.pack(">IIHBBBB", still.height, still.width, 3, still.bits - 1, 7, 0, 0)
    made = [Box(b"ihdr", size), Box(b"colr", colour)]
    return Box(b"jp2h", b"".join(box.tobytes() for box in (*made, *(b for b in former if b.kind not in _REPLACED))))


def _profile(header: tuple[Box, ...]) -> bytes | None:
    for box in header:
        if box.kind == b"colr" and box.data[:1] in (bytes((_RESTRICTED_ICC,)), bytes((_ANY_ICC,))):
            return box.data[3:]
    return None


def _carried(box: Box) -> Box:
    if box.kind == b"jp2c":
        return Box(b"jp2c", b"")
    if box.kind == b"uuid" and box.data.startswith(EXIF_UUID):
        return Box(b"uuid", EXIF_UUID + without_thumbnail(box.data.removeprefix(EXIF_UUID)))
    return box


def _uuid(boxes: tuple[Box, ...], name: bytes) -> bytes | None:
    found = next((box.data for box in boxes if box.kind == b"uuid" and box.data.startswith(name)), None)
    return None if found is None else found[len(name) :]


def _with_xmp(boxes: tuple[Box, ...], packet: bytes) -> tuple[Box, ...]:
    made = Box(b"uuid", XMP_UUID + packet)
    places = [at for at, box in enumerate(boxes) if box.kind == b"uuid" and box.data.startswith(XMP_UUID)]
    if places:
        return (*boxes[: places[0]], made, *boxes[places[0] + 1 :])
    at = next(at for at, box in enumerate(boxes) if box.kind == b"jp2c")
    return (*boxes[:at], made, *boxes[at:])
