"""HEIC and AVIF, the formats of telephones: read as they are, written as PNG, which holds all they carry without loss.

AVIF is read by Pillow and, for its true depth, by imagecodecs; HEIC by pillow-heif, if that is installed.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import MissingDependencyError
from pipeline.media.stills.exif import PREFIX, orientation_of, without_thumbnail
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.png import XMP_KEY, CarriedPng
from pipeline.media.stills.png_chunks import RGB, Chunk, Header
from pipeline.media.stills.samples import damaged, luma_of_rgb, refuse, small_chroma
from pipeline.media.stills.still import ColourModel, Still, StillFormat, Strip
from pipeline.results import Note, NoteKind

_AVIF_BRANDS = (b"avif", b"avis")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_PROPERTIES_WITHIN = 1 << 20
# What the decoders are seen to raise on damaged files.
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, RuntimeError, EOFError, MemoryError)


@dataclass(frozen=True, eq=False)
class _Decoded:
    pixels: NDArray[Any]
    info: Mapping[str, Any]
    notes: tuple[Note, ...] = ()


def heif_format(head: bytes) -> StillFormat | None:
    """Tell HEIC and AVIF by the first 32 bytes of a file; None for others, films among them."""
    if head[4:8] != b"ftyp":
        return None
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4], "big"), 32), 4))}
    if not brands.isdisjoint(_AVIF_BRANDS):
        return StillFormat.AVIF
    return StillFormat.HEIC if head[8:12] in _HEIC_BRANDS else None


def read_heif(path: Path, file_format: StillFormat, *, pixel_limit: int) -> Still:
    """Decode to luma and alpha, 8 bits, or 16 where the file has more than 8.

    Raises `InputError`, and `MissingDependencyError` for HEIC without pillow-heif.
    """
    found = (_avif if file_format is StillFormat.AVIF else _heic)(path, pixel_limit)
    grey, rgb, alpha = _planes(found.pixels)
    info = {key: found.info.get(key) or None for key in ("exif", "xmp", "icc_profile")}
    exif = info["exif"].removeprefix(PREFIX) if info["exif"] else None
    orientation, notes = orientation_of(exif)
    text = f"{file_format} is written as PNG, without loss: the file grows"
    return Still(
        path=path,
        format=file_format,
        luma=luma_of_rgb(rgb) if grey is None else grey,
        bits=8 * found.pixels.dtype.itemsize,
        orientation=orientation,
        colour_model=ColourModel.RGB,
        alpha=alpha,
        notes=(Note(NoteKind.CONVERTED, text), *found.notes, *notes),
        carried=_carried(found.pixels, exif, info["xmp"], info["icc_profile"]),
        chroma=small_chroma(rgb) if grey is None else None,
        profile=info["icc_profile"],
    )


def heif_pixels(path: Path) -> Strip:
    """Give R, G and B (H, W, 3) of a file that was read before."""
    with path.open("rb") as file:
        read = _avif if heif_format(file.read(32)) is StillFormat.AVIF else _heic
    found = read(path, 1 << 62)
    rgb: Strip = _planes(found.pixels)[1]
    return rgb


def _avif(path: Path, pixel_limit: int) -> _Decoded:
    try:
        with Image.open(path, formats=("AVIF",)) as image:
            check_size(path, image.width, image.height, pixel_limit=pixel_limit)
            if getattr(image, "is_animated", False):
                raise refuse(path, "is an animated AVIF")
            info, shape = {str(key): value for key, value in image.info.items()}, (image.height, image.width)
        data = path.read_bytes()
        pixels = imagecodecs.avif_decode(data)
    except _DECODER_ERRORS as error:
        raise damaged(path, f"cannot be decoded: {error}") from error
    if pixels.shape[:2] != shape:
        raise damaged(path, f"decodes to {pixels.shape[:2]}, its header says {shape}")
    return _Decoded(_full_range(pixels, _depth(data)), info)


def _heic(path: Path, pixel_limit: int) -> _Decoded:
    reader = _heic_reader(path)
    try:
        file = reader.open_heif(path, convert_hdr_to_8bit=False)
        check_size(path, *file.size, pixel_limit=pixel_limit)
        pixels = np.asarray(file)
        info, number = dict(file.info), len(file)
    except _DECODER_ERRORS as error:
        raise damaged(path, f"cannot be decoded: {error}") from error
    notes = []
    # HEIF turns the picture itself, whatever EXIF says: the decoder has done so, and EXIF must not ask for it again.
    if (reader.set_orientation(info) or 1) != 1:
        notes.append(Note(NoteKind.CONVERTED, "the picture is stored upright, EXIF says so"))
    if number > 1:
        notes.append(Note(NoteKind.DROPPED, f"{number - 1} further pictures in the HEIC are not carried over"))
    if info.get("depth_images") or info.get("aux"):
        notes.append(Note(NoteKind.DROPPED, "depth and other auxiliary pictures in the HEIC are not carried over"))
    depth = int(info.get("bit_depth") or 8)
    # pillow-heif puts 10 and 12 bits into the upper part of 16.
    pixels = pixels if pixels.dtype == np.uint8 else pixels >> np.uint16(16 - depth)
    return _Decoded(_full_range(pixels, depth), info, tuple(notes))


def _heic_reader(path: Path) -> ModuleType:
    try:
        return importlib.import_module("pillow_heif")
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: is HEIC, and pillow-heif, which reads it, is not installed",
            advice="Install it with: pip install 'autochrome-archive[heif]'",
        ) from error


def _depth(avif: bytes) -> int:
    """Bits a sample, from the property for pixel information (ISO/IEC 23008-12, 6.5.6); 8 where there is none."""
    at = avif.find(b"pixi", 0, _PROPERTIES_WITHIN)
    return avif[at + 9] if at >= 0 and len(avif) > at + 9 else 8


def _full_range(pixels: NDArray[Any], depth: int) -> NDArray[Any]:
    """Stretch 10 or 12 bits to 16; 8 stay."""
    if pixels.dtype == np.uint8:
        return pixels
    top = (1 << depth) - 1
    codes = np.arange(top + 1, dtype=np.float64)
    table = np.rint(codes * (65535 / top)).astype(np.uint16)
    return np.asarray(table[np.minimum(pixels, top)])


def _planes(pixels: NDArray[Any]) -> tuple[NDArray[Any] | None, NDArray[Any], NDArray[Any] | None]:
    """Grey, if that is all there is, R, G and B, and alpha."""
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    channels = pixels.shape[2]
    alpha = np.ascontiguousarray(pixels[..., -1]) if channels in (2, 4) else None
    if channels >= 3:
        return None, np.ascontiguousarray(pixels[..., :3]), alpha
    grey = np.ascontiguousarray(pixels[..., 0])
    return grey, np.repeat(grey[..., None], 3, axis=2), alpha


def _carried(pixels: NDArray[Any], exif: bytes | None, xmp: bytes | None, icc: bytes | None) -> CarriedPng:
    header = Header(pixels.shape[1], pixels.shape[0], 8 * pixels.dtype.itemsize, RGB)
    chunks = []
    if icc:
        chunks.append(Chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if exif:
        chunks.append(Chunk(b"eXIf", without_thumbnail(exif)))
    if xmp:
        chunks.append(Chunk(b"iTXt", XMP_KEY + b"\0\0\0\0" + xmp))
    return CarriedPng(header=header, before=tuple(chunks), after=())
