"""TIFF photographs, 8 and 16 bits a sample: read by tifffile, written strip by strip, every other tag carried along."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.media.stills.exif import read_orientation
from pipeline.media.stills.icc import profile_for_colour
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.samples import expand_to_8_bits, luma_of_rgb, refuse, rgb_strips
from pipeline.media.stills.still import AiColour, ColourModel, Plane, Still, StillFormat, Strip
from pipeline.media.stills.tiff_ifd import (
    BYTE,
    SHORT,
    SUB_IFDS,
    UNDEFINED,
    DamagedIfdError,
    Entry,
    TiffHeader,
    classic,
    integer,
    read_entry,
    read_header,
    read_items,
)
from pipeline.media.stills.tiff_pixels import DEFLATE, LOSSLESS, write_pixels
from pipeline.media.stills.xmp import declare_ai_colour
from pipeline.results import Note, NoteKind

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_KINDS = {4: "a mask", 5: "CMYK", 8: "L*a*b*", 9: "L*a*b*", 10: "L*a*b*", 32803: "camera raw", 34892: "camera raw"}
# What tifffile and its codecs are seen to raise on damaged files, beside errors of their own.
_DECODER_ERRORS = (
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError, OSError, MemoryError),
    *(AssertionError, struct.error, DamagedIfdError),
)

_XMP, _ICC, _EXTRA_SAMPLES, _DESCRIPTION = 700, 34675, 338, 270

# Tags that describe how the pixels were stored; the result is stored otherwise.
_STRUCTURE = frozenset(
    (
        *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 292, 293, 317),
        *(320, 322, 323, 324, 325, 330, 332, 334, 336, 338, 339, 340, 341, 347, 512, 513, 514, 515, 517, 518, 519),
        *(520, 521, 529, 530, 531, 532, 559, _XMP, _ICC),
    )
)
# The meaning of grey codes alone.
_GREY_ONLY = {290: "grey response unit", 291: "grey response curve"}


@dataclass(frozen=True, kw_only=True, eq=False)
class CarriedTiff:
    """Tags of the source as raw entries in the byte ``order`` of the file, and what its pixels were packed with."""

    order: str
    entries: tuple[Entry, ...]
    xmp: bytes | None
    icc: bytes | None
    compression: int
    extra_sample: int


def read_tiff(path: Path, *, pixel_limit: int) -> Still:
    """Decode to luma and alpha. Raises `InputError`."""
    try:
        with tifffile.TiffFile(path) as tiff:
            page, notes = _only_page(path, tiff)
            check_size(path, page.imagewidth, page.imagelength, pixel_limit=pixel_limit)
            _check_kind(path, page)
            _check_whole(path, page)
            pixels = page.asarray(maxworkers=1)
    except _DECODER_ERRORS as error:
        raise InputError(f"{path}: cannot be decoded: {error}", advice="The file is damaged or cut off.") from error
    if pixels.shape[:2] != (page.imagelength, page.imagewidth) and page.planarconfig == 2:
        pixels = np.moveaxis(pixels, 0, -1)
    luma, alpha, more = _planes(path, page, pixels)
    del pixels
    orientation, carried, still_more = _carried(path, page)
    return Still(
        path=path,
        format=StillFormat.TIFF,
        luma=luma,
        bits=8 * luma.dtype.itemsize,
        orientation=orientation,
        colour_model=ColourModel.RGB,
        alpha=alpha,
        notes=(*notes, *more, *still_more),
        carried=carried,
    )


def write_tiff(path: Path, still: Still, strips: Iterator[Strip], *, declared: AiColour | None) -> tuple[Note, ...]:
    """Write RGB ``strips`` as one page, packed without loss as the source was, with its tags."""
    carried: CarriedTiff = still.carried
    icc, notes = profile_for_colour(carried.icc)
    xmp = carried.xmp
    if declared is not None:
        xmp, more = declare_ai_colour(carried.xmp, declared)
        notes += more
    entries = list(carried.entries)
    if icc is not None:
        entries.append(Entry(_ICC, UNDEFINED, len(icc), icc))
    if xmp is not None:
        entries.append(Entry(_XMP, BYTE, len(xmp), xmp))
    if still.alpha is not None:
        entries.append(Entry(_EXTRA_SAMPLES, SHORT, 1, struct.pack(carried.order + "H", carried.extra_sample)))
    packing = carried.compression if carried.compression in LOSSLESS else DEFLATE
    write_pixels(
        path,
        rgb_strips(still, strips),
        shape=(still.height, still.width, 3 if still.alpha is None else 4),
        bits=still.bits,
        order=carried.order,
        compression=packing,
        entries=tuple(entries),
    )
    return notes


def _only_page(path: Path, tiff: tifffile.TiffFile) -> tuple[tifffile.TiffPage, tuple[Note, ...]]:
    """Find the picture, if the file holds one; reduced copies of it are left behind with a note."""
    pages = list(tiff.pages)
    page = pages[0]
    others = [other for other in pages[1:] if not getattr(other, "subfiletype", 0) & 1]
    if not isinstance(page, tifffile.TiffPage) or page.subfiletype & 1:
        raise refuse(path, "is a TIFF that begins with a reduced picture (camera raw or the like)")
    if others:
        raise refuse(path, f"is a TIFF of {len(others) + 1} pages", advice="Split it into one file for each page.")
    if len(pages) > 1 or page.subifds:
        return page, (Note(NoteKind.DROPPED, "reduced copies inside the TIFF are not carried over"),)
    return page, ()


def _check_kind(path: Path, page: tifffile.TiffPage) -> None:
    photometric = int(page.photometric if page.photometric is not None else -1)
    if photometric in _KINDS or 50706 in page.tags:
        raise refuse(path, f"is a TIFF of {_KINDS.get(photometric, 'camera raw')} samples")
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR):
        raise refuse(path, f"is a TIFF of an unknown kind of samples ({photometric})")
    if photometric == _YCBCR and int(page.compression) != tifffile.COMPRESSION.JPEG:
        raise refuse(path, "is a TIFF of YCbCr samples outside JPEG")
    colours = 1 if photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE) else 3
    if not colours <= page.samplesperpixel <= colours + (photometric != _PALETTE):
        raise refuse(path, f"is a TIFF of {page.samplesperpixel} samples for each pixel")
    allowed = (1, 2, 4, 8, 16) if page.samplesperpixel == 1 else (8, 16)
    bits = page.bitspersample
    if page.sampleformat != 1 or bits not in allowed or (photometric == _PALETTE and bits > 8):
        form = {1: "", 2: "signed ", 3: "floating-point "}.get(int(page.sampleformat), "unknown ")
        raise refuse(path, f"is a TIFF of {bits}-bit {form}samples")


def _check_whole(path: Path, page: tifffile.TiffPage) -> None:
    size = path.stat().st_size
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count == 0 or offset + count > size:
            raise InputError(f"{path}: part of its pixels is not in the file", advice="The file is cut off.")


def _planes(path: Path, page: tifffile.TiffPage, pixels: NDArray[Any]) -> tuple[Plane, Plane | None, tuple[Note, ...]]:
    notes: tuple[Note, ...] = ()
    bits = int(page.bitspersample)
    photometric = int(page.photometric)
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    if photometric == _PALETTE:
        table = np.moveaxis(np.asarray(page.colormap), 0, -1)
        luma = luma_of_rgb((table // 257).astype(np.uint8)[None])[0][pixels[..., 0]]
        return luma, None, (Note(NoteKind.CONVERTED, "palette became full 8-bit samples"),)
    if bits < 8:
        pixels = expand_to_8_bits(pixels, bits=bits)
        notes = (Note(NoteKind.CONVERTED, f"{bits}-bit grey became 8-bit samples"),)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise refuse(path, f"is a TIFF of {pixels.dtype} samples")
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    colours = 3 if photometric in (_RGB, _YCBCR) else 1
    luma = luma_of_rgb(pixels) if colours == 3 else np.ascontiguousarray(pixels[..., 0])
    if photometric == _WHITE_IS_ZERO:
        luma = np.iinfo(luma.dtype).max - luma
        notes = (*notes, Note(NoteKind.CONVERTED, "white-is-zero TIFF became black-is-zero; it looks the same"))
    if int(page.compression) not in LOSSLESS:
        notes = (
            *notes,
            Note(
                NoteKind.CONVERTED,
                f"TIFF packed with {tifffile.COMPRESSION(page.compression).name} is packed with deflate",
            ),
        )
    alpha = np.ascontiguousarray(pixels[..., -1]) if pixels.shape[2] > colours else None
    return luma, alpha, notes


def _carried(path: Path, page: tifffile.TiffPage) -> tuple[int, CarriedTiff, tuple[Note, ...]]:
    """Orientation and all tags that describe the picture and not its storage; damaged ones are named and left out."""
    entries: list[Entry] = []
    notes: list[Note] = []
    found: dict[int, bytes] = {}
    with path.open("rb") as file:
        header = read_header(file)
        header = TiffHeader(header.order, header.big, page.offset)
        orientation, more = read_orientation(file, header)
        notes += more
        for item in read_items(file, header, page.offset):
            tag = item[0]
            if tag in _STRUCTURE - {_XMP, _ICC, _EXTRA_SAMPLES}:
                continue
            try:
                entry = classic(read_entry(file, header, item))
            except DamagedIfdError as error:
                what = "EXIF" if tag in SUB_IFDS else "TIFF tag"
                notes.append(Note(NoteKind.DROPPED, f"{what} {tag} is damaged ({error})"))
                continue
            if entry is None:
                notes.append(Note(NoteKind.DROPPED, f"TIFF tag {tag} exists in BigTIFF only"))
            elif tag in (_XMP, _ICC):
                found[tag] = entry.data
            elif tag == _EXTRA_SAMPLES:
                found[tag] = struct.pack("B", integer(entry, header.order) or 0)
            elif tag in _GREY_ONLY:
                notes.append(Note(NoteKind.DROPPED, f"TIFF {_GREY_ONLY[tag]} describes grey pictures only"))
            elif tag == _DESCRIPTION and entry.data.startswith(b'{"shape":'):
                notes.append(Note(NoteKind.DROPPED, "TIFF description of an array layout that has changed"))
            else:
                entries.append(entry)
    return (
        orientation,
        CarriedTiff(
            order=header.order,
            entries=tuple(entries),
            xmp=found.get(_XMP),
            icc=found.get(_ICC),
            compression=int(page.compression),
            extra_sample=found.get(_EXTRA_SAMPLES, b"\0")[0],
        ),
        tuple(notes),
    )
