"""JPEG photographs: the coded luma is unchanged, and chroma is added beside it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

from pipeline.errors import InputError
from pipeline.media.stills.exif import orientation_of
from pipeline.media.stills.jpeg.applications import (
    XMP,
    exif_of,
    is_rgb,
    kept_segments,
    metadata_of,
    with_metadata,
)
from pipeline.media.stills.jpeg.graft import chroma_table, coded, grafted, luma_alone, stored_finely
from pipeline.media.stills.jpeg.luma import NotSeparableError, coded_whole, luma_scans
from pipeline.media.stills.jpeg.segments import (
    BASELINE,
    DECODED,
    EXTENDED,
    LARGEST_PAYLOAD,
    LOSSLESS,
    DamagedJpegError,
    Frame,
    JpegFile,
    Scan,
    for_decoders,
    parse,
    read_frame,
)
from pipeline.media.stills.jpeg.truncation import breaks_off
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.samples import damaged, luma_of_rgb, refuse, small_chroma, small_size, trailing, undecodable
from pipeline.media.stills.still import ColourModel, Page, PageCheck, Plane, Still, StillFormat, Strip
from pipeline.media.stills.verification import Found, failed, verify_ycbcr
from pipeline.results import Note, NoteKind
from pipeline.wording import count

_HEAD = 16 << 20
_DECODER_ERRORS = (OSError, SyntaxError, ValueError)
_NO_LOSS = (1,) * 64
_BEGINNING = re.compile(rb"\xff\xd8.*?\xff[\xc0-\xfe]", re.DOTALL)
_END = b"\xff\xd9"
# Sequential frames, whose codes are followed one by one; others are only checked for completeness.
_FOLLOWED = (BASELINE, EXTENDED)


@dataclass(frozen=True, kw_only=True, eq=False)
class CarriedJpeg:
    """Data for the writer: the parsed file, and its luma scans, None if they cannot be extracted."""

    jpeg: JpegFile
    luma: tuple[Scan, ...] | None

    @property
    def chroma_table(self) -> tuple[int, ...]:
        """Quantisation table of new chroma."""
        parts = self.jpeg.frame.components
        is_ycbcr = len(parts) == 3 and not _is_rgb(self.jpeg)
        return chroma_table(self.jpeg.quantisation.get(parts[1].table) if is_ycbcr else None)

    @property
    def luma_table(self) -> tuple[int, ...]:
        """Quantisation table of luma: the source's own. A lossless JPEG has none: it is coded as finely as JPEG can."""
        return self.jpeg.quantisation.get(self.jpeg.frame.components[0].table, _NO_LOSS)


class JpegFormat(StillFormat):
    """JPEG of 8 bits, grey, Y'CbCr or RGB; results are Y'CbCr with full-size chroma."""

    name = "JPEG"
    suffixes = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")
    xmp_room = LARGEST_PAYLOAD - len(XMP)

    def sniff(self, head: bytes) -> bool:
        """Recognise the first two markers; libjpeg skips bytes between them."""
        return _BEGINNING.match(head) is not None

    def read(self, path: Path, *, pixel_limit: int) -> Still:
        """Decode the Y' plane directly, not through RGB. Raises `InputError`."""
        data, jpeg = _read(path, pixel_limit)
        rgb = _lossless_rgb(path, data, jpeg)
        luma = _luma(path, data, jpeg) if rgb is None else luma_of_rgb(rgb)
        orientation, notes = orientation_of(exif_of(jpeg.applications))
        scans, scan_notes = _luma_scans(path, jpeg, luma)
        applications, dropped = kept_segments(jpeg.applications)
        if not any("MPF" in note.text for note in dropped):
            dropped += trailing("JPEG", len(jpeg.trailer.rstrip(b"\0")))
        return Still(
            path=path,
            format=self,
            luma=luma,
            orientation=orientation,
            colour_model=ColourModel.YCBCR,
            alpha=None,
            notes=(*notes, *_build_notes(jpeg, is_damaged=bool(scan_notes)), *scan_notes, *dropped),
            metadata=metadata_of(applications),
            carried=CarriedJpeg(jpeg=replace(jpeg, applications=applications, trailer=b""), luma=scans),
            chroma=_own_chroma(path, data, jpeg) if rgb is None else small_chroma(rgb),
        )

    def write(self, path: Path, pages: Sequence[Page]) -> tuple[Note, ...]:
        """Write Y', Cb and Cr; the Y' of the strips is needed only if luma is re-encoded."""
        (page,) = pages
        still, carried = page.still, page.still.carried_as(CarriedJpeg)
        metadata, notes = page.metadata
        applications = with_metadata(carried.jpeg.applications, metadata)
        count_of_luma = 1 if carried.luma is None else 0
        planes = np.empty((count_of_luma + 2, still.height, still.width), np.uint8)
        top = 0
        for strip in page.strips:
            planes[:, top : top + strip.shape[0]] = np.moveaxis(strip, 2, 0)[-len(planes) :]
            top += strip.shape[0]
        chroma, table = list(planes[-2:]), carried.chroma_table
        if page.fine is not None:
            table = stored_finely(chroma, table, page.fine)
        frame, luma = carried.jpeg.frame, carried.luma
        if luma is None:
            # Rare files, whose coded luma cannot be carried over.
            frame, luma = coded(planes[0], carried.luma_table, progressive=False)
        pieces = grafted(applications, frame, luma, carried.luma_table, chroma, table)
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
        page.file_digest = digest.digest()
        return notes

    def verify(self, path: Path, pages: Sequence[Page]) -> tuple[PageCheck, ...]:
        """Decode the file with libjpeg, follow its codes to the end, and compare it with what was to be written."""
        (page,) = pages
        carried = page.still.carried_as(CarriedJpeg)
        data, jpeg = _read(path, page.still.luma.size)
        # Luma is compared sample by sample below, so its codes need not be followed.
        if not jpeg.is_closed or not coded_whole(jpeg, luma=False):
            raise failed(path, "its coded data breaks off")
        applications, _ = kept_segments(jpeg.applications)
        orientation, _ = orientation_of(exif_of(applications))
        found = Found(pixels=_ycbcr(path, data), orientation=orientation, metadata=metadata_of(applications))
        luma_table = carried.luma_table if carried.luma is None else None
        check = verify_ycbcr(path, page, found, luma_table=luma_table, chroma_table=carried.chroma_table)
        # Chroma is compared in some blocks, within what its table allows; this finds what a disk changed elsewhere.
        if hashlib.sha256(path.read_bytes()).digest() != page.file_digest:
            raise failed(path, "its bytes are not those that were written")
        return (check,)


JPEG = JpegFormat()


def _read(path: Path, pixel_limit: int) -> tuple[bytes, JpegFile]:
    """Return the file, as its decoders take it, and its segments; size and kind are checked before the rest is read."""
    try:
        with path.open("rb") as file:
            frame = read_frame(file.read(_HEAD))
    except DamagedJpegError as error:
        raise damaged(path, f"is not a sound JPEG file: {error}") from error
    check_size(path, frame.width, frame.height, pixel_limit=pixel_limit)
    _check_kind(path, frame)
    data = path.read_bytes()
    try:
        jpeg = parse(data)
    except DamagedJpegError as error:
        raise damaged(path, f"is not a sound JPEG file: {error}") from error
    return for_decoders(data), jpeg


def _check_kind(path: Path, frame: Frame) -> None:
    if frame.precision != 8:
        raise refuse(path, f"is a JPEG of {frame.precision} bits")
    if len(frame.components) not in (1, 3):
        raise refuse(path, f"is a JPEG of {len(frame.components)} components (CMYK or the like)")
    if frame.marker not in DECODED:
        raise refuse(path, f"is a JPEG coded in a rare way (frame of type {frame.marker - 0xC0})")


def _luma(path: Path, data: bytes, jpeg: JpegFile) -> Plane:
    """Decode Y'. A missing end marker, which no decoder needs to find the picture, is added."""
    if not jpeg.is_closed:
        if not _is_whole(jpeg):
            raise damaged(path, "cannot be decoded: it breaks off")
        data += _END
    luma = _decode(path, data, "L")
    if luma.shape != (jpeg.frame.height, jpeg.frame.width):
        raise damaged(path, f"decodes to {luma.shape}, its header says {jpeg.frame.height} x {jpeg.frame.width}")
    return luma


def _lossless_rgb(path: Path, data: bytes, jpeg: JpegFile) -> Strip | None:
    """Decode a lossless JPEG of three components, which libjpeg returns as stored; None for any other."""
    if jpeg.frame.marker != LOSSLESS or len(jpeg.frame.components) != 3:
        return None
    if not _is_rgb(jpeg):
        raise refuse(path, "is a lossless JPEG of Y'CbCr samples")
    return _decode(path, data if jpeg.is_closed else data + _END, "RGB")


def _decode(path: Path, data: bytes, mode: str) -> Plane:
    try:
        with JpegImageFile(BytesIO(data)) as image:
            # With "L" libjpeg leaves chroma undecoded and returns the Y' plane itself.
            image.draft(mode, None)
            pixels = np.asarray(image) if image.mode == mode else None
            found = image.mode
    except _DECODER_ERRORS as error:
        raise undecodable(path, error) from error
    if pixels is None:
        raise refuse(path, f"is a JPEG of mode {found}")
    return pixels


def _ycbcr(path: Path, data: bytes) -> Strip:
    """Decode Y', Cb and Cr, (H, W, 3), with fewer copies than Pillow makes."""
    try:
        pixels: Strip = imagecodecs.jpeg8_decode(data, outcolorspace="YCbCr")
    except (RuntimeError, ValueError) as error:
        raise undecodable(path, error) from error
    return pixels


def _own_chroma(path: Path, data: bytes, jpeg: JpegFile) -> NDArray[np.float32] | None:
    """Return the small chroma of a file that has any; libjpeg reduces it while decoding."""
    if len(jpeg.frame.components) != 3:
        return None
    size = small_size(jpeg.frame.width, jpeg.frame.height)
    try:
        with JpegImageFile(BytesIO(data + _END)) as image:
            image.draft("RGB" if _is_rgb(jpeg) else "YCbCr", size)
            pixels = np.asarray(image)
    except _DECODER_ERRORS as error:
        raise undecodable(path, error) from error
    if _is_rgb(jpeg):
        return small_chroma(pixels)
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)
    return np.ascontiguousarray(np.moveaxis((small[..., 1:] - 128) / 255, -1, 0), np.float32)


def _build_notes(jpeg: JpegFile, *, is_damaged: bool) -> Iterator[Note]:
    """Yield notes on irregular segments that decoders ignore, unless the picture already has a note."""
    if not jpeg.is_closed:
        yield Note(NoteKind.CONCEALED, "the JPEG lacks its end marker; its picture is complete to the last block")
    if jpeg.stray and not is_damaged:
        yield Note(
            NoteKind.CONCEALED,
            f"{count(jpeg.stray, 'byte')} between the segments of the JPEG that belong to none of them",
        )
    if jpeg.frame.marker == LOSSLESS:
        yield Note(NoteKind.CONVERTED, "lossless JPEG is written as ordinary JPEG, with quantisation steps of 1")


def _is_whole(jpeg: JpegFile) -> bool:
    """Return whether all coded data is present."""
    if jpeg.frame.marker in _FOLLOWED:
        return coded_whole(jpeg)
    return (jpeg.frame.marker == LOSSLESS or coded_whole(jpeg)) and not breaks_off(jpeg)


def _luma_scans(path: Path, jpeg: JpegFile, decoded: Plane) -> tuple[tuple[Scan, ...] | None, tuple[Note, ...]]:
    """Return the luma scans, and notes if luma has to be re-encoded instead."""
    cut: tuple[Note, ...] = ()
    if jpeg.is_closed and jpeg.frame.marker not in _FOLLOWED and not _is_whole(jpeg):
        cut = (Note(NoteKind.CONCEALED, "image data is damaged (coded data breaks off): decoded as far as it goes"),)
    scans, notes = _separated_luma(path, jpeg, decoded)
    if scans is not None and cut and breaks_off(parse(_alone(jpeg, scans))):
        scans = None
    return scans, (*cut, *notes)


def _separated_luma(path: Path, jpeg: JpegFile, decoded: Plane) -> tuple[tuple[Scan, ...] | None, tuple[Note, ...]]:
    if _is_rgb(jpeg):
        return None, (Note(NoteKind.CONVERTED, "JPEG stores R, G and B: it becomes Y'CbCr, and its luma is rounded"),)
    try:
        found = luma_scans(jpeg)
    except NotSeparableError as error:
        if jpeg.frame.marker == LOSSLESS:
            return None, ()
        return None, (Note(NoteKind.CONVERTED, f"JPEG luma is re-encoded with its own tables ({error})"),)
    except DamagedJpegError as error:
        return None, (Note(NoteKind.CONCEALED, f"image data is damaged ({error}): decoded as far as it goes"),)
    if len(jpeg.frame.components) == 3 and not _decodes_to(path, jpeg, found.scans, decoded):
        return None, (Note(NoteKind.CONCEALED, "image data is damaged (its luma cannot be separated from its chroma)"),)
    if not found.sound:
        return found.scans, (Note(NoteKind.CONCEALED, "image data is damaged (it continues after the last block)"),)
    return found.scans, ()


def _decodes_to(path: Path, jpeg: JpegFile, scans: tuple[Scan, ...], luma: Plane) -> bool:
    """Return whether the scans taken from a colour file still are its luma: damaged codes depend on their context."""
    try:
        return np.array_equal(_decode(path, _alone(jpeg, scans), "L"), luma)
    except InputError:
        return False


def _alone(jpeg: JpegFile, scans: tuple[Scan, ...]) -> bytes:
    return luma_alone(jpeg.frame, scans, jpeg.quantisation[jpeg.frame.components[0].table])


def _is_rgb(jpeg: JpegFile) -> bool:
    return is_rgb(jpeg.applications, tuple(part.name for part in jpeg.frame.components))
