"""TIFF photographs, 8 and 16 bits per sample: read by tifffile, written in strips, with all other tags carried over."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.media.stills.ifd import DamagedIfdError, Entry
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.samples import (
    damaged,
    expand_to_8_bits,
    luma_of_rgb,
    refuse,
    small_chroma,
    trailing,
    undecodable,
)
from pipeline.media.stills.still import ColourModel, Page, PageCheck, Plane, Still, StillFormat
from pipeline.media.stills.tiff.checks import COLOURS, PALETTE, RGB, WHITE_IS_ZERO, YCBCR, check_page, packing_name
from pipeline.media.stills.tiff.extent import bytes_behind
from pipeline.media.stills.tiff.pages import DEFLATE, LOSSLESS, TiffPages
from pipeline.media.stills.tiff.sequence import StoredPage, opened, pages_of, parsed, stored_pieces
from pipeline.media.stills.tiff.tags import PageTags, all_entries, entries_for, read_tags
from pipeline.media.stills.verification import Found, failed, verify_lossless
from pipeline.results import LumaCheck, Note, NoteKind, Proof

# Exceptions that tifffile and its codecs were seen to raise on damaged pixels, besides their own errors.
_DECODER_ERRORS = (
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError, OSError),
    *(AssertionError, struct.error),
)
# Chroma of two greys in a palette, within rounding.
_NO_CHROMA = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class CarriedTiff:
    """Data for writing a page: its tags, its compression, its location in the source, and pages kept after it.

    ``extra_samples`` give the meaning of each sample beside the colour (TIFF 6.0, section 18).
    """

    tags: PageTags
    compression: int
    extra_samples: tuple[int, ...]
    stored: StoredPage
    followers: tuple[StoredPage, ...] = ()


class TiffFormat(StillFormat):
    """TIFF with one or more pages; results are classic TIFF in strips, losslessly compressed."""

    name = "TIFF"
    suffixes = (".tif", ".tiff")

    def sniff(self, head: bytes) -> bool:
        """Recognise byte order and version; BigTIFF too."""
        return head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))

    def read(self, path: Path, *, pixel_limit: int) -> Still:
        """Decode to luma and alpha, all pages. Raises `InputError`."""
        with opened(path) as tiff:
            found = pages_of(path, tiff)
            first = found.pictures[0][0]
            check_size(path, first.imagewidth, first.imagelength, pixel_limit=pixel_limit)
            size = sum(page.imagewidth * page.imagelength for page, _ in found.pictures)
            if size > pixel_limit:
                number = len(found.pictures)
                raise refuse(path, f"is a TIFF of {number} pages with {size / 1e6:.0f} million pixels together")
            stills = [self._read_page(path, page, followers) for page, followers in found.pictures]
        behind = bytes_behind(path, known=max(_stored_end(still) for still in stills))
        more = tuple(
            replace(still, notes=tuple(replace(note, text=f"page {number}: {note.text}") for note in still.notes))
            for number, still in enumerate(stills[1:], 2)
        )
        return replace(stills[0], notes=(*found.notes, *stills[0].notes, *trailing("TIFF", behind)), further=more)

    def write(self, path: Path, pages: Sequence[Page]) -> tuple[Note, ...]:
        """Write R, G and B, losslessly compressed like the source, with its tags; or a page unchanged."""
        notes: list[Note] = []
        source = pages[0].still
        with path.open("wb") as file, source.path.open("rb") as original:
            made = TiffPages(path, file, _carried(source).tags.order, _placed(original, pages))
            for page in pages:
                carried = _carried(page.still)
                if page.is_kept:
                    _copy(made, original, carried.stored)
                else:
                    notes += (note for note in _add(made, page) if note not in notes)
                for stored in carried.followers:
                    _copy(made, original, stored)
        return tuple(notes)

    def verify(self, path: Path, pages: Sequence[Page]) -> tuple[PageCheck, ...]:
        """Decode every page with tifffile and compare it with what was to be written; kept ones byte for byte."""
        wanted: list[tuple[Page | None, StoredPage]] = []
        for page in pages:
            carried = _carried(page.still)
            wanted.append((None if page.is_kept else page, carried.stored))
            wanted += [(None, stored) for stored in carried.followers]
        checks = []
        with opened(path) as tiff, path.open("rb") as file, pages[0].still.path.open("rb") as original:
            if len(tiff.pages) != len(wanted):
                raise failed(path, f"it has {len(tiff.pages)} pages, not {len(wanted)}")
            for found, (made, stored) in zip(parsed(path, tiff), wanted, strict=True):
                if made is not None:
                    pixels = _pixels(path, found)
                    try:
                        tags = read_tags(path, found)
                    except DamagedIfdError as error:
                        raise failed(path, f"its tags cannot be read: {error}") from error
                    seen = Found(pixels=pixels, orientation=tags.orientation, metadata=tags.metadata)
                    checks.append(verify_lossless(path, made, seen))
                else:
                    checks.append(_verify_kept(path, file, found, original, stored))
        return tuple(checks)

    def _read_page(self, path: Path, page: tifffile.TiffPage, followers: tuple[StoredPage, ...]) -> Still:
        try:
            check_page(path, page)
        except InputError as error:
            raise (
                type(error)(f"{error} (page {page.index + 1})", advice=error.advice) if page.index else error
            ) from None
        luma, alpha, chroma, notes = _planes(path, page, _pixels(path, page))
        try:
            tags = read_tags(path, page)
        except DamagedIfdError as error:
            raise undecodable(path, error) from error
        extra, more = _extra_samples(page, 0 if alpha is None else 1 if alpha.ndim == 2 else alpha.shape[2])
        return Still(
            path=path,
            format=self,
            luma=luma,
            orientation=tags.orientation,
            colour_model=ColourModel.RGB,
            alpha=alpha,
            notes=(*notes, *more, *tags.notes),
            metadata=tags.metadata,
            carried=CarriedTiff(
                tags=tags,
                compression=int(page.compression),
                extra_samples=extra,
                stored=StoredPage.of(page),
                followers=followers,
            ),
            chroma=chroma,
            is_bilevel=int(page.bitspersample) == 1 and (chroma is None or float(np.abs(chroma).max()) < _NO_CHROMA),
        )


TIFF = TiffFormat()


def _stored_end(still: Still) -> int:
    """Return where the last strip or tile of a page, or of the kept pages after it, ends."""
    carried = _carried(still)
    pages = (carried.stored, *carried.followers)
    return max(offset + size for page in pages for offset, size in page.segments)


def _carried(still: Still) -> CarriedTiff:
    return still.carried_as(CarriedTiff)


def _placed(original: BinaryIO, pages: Sequence[Page]) -> list[Entry]:
    """Collect the entries of all pages whose values must keep their position in the source, each once."""
    placed: dict[int | None, Entry] = {}
    for page in pages:
        carried = _carried(page.still)
        kept = [*carried.followers, *([carried.stored] if page.is_kept else [])]
        entries = [entry for stored in kept for entry in all_entries(original, stored.directory)]
        for entry in (*entries, *(() if page.is_kept else carried.tags.entries)):
            placed |= {part.place: part for part in entry.placed}
    return list(placed.values())


def _add(made: TiffPages, page: Page) -> tuple[Note, ...]:
    still, carried = page.still, _carried(page.still)
    metadata, notes = page.metadata
    made.add(
        page.strips_with_alpha(),
        shape=(still.height, still.width, 3 + len(carried.extra_samples)),
        bits=still.bits,
        compression=carried.compression if carried.compression in LOSSLESS else DEFLATE,
        entries=tuple(entries_for(carried.tags.entries, metadata, carried.extra_samples, carried.tags.order)),
    )
    return notes


def _copy(made: TiffPages, original: BinaryIO, stored: StoredPage) -> None:
    made.copy(stored_pieces(original, stored), all_entries(original, stored.directory))


def _verify_kept(
    path: Path, file: BinaryIO, found: tifffile.TiffPage, original: BinaryIO, stored: StoredPage
) -> PageCheck:
    now = StoredPage.of(found)
    pieces = zip(stored_pieces(file, now), stored_pieces(original, stored), strict=False)
    if len(now.segments) != len(stored.segments) or any(made != source for made, source in pieces):
        raise failed(path, "a page that is kept is not the source's")
    wanted = {entry.tag: entry.tobytes() for entry in all_entries(original, stored.directory)}
    if wanted != {entry.tag: entry.tobytes() for entry in all_entries(file, now.directory)}:
        raise failed(path, "tags of a page that is kept are not the source's")
    luma = LumaCheck(proof=Proof.EXACT, frames=1, bits=int(np.max(found.bitspersample)))
    return PageCheck(luma, {"picture": "kept, byte for byte as it was packed"})


def _pixels(path: Path, page: tifffile.TiffPage) -> NDArray[Any]:
    """Decode a page: (H, W, samples), native byte order."""
    try:
        pixels = page.asarray(maxworkers=1)
    except _DECODER_ERRORS as error:
        raise undecodable(path, error) from error
    if pixels.shape[:2] != (page.imagelength, page.imagewidth) and page.planarconfig == 2:
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    if pixels.shape[:2] != (page.imagelength, page.imagewidth):
        raise damaged(path, f"decodes to {pixels.shape[:2]}, its tags say {page.imagelength} x {page.imagewidth}")
    return np.asarray(pixels.astype(pixels.dtype.newbyteorder("="), copy=False))


def _planes(
    path: Path, page: tifffile.TiffPage, pixels: NDArray[Any]
) -> tuple[Plane, Plane | None, NDArray[np.float32] | None, tuple[Note, ...]]:
    """Return luma, alpha and small chroma of decoded pixels, and what had to be converted."""
    notes = list(_storage_notes(page))
    bits = int(page.bitspersample)
    photometric = int(page.photometric)
    if photometric == PALETTE:
        table = np.moveaxis(np.asarray(page.colormap), 0, -1)
        indices = pixels[..., 0].astype(np.uint8)
        if indices.max() >= len(table):
            raise damaged(path, f"holds {len(table)} colours in its palette and refers to others")
        # Writers scale 8 bits by 256 or by 257, and some not at all.
        rgb = (table >> 8 if table.max() > 255 else table).astype(np.uint8)[indices]
        notes.append(Note(NoteKind.CONVERTED, "palette became full 8-bit samples"))
        return luma_of_rgb(rgb), None, small_chroma(rgb), tuple(notes)
    if bits < 8:
        pixels = expand_to_8_bits(pixels, bits=bits)
        notes.append(Note(NoteKind.CONVERTED, f"{bits}-bit grey became 8-bit samples"))
    if pixels.dtype not in (np.uint8, np.uint16):
        raise refuse(path, f"is a TIFF of {pixels.dtype} samples")
    is_colour = photometric in (RGB, YCBCR)
    luma = luma_of_rgb(pixels) if is_colour else np.ascontiguousarray(pixels[..., 0])
    if photometric == WHITE_IS_ZERO:
        luma = np.iinfo(luma.dtype).max - luma
        notes.append(Note(NoteKind.CONVERTED, "white-is-zero TIFF became black-is-zero; it looks the same"))
    extra = pixels[..., COLOURS[photometric] :]
    alpha = np.ascontiguousarray(extra[..., 0] if extra.shape[2] == 1 else extra) if extra.shape[2] else None
    return luma, alpha, small_chroma(pixels) if is_colour else None, tuple(notes)


def _extra_samples(page: tifffile.TiffPage, number: int) -> tuple[tuple[int, ...], tuple[Note, ...]]:
    """Return the meaning of each of ``number`` extra samples: 0 unknown, 1 or 2 alpha."""
    stated = tuple(int(value) for value in page.extrasamples)[:number]
    kinds = stated + (0,) * (number - len(stated))
    if any(kind == 0 for kind in kinds):
        text = "samples of unknown meaning beside the picture's own are carried over as they are"
        return kinds, (Note(NoteKind.ASSUMED, text),)
    return kinds, ()


def _storage_notes(page: tifffile.TiffPage) -> Iterator[Note]:
    if page.parent.is_bigtiff:
        yield Note(NoteKind.CONVERTED, "BigTIFF became classic TIFF")
    if page.is_tiled:
        yield Note(NoteKind.CONVERTED, "tiles became strips")
    if int(page.compression) not in LOSSLESS:
        yield Note(NoteKind.CONVERTED, f"TIFF packed with {packing_name(page)} is packed with deflate")
