"""PNG photographs, 8 and 16 bits a sample: read whole, written row by row, every other chunk carried along."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from pipeline.media.stills.exif import orientation_of, without_thumbnail
from pipeline.media.stills.icc import profile_for_colour
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.png_chunks import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGB_ALPHA,
    SIGNATURE,
    Chunk,
    DamagedPngError,
    Header,
    encode_pixels,
    read_chunks,
    read_header,
)
from pipeline.media.stills.samples import damaged, luma_of_rgb, refuse, rgb_strips, small_chroma
from pipeline.media.stills.still import AiColour, ColourModel, Plane, Still, StillFormat, Strip
from pipeline.media.stills.xmp import declare_ai_colour
from pipeline.results import Note, NoteKind

XMP_KEY = b"XML:com.adobe.xmp\0"
_PROFILE_NAME = b"ICC profile"
_INFLATED_LIMIT = 64 << 20
_PACKED_FLOOR = 1 << 20
# Described the pixels as they were coded; the result is coded otherwise.
_REPLACED = (b"PLTE", b"tRNS", b"hIST")


@dataclass(frozen=True, kw_only=True, eq=False)
class CarriedPng:
    """Chunks of the source, those that stood before the pixels and those after, and its header."""

    header: Header
    before: tuple[Chunk, ...]
    after: tuple[Chunk, ...]


def read_png(path: Path, *, pixel_limit: int) -> Still:
    """Decode to luma and alpha. Raises `InputError`."""
    try:
        with path.open("rb") as file:
            header = read_header(file.read(33))
        check_size(path, header.width, header.height, pixel_limit=pixel_limit)
        data = path.read_bytes()
        found = list(read_chunks(data))
        chunks = [placed for placed in found if placed.sound]
        kinds = {placed.chunk.kind: placed.chunk.data for placed in chunks}
        if b"acTL" in kinds:
            raise refuse(path, "is an animated PNG")
        if len(data) - sum(len(placed.chunk.data) for placed in found) > _most_packed(header):
            raise damaged(path, f"is a PNG with far more data than {header.width} x {header.height} pixels can need")
        pixels = imagecodecs.png_decode(data)
    except (DamagedPngError, RuntimeError, ValueError) as error:
        raise damaged(path, f"cannot be decoded: {error}") from error
    del data
    if pixels.shape[:2] != (header.height, header.width):
        raise damaged(path, f"decodes to {pixels.shape[:2]}, its header says {header.height} x {header.width}")
    luma, alpha = _planes(pixels, kinds.get(b"tRNS") if header.colour in (GREY, RGB) else None, header)
    chroma = small_chroma(pixels) if pixels.ndim == 3 and pixels.shape[2] >= 3 else None
    del pixels
    orientation, notes = orientation_of(kinds.get(b"eXIf"))
    unsound = [placed.chunk.kind.decode("latin-1") for placed in found if not placed.sound]
    notes += tuple(Note(NoteKind.DROPPED, f"PNG chunk {name} has a wrong check sum") for name in unsound)
    return Still(
        path=path,
        format=StillFormat.PNG,
        luma=luma,
        bits=8 * luma.dtype.itemsize,
        orientation=orientation,
        colour_model=ColourModel.RGB,
        alpha=alpha,
        notes=(*notes, *_notes(header, kinds)),
        carried=CarriedPng(
            header=header,
            before=tuple(_carried(placed.chunk) for placed in chunks if not placed.after),
            after=tuple(_carried(placed.chunk) for placed in chunks if placed.after),
        ),
        chroma=chroma,
        is_bilevel=header.colour == GREY and header.depth == 1 and alpha is None,
        profile=_inflated_profile(kinds.get(b"iCCP")),
    )


def write_png(path: Path, still: Still, strips: Iterator[Strip], *, declared: AiColour | None) -> tuple[Note, ...]:
    """Write RGB ``strips``, with the source's chunks if it was a PNG, with alpha if it had one."""
    header = Header(still.width, still.height, still.bits, RGB if still.alpha is None else RGB_ALPHA)
    carried = still.carried if isinstance(still.carried, CarriedPng) else CarriedPng(header=header, before=(), after=())
    before, notes = _for_colour(carried.before, carried.header, header)
    after, more = _for_colour(carried.after, carried.header, header)
    notes += more
    if declared is not None:
        before, after, more = _with_declaration(before, after, declared)
        notes += more
    with path.open("wb") as file:
        file.write(SIGNATURE + header.chunk().tobytes())
        file.writelines(chunk.tobytes() for chunk in before)
        file.writelines(encode_pixels(rgb_strips(still, strips)))
        file.writelines(chunk.tobytes() for chunk in after)
        file.write(Chunk(b"IEND", b"").tobytes())
    return notes


def _most_packed(header: Header) -> int:
    """Bytes that honest packed pixels stay below, so that no time is spent on inflating what is thrown away."""
    samples = {GREY: 1, PALETTE: 1, GREY_ALPHA: 2, RGB: 3, RGB_ALPHA: 4}.get(header.colour, 4)
    return 2 * header.height * (1 + header.width * samples * max(1, header.depth // 8)) + _PACKED_FLOOR


def _planes(pixels: NDArray[Any], key: bytes | None, header: Header) -> tuple[Plane, Plane | None]:
    """Luma and alpha of decoded pixels; a transparent colour ``key`` becomes alpha."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    channels = pixels.shape[2]
    top = np.iinfo(pixels.dtype).max
    alpha = pixels[..., -1].copy() if channels in (2, 4) else None
    if key is not None and alpha is None:
        codes = np.array(struct.unpack(f">{channels}H", key[: 2 * channels]))
        if header.depth < 8:
            codes = codes * (255 // ((1 << header.depth) - 1))
        alpha = np.where((pixels == codes).all(axis=2), 0, top).astype(pixels.dtype)
    luma = luma_of_rgb(pixels) if channels >= 3 else np.ascontiguousarray(pixels[..., 0])
    return luma, alpha


def _notes(header: Header, kinds: dict[bytes, bytes]) -> tuple[Note, ...]:
    notes = []
    if header.colour == PALETTE:
        notes.append(Note(NoteKind.CONVERTED, "palette became full 8-bit samples"))
    elif header.depth < 8:
        notes.append(Note(NoteKind.CONVERTED, f"{header.depth}-bit grey became 8-bit samples"))
    if b"tRNS" in kinds:
        notes.append(Note(NoteKind.CONVERTED, "transparent colour became an alpha channel"))
    return tuple(notes)


def _for_colour(chunks: tuple[Chunk, ...], source: Header, result: Header) -> tuple[list[Chunk], tuple[Note, ...]]:
    kept: list[Chunk] = []
    notes: list[Note] = []
    for chunk in chunks:
        if chunk.kind in _REPLACED:
            continue
        made, more = _carried_over(chunk, source, result)
        kept += made
        notes += more
    return kept, tuple(notes)


def _carried_over(chunk: Chunk, source: Header, result: Header) -> tuple[list[Chunk], tuple[Note, ...]]:
    was_grey = source.colour in (GREY, GREY_ALPHA)
    if chunk.kind == b"iCCP":
        return _profile(chunk)
    if chunk.kind in (b"sBIT", b"bKGD") and source != result:
        had_alpha = source.colour in (GREY_ALPHA, RGB_ALPHA)
        same = source.depth == result.depth and had_alpha == (result.colour == RGB_ALPHA)
        if not same or source.colour == PALETTE:
            return [], (Note(NoteKind.DROPPED, f"PNG chunk {chunk.kind.decode()} describes the former samples"),)
        if was_grey and chunk.kind == b"sBIT":
            return [replace(chunk, data=chunk.data[:1] * 3 + chunk.data[1:2])], ()
        return [replace(chunk, data=chunk.data * 3) if was_grey else chunk], ()
    if chunk.kind in _STANDARD or chunk.safe_to_copy:
        return [chunk], ()
    name = chunk.kind.decode("latin-1")
    return [], (Note(NoteKind.DROPPED, f"PNG chunk {name} is marked as unsafe to keep when pixels change"),)


# Chunks of the standard and its extensions that stay true when colour is added.
_STANDARD = (
    *(b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"mDCv", b"cLLi", b"sBIT", b"bKGD", b"pHYs"),
    *(b"sPLT", b"eXIf", b"tIME", b"tEXt", b"zTXt", b"iTXt", b"oFFs", b"sCAL", b"pCAL", b"sTER"),
)


def _carried(chunk: Chunk) -> Chunk:
    return Chunk(chunk.kind, without_thumbnail(chunk.data)) if chunk.kind == b"eXIf" else chunk


def _profile(chunk: Chunk) -> tuple[list[Chunk], tuple[Note, ...]]:
    profile = _inflated_profile(chunk.data)
    if profile is None:
        return [], (Note(NoteKind.DROPPED, "ICC profile: damaged (it cannot be inflated)"),)
    made, notes = profile_for_colour(profile)
    if made is None:
        return [], notes
    if made == profile:
        return [chunk], notes
    return [Chunk(b"iCCP", _PROFILE_NAME + b"\0\0" + zlib.compress(made))], notes


def _inflated_profile(data: bytes | None) -> bytes | None:
    """Profile inside the data of an iCCP chunk; None if there is none, or none to be had."""
    if data is None:
        return None
    try:
        return zlib.decompressobj().decompress(data.partition(b"\0")[2][1:], _INFLATED_LIMIT)
    except zlib.error:
        return None


def _with_declaration(
    before: list[Chunk], after: list[Chunk], declared: AiColour
) -> tuple[list[Chunk], list[Chunk], tuple[Note, ...]]:
    former = next((chunk for chunk in before + after if chunk.kind == b"iTXt" and chunk.data.startswith(XMP_KEY)), None)
    packet, notes = declare_ai_colour(_xmp_text(former.data) if former else None, declared)
    made = Chunk(b"iTXt", XMP_KEY + b"\0\0\0\0" + packet)
    if former is None:
        return [*before, made], after, notes
    swap = [[made if chunk is former else chunk for chunk in chunks] for chunks in (before, after)]
    return swap[0], swap[1], notes


def _xmp_text(data: bytes) -> bytes:
    """Text of an iTXt chunk; what cannot be unpacked is handed on as it is, and found to be damaged there."""
    packed, rest = data[len(XMP_KEY) : len(XMP_KEY) + 1], data[len(XMP_KEY) + 2 :]
    text = rest.partition(b"\0")[2].partition(b"\0")[2]
    if packed != b"\x01":
        return text
    try:
        return zlib.decompressobj().decompress(text, _INFLATED_LIMIT)
    except zlib.error:
        return text
