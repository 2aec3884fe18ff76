"""PNG photographs, 8 and 16 bits per sample: read whole, written row by row, with every other chunk carried over."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imagecodecs
from numpy.typing import NDArray

from pipeline.media.stills.exif import orientation_of
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.metadata import Metadata
from pipeline.media.stills.png_adam7 import decode_interlaced
from pipeline.media.stills.png_chunks import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGB_ALPHA,
    SAMPLES,
    SIGNATURE,
    Chunk,
    Chunks,
    DamagedPngError,
    Header,
    encode_pixels,
    essential,
    read_chunks,
    read_header,
    transparency_fits,
)
from pipeline.media.stills.samples import damaged, planes, refuse, trailing, undecodable
from pipeline.media.stills.still import ColourModel, Page, PageCheck, Still, StillFormat
from pipeline.media.stills.verification import Found, failed, verify_lossless
from pipeline.results import Note, NoteKind

XMP_KEY = b"XML:com.adobe.xmp\0"
_PROFILE_NAME = b"ICC profile"
_INFLATED_LIMIT = 64 << 20
_PACKED_FLOOR = 1 << 20
# They describe the old coding of the pixels, which the result does not share.
_REPLACED = (b"PLTE", b"tRNS", b"hIST")
_OWN_FIELDS = (b"iCCP", b"eXIf")


@dataclass(frozen=True, kw_only=True, eq=False)
class CarriedPng:
    """Chunks for the result, those before the pixels and those after, including the three of `Metadata`."""

    before: tuple[Chunk, ...] = ()
    after: tuple[Chunk, ...] = ()

    @property
    def metadata(self) -> Metadata:
        """Profile, EXIF, XMP and all other chunks."""
        chunks = (*self.before, *self.after)
        kinds = {chunk.kind: chunk.data for chunk in reversed(chunks)}
        xmp = next((chunk for chunk in chunks if _is_xmp(chunk)), None)
        return Metadata(
            profile=_inflated_profile(kinds.get(b"iCCP")),
            exif=kinds.get(b"eXIf") or None,
            xmp=_xmp_text(xmp.data) if xmp else None,
            other=tuple(
                (f"PNG chunk {chunk.kind.decode('latin-1')}", chunk.data)
                for chunk in chunks
                if chunk.kind not in _OWN_FIELDS and chunk is not xmp
            ),
        )


class PngFormat(StillFormat):
    """PNG, 8 or 16 bits per sample in results, with every chunk that stays true carried over."""

    name = "PNG"
    suffixes = (".png",)

    def sniff(self, head: bytes) -> bool:
        """Recognise the signature."""
        return head.startswith(SIGNATURE)

    def read(self, path: Path, *, pixel_limit: int) -> Still:
        """Decode to luma and alpha. Raises `InputError`."""
        data, header = _read(path, pixel_limit)
        chunks = _chunks(path, data)
        found = [placed for placed in chunks.found if placed.sound]
        kinds = {placed.chunk.kind: placed.chunk.data for placed in found}
        if b"acTL" in kinds:
            raise refuse(path, "is an animated PNG")
        if len(data) - chunks.extra - sum(len(placed.chunk.data) for placed in chunks.found) > _most_packed(header):
            raise damaged(path, f"is a PNG with far more data than {header.width} x {header.height} pixels can need")
        # libpng has turned a transparent colour into alpha.
        luma, alpha, chroma = planes(_decoded(path, data, header))
        del data
        orientation, notes = orientation_of(kinds.get(b"eXIf"))
        result = Header(header.width, header.height, 8 * luma.dtype.itemsize, RGB if alpha is None else RGB_ALPHA)
        before, more = _for_colour([placed.chunk for placed in found if not placed.after], header, result)
        after, still_more = _for_colour([placed.chunk for placed in found if placed.after], header, result)
        carried = CarriedPng(before=before, after=after)
        return Still(
            path=path,
            format=self,
            luma=luma,
            orientation=orientation,
            colour_model=ColourModel.RGB,
            alpha=alpha,
            notes=(*notes, *_notes(header, kinds, chunks), *more, *still_more, *trailing("PNG", chunks.extra)),
            metadata=carried.metadata,
            carried=carried,
            chroma=chroma,
            is_bilevel=header.colour == GREY and header.depth == 1 and alpha is None,
        )

    def write(self, path: Path, pages: Sequence[Page]) -> tuple[Note, ...]:
        """Write R, G and B with the chunks that the still carries, and alpha if it has one."""
        (page,) = pages
        still = page.still
        header = Header(still.width, still.height, still.bits, RGB if still.alpha is None else RGB_ALPHA)
        carried = still.carried_as(CarriedPng)
        metadata, notes = page.metadata
        before, after = _with_metadata(carried, metadata)
        with path.open("wb") as file:
            file.write(SIGNATURE + header.chunk().tobytes())
            file.writelines(chunk.tobytes() for chunk in before)
            file.writelines(encode_pixels(page.strips_with_alpha()))
            file.writelines(chunk.tobytes() for chunk in after)
            file.write(Chunk(b"IEND", b"").tobytes())
        return notes

    def verify(self, path: Path, pages: Sequence[Page]) -> tuple[PageCheck, ...]:
        """Decode the file with libpng and compare it with what should have been written."""
        (page,) = pages
        data, header = _read(path, page.still.luma.size)
        chunks = _chunks(path, data)
        if chunks.extra or not chunks.is_closed or not all(placed.sound for placed in chunks.found):
            raise failed(path, "its chunks are damaged")
        carried = CarriedPng(before=tuple(placed.chunk for placed in chunks.found))
        orientation, _ = orientation_of(carried.metadata.exif)
        found = Found(pixels=_decoded(path, data, header), orientation=orientation, metadata=carried.metadata)
        return (verify_lossless(path, page, found),)


class WrittenAsPng(StillFormat):
    """A format whose results are PNG, because it has no room for what they carry; stills carry a `CarriedPng`."""

    @property
    def result(self) -> StillFormat:
        """Results are PNG."""
        return PNG

    def write(self, path: Path, pages: Sequence[Page]) -> tuple[Note, ...]:
        """Write a PNG."""
        return PNG.write(path, pages)

    def verify(self, path: Path, pages: Sequence[Page]) -> tuple[PageCheck, ...]:
        """Verify a PNG."""
        return PNG.verify(path, pages)


PNG = PngFormat()


def _read(path: Path, pixel_limit: int) -> tuple[bytes, Header]:
    """Return the file and its header, whose size is checked before the rest is read."""
    try:
        with path.open("rb") as file:
            header = read_header(file.read(33))
    except DamagedPngError as error:
        raise damaged(path, f"is not a sound PNG file: {error}") from error
    check_size(path, header.width, header.height, pixel_limit=pixel_limit)
    return path.read_bytes(), header


def _chunks(path: Path, data: bytes) -> Chunks:
    try:
        return read_chunks(data)
    except DamagedPngError as error:
        raise undecodable(path, error) from error


def _decoded(path: Path, data: bytes, header: Header) -> NDArray[Any]:
    try:
        chunks = essential(data, header)
        if header.is_interlaced:
            pixels: NDArray[Any] = decode_interlaced(chunks, header, imagecodecs.png_decode)
        else:
            pixels = imagecodecs.png_decode(chunks)
    except (RuntimeError, ValueError) as error:
        raise undecodable(path, error) from error
    if pixels.shape[:2] != (header.height, header.width):
        raise damaged(path, f"decodes to {pixels.shape[:2]}, its header says {header.height} x {header.width}")
    return pixels


def png_chunks_of(metadata: Metadata) -> tuple[Chunk, ...]:
    """Return chunks for metadata from another format; ``other`` already holds chunks, named as here."""
    others = (Chunk(name.removeprefix("PNG chunk ").encode("latin-1"), data) for name, data in metadata.other)
    made, _ = _with_metadata(CarriedPng(before=tuple(others)), metadata)
    return tuple(made)


def _most_packed(header: Header) -> int:
    """Return an upper bound in bytes for genuine packed pixels, to avoid inflating what will be discarded."""
    samples = SAMPLES.get(header.colour, 4)
    return 2 * header.height * (1 + header.width * samples * max(1, header.depth // 8)) + _PACKED_FLOOR


def _notes(header: Header, kinds: dict[bytes, bytes], chunks: Chunks) -> Iterator[Note]:
    for placed in chunks.found:
        if not placed.sound:
            name = placed.chunk.kind.decode("latin-1")
            yield Note(NoteKind.DROPPED, f"PNG chunk {name} has a wrong check sum")
    if not chunks.is_closed:
        yield Note(NoteKind.CONCEALED, "the PNG lacks its end chunk; its picture is complete")
    if header.colour == PALETTE:
        yield Note(NoteKind.CONVERTED, "palette became full 8-bit samples")
    elif header.depth < 8:
        yield Note(NoteKind.CONVERTED, f"{header.depth}-bit grey became 8-bit samples")
    if b"tRNS" in kinds and transparency_fits(kinds[b"tRNS"], header.colour):
        yield Note(NoteKind.CONVERTED, "transparent colour became an alpha channel")
    elif b"tRNS" in kinds:
        yield Note(NoteKind.DROPPED, "PNG chunk tRNS does not fit the picture")


def _for_colour(chunks: Sequence[Chunk], source: Header, result: Header) -> tuple[tuple[Chunk, ...], tuple[Note, ...]]:
    """Select the chunks that stay true when colour is added, some of them in another form."""
    kept: list[Chunk] = []
    notes: list[Note] = []
    for chunk in chunks:
        made, note = _carried_over(chunk, source, result)
        kept += [made] if made else []
        notes += [note] if note else []
    return tuple(kept), tuple(notes)


def _carried_over(chunk: Chunk, source: Header, result: Header) -> tuple[Chunk | None, Note | None]:
    name = chunk.kind.decode("latin-1")
    if chunk.kind in _REPLACED:
        return None, None
    if chunk.kind == b"iCCP" and _inflated_profile(chunk.data) is None:
        return None, Note(NoteKind.DROPPED, "ICC profile: damaged (it cannot be inflated)")
    if chunk.kind in (b"sBIT", b"bKGD"):
        was_grey = source.colour in (GREY, GREY_ALPHA)
        had_alpha = source.colour in (GREY_ALPHA, RGB_ALPHA)
        same = source.depth == result.depth and had_alpha == (result.colour == RGB_ALPHA)
        if not same or source.colour == PALETTE:
            return None, Note(NoteKind.DROPPED, f"PNG chunk {name} describes the original samples")
        if was_grey and chunk.kind == b"sBIT":
            return replace(chunk, data=chunk.data[:1] * 3 + chunk.data[1:2]), None
        return replace(chunk, data=chunk.data * 3) if was_grey else chunk, None
    if chunk.kind in _STANDARD or chunk.safe_to_copy:
        return chunk, None
    return None, Note(NoteKind.DROPPED, f"PNG chunk {name} is marked as unsafe to keep when pixels change")


# Chunks of the standard and its extensions that stay true when colour is added.
_STANDARD = (
    *(b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"mDCv", b"cLLi", b"sBIT", b"bKGD", b"pHYs"),
    *(b"sPLT", b"eXIf", b"tIME", b"tEXt", b"zTXt", b"iTXt", b"oFFs", b"sCAL", b"pCAL", b"sTER"),
)


def _with_metadata(carried: CarriedPng, metadata: Metadata) -> tuple[list[Chunk], list[Chunk]]:
    """Replace profile, EXIF and XMP of the source by those of the result; new ones go before the pixels."""
    sources = (carried.before, carried.after)
    profile = next((chunk for chunks in sources for chunk in chunks if chunk.kind == b"iCCP"), None)
    if profile is None or _inflated_profile(profile.data) != metadata.profile:
        profile = Chunk(b"iCCP", _PROFILE_NAME + b"\0\0" + zlib.compress(metadata.profile or b""))
    made = {
        "profile": profile if metadata.profile is not None else None,
        "exif": Chunk(b"eXIf", metadata.exif) if metadata.exif else None,
        "xmp": Chunk(b"iTXt", XMP_KEY + b"\0\0\0\0" + metadata.xmp) if metadata.xmp else None,
    }
    placed: list[list[Chunk]] = []
    for chunks in sources:
        found: list[Chunk] = []
        for chunk in chunks:
            field = "xmp" if _is_xmp(chunk) else {b"iCCP": "profile", b"eXIf": "exif"}.get(chunk.kind)
            if field is None:
                found.append(chunk)
            elif (new := made.pop(field, None)) is not None:
                found.append(new)
        placed.append(found)
    placed[0] += [chunk for chunk in made.values() if chunk is not None]
    return placed[0], placed[1]


def _is_xmp(chunk: Chunk) -> bool:
    return chunk.kind == b"iTXt" and chunk.data.startswith(XMP_KEY)


def _inflated_profile(data: bytes | None) -> bytes | None:
    """Return the profile in the data of an iCCP chunk; None if there is none, or it cannot be read."""
    if data is None:
        return None
    try:
        return zlib.decompressobj().decompress(data.partition(b"\0")[2][1:], _INFLATED_LIMIT)
    except zlib.error:
        return None


def _xmp_text(data: bytes) -> bytes:
    """Return the text of an iTXt chunk; undecodable text is returned as it is, and later found to be damaged."""
    packed, rest = data[len(XMP_KEY) : len(XMP_KEY) + 1], data[len(XMP_KEY) + 2 :]
    text = rest.partition(b"\0")[2].partition(b"\0")[2]
    if packed != b"\x01":
        return text
    try:
        return zlib.decompressobj().decompress(text, _INFLATED_LIMIT)
    except zlib.error:
        return text
