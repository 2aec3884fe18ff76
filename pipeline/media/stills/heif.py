"""HEIC and AVIF, the formats of phones: read directly, written as PNG, which holds everything they carry without loss.

AVIF is read by Pillow and, for its true depth, by imagecodecs; HEIC by pi-heif.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL.AvifImagePlugin import AvifImageFile

from pipeline.media.stills.exif import PREFIX, orientation_of
from pipeline.media.stills.jp2_boxes import Box, DamagedJp2Error, read_boxes
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.metadata import Metadata
from pipeline.media.stills.png import CarriedPng, WrittenAsPng, png_chunks_of
from pipeline.media.stills.samples import damaged, planes, refuse, trailing, undecodable
from pipeline.media.stills.still import ColourModel, Still, Strip
from pipeline.results import Note, NoteKind

_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
_PROPERTIES_WITHIN = 1 << 20
# Version and flags, with which some boxes begin (ISO/IEC 14496-12, 4.2).
_FULL_BOX = 4
# libavif's limit; it reports larger pictures as damaged.
_AVIF_PIXELS = 1 << 28
# Top-level boxes of a file that contain its picture, or nothing.
_KNOWN_BOXES = frozenset((b"ftyp", b"meta", b"mdat", b"free", b"skip", b"wide", b"mini"))
_AS_FILM = "Convert it to a film, or the picture that you want to TIFF or PNG, with the program that made it."
# Exceptions that the decoders were seen to raise on damaged files.
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, RuntimeError, EOFError, IndexError)


@dataclass(frozen=True, eq=False)
class _Decoded:
    pixels: NDArray[Any]
    info: Mapping[str, Any]
    notes: tuple[Note, ...] = ()


class _HeifFormat(WrittenAsPng):
    """The common part of HEIC and AVIF: the container."""

    @abstractmethod
    def _decoded(self, path: Path, pixel_limit: int) -> _Decoded: ...

    def read(self, path: Path, *, pixel_limit: int) -> Still:
        """Decode to luma and alpha, 8 bits, or 16 if the file has more than 8.

        Raises `InputError`.
        """
        found = self._decoded(path, pixel_limit)
        luma, alpha, chroma = planes(found.pixels)
        exif = (found.info.get("exif") or b"").removeprefix(PREFIX) or None
        metadata = Metadata(profile=found.info.get("icc_profile") or None, exif=exif, xmp=found.info.get("xmp") or None)
        orientation, notes = orientation_of(exif)
        text = f"{self} is written as PNG, without loss: the file grows"
        return Still(
            path=path,
            format=self,
            luma=luma,
            orientation=orientation,
            colour_model=ColourModel.RGB,
            alpha=alpha,
            notes=(Note(NoteKind.CONVERTED, text), *found.notes, *notes, *_left_behind(self.name, path)),
            metadata=metadata,
            carried=CarriedPng(before=png_chunks_of(metadata)),
            chroma=chroma,
            own_rgb=partial(self._rgb, path, luma.size),
        )

    def _rgb(self, path: Path, pixel_limit: int) -> Strip:
        pixels = np.atleast_3d(self._decoded(path, pixel_limit).pixels)
        is_colour = pixels.shape[2] >= 3
        return np.ascontiguousarray(pixels[..., :3]) if is_colour else np.repeat(pixels[..., :1], 3, axis=2)


class HeicFormat(_HeifFormat):
    """HEIC, through pi-heif, which is pillow-heif without an encoder, and so without the GPL's x265."""

    name = "HEIC"
    suffixes = (".heic", ".heif", ".hif")

    def sniff(self, head: bytes) -> bool:
        """Recognise the major brand; AVIF may have that of HEIF in general."""
        return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS and not AVIF.sniff(head)

    def _decoded(self, path: Path, pixel_limit: int) -> _Decoded:
        return _heic(path, pixel_limit)


class AvifFormat(_HeifFormat):
    """AVIF, through libavif."""

    name = "AVIF"
    suffixes = (".avif",)

    def sniff(self, head: bytes) -> bool:
        """Recognise the brands."""
        return not _AVIF_BRANDS.isdisjoint(_brands(head))

    def _decoded(self, path: Path, pixel_limit: int) -> _Decoded:
        return _avif(path, pixel_limit)


HEIC, AVIF = HeicFormat(), AvifFormat()


def _brands(head: bytes) -> list[bytes]:
    """Return major and compatible brands, as far as the first bytes of a file contain them."""
    if head[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[at : at + 4] for at in range(16, end, 4))]


def _left_behind(name: str, path: Path) -> tuple[Note, ...]:
    """Return notes on boxes that hold neither the picture nor its metadata, and on bytes after all boxes."""
    try:
        boxes, extra = read_boxes(path.read_bytes())
    except DamagedJp2Error:
        return ()
    kinds = dict.fromkeys(box.kind for box in boxes if box.kind not in _KNOWN_BOXES)
    notes = (f"{name} box {kind.decode('latin-1')!r} is not carried over" for kind in kinds)
    return (*(Note(NoteKind.DROPPED, text) for text in notes), *trailing(name, extra))


def _avif(path: Path, pixel_limit: int) -> _Decoded:
    data = _joined(path.read_bytes())
    check_size(path, *_largest(data), pixel_limit=min(pixel_limit, _AVIF_PIXELS))
    try:
        with AvifImageFile(BytesIO(data)) as image:
            shape, is_animated = (image.height, image.width), bool(getattr(image, "is_animated", False))
            info = {str(key): value for key, value in image.info.items()}
    except _DECODER_ERRORS as error:
        raise undecodable(path, error) from error
    check_size(path, shape[1], shape[0], pixel_limit=pixel_limit)
    if is_animated:
        raise refuse(path, "is an animated AVIF")
    try:
        pixels = imagecodecs.avif_decode(data)
    except _DECODER_ERRORS as error:
        raise undecodable(path, error) from error
    if pixels.shape[:2] != shape:
        raise damaged(path, f"decodes to {pixels.shape[:2]}, its header says {shape}")
    return _Decoded(_full_range(pixels, _depth(data)), info)


def _joined(avif: bytes) -> bytes:
    """Return ``avif`` with one box instead of two in a row that tell which item has which properties.

    Early writers made one more for the alpha channel. ISO/IEC 23008-12, 9.3.1, forbids that, and libavif reports such
    files as damaged. Empty space takes the place of the second box, so that no other byte moves.
    """
    try:
        outer, extra = read_boxes(avif)
        boxes = [_joined_in_meta(box) if box.kind == b"meta" else box for box in outer]
    except DamagedJp2Error:
        return avif
    joined = b"".join(box.tobytes() for box in boxes) + avif[len(avif) - extra :]
    return joined if len(joined) == len(avif) else avif


def _joined_in_meta(meta: Box) -> Box:
    boxes, extra = read_boxes(meta.data[_FULL_BOX:])
    place = next((number for number, box in enumerate(boxes) if box.kind == b"iprp"), None)
    if place is None or extra:
        return meta
    properties, extra = read_boxes(boxes[place].data)
    if [box.kind for box in properties] != [b"ipco", b"ipma", b"ipma"] or extra:
        return meta
    container, first, second = properties
    head = first.data[:_FULL_BOX]
    if second.data[:_FULL_BOX] != head:
        return meta
    entries = _FULL_BOX + 4
    number = sum(int.from_bytes(box.data[_FULL_BOX:entries]) for box in (first, second)) & 0xFFFF_FFFF
    both = head + number.to_bytes(4) + first.data[entries:] + second.data[entries:]
    boxes[place : place + 1] = [
        Box(b"iprp", container.tobytes() + Box(b"ipma", both).tobytes()),
        Box(b"free", bytes(entries)),
    ]
    return Box(b"meta", meta.data[:_FULL_BOX] + b"".join(box.tobytes() for box in boxes))


def _heic(path: Path, pixel_limit: int) -> _Decoded:
    import pi_heif

    try:
        file = pi_heif.open_heif(path, convert_hdr_to_8bit=False)
        number = len(file)
        size = file.size if number else (0, 0)
    except _DECODER_ERRORS as error:
        if _is_sequence(path):
            raise refuse(path, "is a sequence of HEIF pictures", advice=_AS_FILM) from error
        raise undecodable(path, error) from error
    if not number:
        advice = "Save it as TIFF or PNG with the program that made it."
        raise refuse(path, "holds no picture in a coding that is read here (HEVC)", advice=advice)
    check_size(path, *size, pixel_limit=pixel_limit)
    try:
        # A copy: the array does not keep its memory alive (seen in pi-heif 1.4.0).
        pixels = np.array(file)
        info = dict(file.info)
        # HEIF itself rotates the picture, whatever EXIF says: the decoder has done so, EXIF must not request it again.
        turned = (pi_heif.set_orientation(info) or 1) != 1
    except _DECODER_ERRORS as error:
        raise undecodable(path, error) from error
    notes = []
    if turned:
        notes.append(Note(NoteKind.CONVERTED, "the picture is stored upright, and EXIF says so"))
    if number > 1:
        notes.append(Note(NoteKind.DROPPED, f"{number - 1} further pictures in the HEIC are not carried over"))
    if info.get("depth_images") or info.get("aux"):
        notes.append(Note(NoteKind.DROPPED, "depth and other auxiliary pictures in the HEIC are not carried over"))
    depth = int(info.get("bit_depth") or 8)
    # pi-heif stores 10 and 12 bits in the upper part of 16.
    pixels = pixels if pixels.dtype == np.uint8 else pixels >> np.uint16(16 - depth)
    return _Decoded(_full_range(pixels, depth), info, tuple(notes))


def _is_sequence(path: Path) -> bool:
    """Return whether the file holds a track of pictures (ISO/IEC 23008-12, 7). A still beside it would be read."""
    try:
        boxes, _ = read_boxes(path.read_bytes())
    except DamagedJp2Error:
        return False
    return any(box.kind == b"moov" for box in boxes)


def _largest(avif: bytes) -> tuple[int, int]:
    """Return (width, height) of the largest picture in the properties (ISO/IEC 23008-12, 6.5.3); 1, 1 without any."""
    sizes, at = [(1, 1)], -1
    while (at := avif.find(b"ispe", at + 1, _PROPERTIES_WITHIN)) >= 0 and at + 16 <= len(avif):
        sizes.append((int.from_bytes(avif[at + 8 : at + 12], "big"), int.from_bytes(avif[at + 12 : at + 16], "big")))
    return max(sizes, key=lambda size: size[0] * size[1])


def _depth(avif: bytes) -> int:
    """Return the bits per sample, from the pixel information property (ISO/IEC 23008-12, 6.5.6); 8 if there is none."""
    at = avif.find(b"pixi", 0, _PROPERTIES_WITHIN)
    return avif[at + 9] if at >= 0 and len(avif) > at + 9 else 8


def _full_range(pixels: NDArray[Any], depth: int) -> NDArray[Any]:
    """Scale 10 or 12 bits to 16; 8 stay."""
    if pixels.dtype == np.uint8:
        return pixels
    top = (1 << depth) - 1
    codes = np.arange(top + 1, dtype=np.float64)
    table = np.rint(codes * (65535 / top)).astype(np.uint16)
    return np.asarray(table[np.minimum(pixels, top)])
