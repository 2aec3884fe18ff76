"""TIFF photographs, 8 and 16 bits a sample: read by tifffile, written strip by strip, every other tag carried along."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.media.stills.exif import read_orientation
from pipeline.media.stills.icc import profile_for_colour
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.samples import damaged, expand_to_8_bits, luma_of_rgb, refuse, rgb_strips, small_chroma
from pipeline.media.stills.still import AiColour, ColourModel, Plane, Still, StillFormat, Strip
from pipeline.media.stills.tiff_checks import PALETTE, RGB, WHITE_IS_ZERO, YCBCR, check_page, packing_name
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
    shortened,
)
from pipeline.media.stills.tiff_pixels import (
    DEFLATE,
    LOSSLESS,
    STRIP_COUNTS,
    STRIP_OFFSETS,
    TILE_COUNTS,
    TILE_OFFSETS,
    TiffPages,
)
from pipeline.media.stills.xmp import declare_ai_colour
from pipeline.results import Note, NoteKind

# What tifffile and its codecs are seen to raise on damaged files, beside errors of their own.
_DECODER_ERRORS = (
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError, OSError, MemoryError),
    *(AssertionError, struct.error, DamagedIfdError),
)

_XMP, _ICC, _EXTRA_SAMPLES, _DESCRIPTION = 700, 34675, 338, 270
_SUBFILE_TYPE, _ONE_OF_SEVERAL = 254, 2
_SUB_PICTURES = 330
_PLACES = (STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS)
_MOST_PAGES = 1000

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
    """Tags of a page as raw entries in the byte ``order`` of the file, and what its pixels were packed with.

    ``directory`` and ``segments``, (offset, size) of every strip or tile, are where the page lies in the source.
    """

    order: str
    entries: tuple[Entry, ...]
    xmp: bytes | None
    icc: bytes | None
    compression: int
    extra_sample: int
    directory: TiffHeader
    segments: tuple[tuple[int, int], ...]


def read_tiff(path: Path, *, pixel_limit: int) -> Still:
    """Decode to luma and alpha, all pages. Raises `InputError`."""
    try:
        with tifffile.TiffFile(path) as tiff:
            pages, notes = _picture_pages(path, tiff)
            check_size(path, pages[0].imagewidth, pages[0].imagelength, pixel_limit=pixel_limit)
            size = sum(page.imagewidth * page.imagelength for page in pages)
            if size > pixel_limit:
                raise refuse(path, f"is a TIFF of {len(pages)} pages with {size / 1e6:.0f} million pixels together")
            stills = [_read_page(path, page) for page in pages]
    except _DECODER_ERRORS as error:
        raise damaged(path, f"cannot be decoded: {error}") from error
    more = tuple(
        replace(still, notes=tuple(replace(note, text=f"page {number}: {note.text}") for note in still.notes))
        for number, still in enumerate(stills[1:], 2)
    )
    return replace(stills[0], notes=(*notes, *stills[0].notes), further=more)


def write_tiff(path: Path, pages: Sequence[tuple[Still, Iterator[Strip] | None, AiColour | None]]) -> tuple[Note, ...]:
    """Write ``pages``: RGB strips packed without loss as the source was, with its tags; or the page as it was."""
    notes: list[Note] = []
    source = pages[0][0].path
    with path.open("wb") as file, source.open("rb") as original:
        made = TiffPages(path, file, pages[0][0].carried.order)
        for still, strips, declared in pages:
            carried: CarriedTiff = still.carried
            if strips is None:
                made.copy(_pieces(original, carried), _all_entries(original, carried))
                continue
            entries, more = _entries(still, declared)
            notes += (note for note in more if note not in notes)
            made.add(
                rgb_strips(still, strips),
                shape=(still.height, still.width, 3 if still.alpha is None else 4),
                bits=still.bits,
                compression=carried.compression if carried.compression in LOSSLESS else DEFLATE,
                entries=entries,
            )
    return tuple(notes)


def _entries(still: Still, declared: AiColour | None) -> tuple[tuple[Entry, ...], tuple[Note, ...]]:
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
    return tuple(entries), notes


def _pieces(original: BinaryIO, carried: CarriedTiff) -> Iterator[bytes]:
    for offset, size in carried.segments:
        original.seek(offset)
        yield original.read(size)


def _all_entries(original: BinaryIO, carried: CarriedTiff) -> tuple[Entry, ...]:
    """All tags of a page that is kept, those of its storage too; the damaged ones were named when it was read."""
    found = []
    for item in read_items(original, carried.directory, carried.directory.first):
        if item[0] not in (_SUB_PICTURES, *_PLACES):
            with contextlib.suppress(DamagedIfdError):
                found.append(classic(shortened(read_entry(original, carried.directory, item), carried.order)))
    return tuple(entry for entry in found if entry is not None)


def _picture_pages(path: Path, tiff: tifffile.TiffFile) -> tuple[list[tifffile.TiffPage], tuple[Note, ...]]:
    """Find the pictures in the file; reduced copies of them are left behind with a note."""
    pages: list[tifffile.TiffPage] = []
    notes: list[Note] = []
    is_reduced = False
    seen: set[int] = set()
    for number, page in enumerate(tiff.pages):
        if page.offset in seen:
            notes.append(Note(NoteKind.CONCEALED, "the pages of the TIFF run in a circle: each was read once"))
            break
        seen.add(page.offset)
        if number >= _MOST_PAGES:
            raise refuse(path, f"is a TIFF of more than {_MOST_PAGES} pages")
        # tifffile hands out pages like the first one in a shorter form.
        page = page if isinstance(page, tifffile.TiffPage) else page.aspage()
        is_reduced |= bool(page.subfiletype & 1) or bool(page.subifds)
        if not page.subfiletype & 1:
            pages.append(page)
        elif number == 0:
            raise refuse(path, "is a TIFF that begins with a reduced picture (camera raw or the like)")
    if is_reduced:
        notes.append(Note(NoteKind.DROPPED, "reduced copies inside the TIFF are not carried over"))
    return pages, tuple(notes)


def _read_page(path: Path, page: tifffile.TiffPage) -> Still:
    try:
        check_page(path, page)
    except InputError as error:
        raise type(error)(f"{error} (page {page.index + 1})", advice=error.advice) if page.index else error from None
    pixels = page.asarray(maxworkers=1)
    if pixels.shape[:2] != (page.imagelength, page.imagewidth) and page.planarconfig == 2:
        pixels = np.moveaxis(pixels, 0, -1)
    luma, alpha, chroma, notes = _planes(path, page, pixels)
    orientation, carried, more = _carried(path, page)
    return Still(
        path=path,
        format=StillFormat.TIFF,
        luma=luma,
        bits=8 * luma.dtype.itemsize,
        orientation=orientation,
        colour_model=ColourModel.RGB,
        alpha=alpha,
        notes=(*notes, *more),
        carried=carried,
        chroma=chroma,
        is_bilevel=int(page.bitspersample) == 1 and int(page.photometric) != PALETTE,
        profile=carried.icc,
    )


def _planes(
    path: Path, page: tifffile.TiffPage, pixels: NDArray[Any]
) -> tuple[Plane, Plane | None, NDArray[np.float32] | None, tuple[Note, ...]]:
    """Luma, alpha and small chroma of decoded pixels, and what had to be converted."""
    notes = list(_storage_notes(page))
    bits = int(page.bitspersample)
    photometric = int(page.photometric)
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    if photometric == PALETTE:
        table = np.moveaxis(np.asarray(page.colormap), 0, -1)
        # Writers stretch 8 bits by 256 or by 257, and some not at all.
        rgb = (table >> 8 if table.max() > 255 else table).astype(np.uint8)[pixels[..., 0]]
        notes.append(Note(NoteKind.CONVERTED, "palette became full 8-bit samples"))
        return luma_of_rgb(rgb), None, small_chroma(rgb), tuple(notes)
    if bits < 8:
        pixels = expand_to_8_bits(pixels, bits=bits)
        notes.append(Note(NoteKind.CONVERTED, f"{bits}-bit grey became 8-bit samples"))
    if pixels.dtype not in (np.uint8, np.uint16):
        raise refuse(path, f"is a TIFF of {pixels.dtype} samples")
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    is_rgb = photometric in (RGB, YCBCR)
    luma = luma_of_rgb(pixels) if is_rgb else np.ascontiguousarray(pixels[..., 0])
    if photometric == WHITE_IS_ZERO:
        luma = np.iinfo(luma.dtype).max - luma
        notes.append(Note(NoteKind.CONVERTED, "white-is-zero TIFF became black-is-zero; it looks the same"))
    alpha = np.ascontiguousarray(pixels[..., -1]) if pixels.shape[2] > (3 if is_rgb else 1) else None
    return luma, alpha, small_chroma(pixels) if is_rgb else None, tuple(notes)


def _storage_notes(page: tifffile.TiffPage) -> Iterator[Note]:
    if page.parent.is_bigtiff:
        yield Note(NoteKind.CONVERTED, "BigTIFF became classic TIFF")
    if page.is_tiled:
        yield Note(NoteKind.CONVERTED, "tiles became strips")
    if int(page.compression) not in LOSSLESS:
        yield Note(NoteKind.CONVERTED, f"TIFF packed with {packing_name(page)} is packed with deflate")


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
            if tag == _SUBFILE_TYPE and page.subfiletype == _ONE_OF_SEVERAL:
                entries.append(read_entry(file, header, item))
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
            directory=header,
            segments=tuple(zip(page.dataoffsets, page.databytecounts, strict=True)),
        ),
        tuple(notes),
    )
