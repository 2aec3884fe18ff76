"""Photographs in and out: luma for the painter, and a file that has gained chroma and lost nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.errors import InputError
from pipeline.media.stills.bitmap import bitmap_pixels, read_bitmap
from pipeline.media.stills.icc import space_for_colour
from pipeline.media.stills.icc_tags import RgbDescription
from pipeline.media.stills.jpeg import read_jpeg, write_jpeg
from pipeline.media.stills.limits import PIXEL_LIMIT
from pipeline.media.stills.png import read_png, write_png
from pipeline.media.stills.still import AiColour, ColourModel, Plane, Still, StillFormat, Strip
from pipeline.media.stills.tiff import read_tiff, write_tiff
from pipeline.media.stills.webp import read_webp, write_webp
from pipeline.results import Note

__all__ = [
    "PIXEL_LIMIT",
    "SUFFIXES",
    "AiColour",
    "ColourModel",
    "Plane",
    "RgbDescription",
    "Still",
    "StillFormat",
    "Strip",
    "converted_suffix",
    "output_suffix",
    "own_strips",
    "read_still",
    "space_for_colour",
    "write_still",
]

_SUFFIXES = {
    StillFormat.JPEG: (".jpg", ".jpeg", ".jpe", ".jfif"),
    StillFormat.PNG: (".png",),
    StillFormat.TIFF: (".tif", ".tiff"),
    StillFormat.WEBP: (".webp",),
    StillFormat.BMP: (".bmp", ".dib"),
    StillFormat.GIF: (".gif",),
}
SUFFIXES = frozenset(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)

# Formats that cannot hold what a result carries, and those that take their place.
_RESULT_FORMATS = {StillFormat.BMP: StillFormat.PNG, StillFormat.GIF: StillFormat.PNG}

# First bytes of other picture formats, so that they are refused by name.
_REFUSED = (
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (4, b"ftyp", "HEIF, AVIF or a film"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%PDF", "PDF"),
    (0, b"DDS ", "DDS"),
    (0, b"v/1\x01", "OpenEXR"),
)

_READERS: dict[StillFormat, Callable[..., Still]] = {
    StillFormat.JPEG: read_jpeg,
    StillFormat.PNG: read_png,
    StillFormat.TIFF: read_tiff,
    StillFormat.WEBP: read_webp,
}
_PIXELS: dict[StillFormat, Callable[[Path], Strip]] = {
    StillFormat.BMP: bitmap_pixels,
    StillFormat.GIF: bitmap_pixels,
}
_WRITERS = {
    StillFormat.JPEG: write_jpeg,
    StillFormat.PNG: write_png,
    StillFormat.WEBP: write_webp,
}


def read_still(path: Path, *, pixel_limit: int = PIXEL_LIMIT) -> Still:
    """Decode one photograph. The content decides the format, not the name.

    Raises `InputError` for what cannot be read, is larger than ``pixel_limit``, or is a kind that is not coloured.
    """
    try:
        with path.open("rb") as file:
            head = file.read(32)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened: {error.strerror or error}", advice="Check the path.") from error
    file_format = _format_of(path, head)
    if file_format in _READERS:
        return _READERS[file_format](path, pixel_limit=pixel_limit)
    return read_bitmap(path, file_format, pixel_limit=pixel_limit)


def write_still(
    path: Path,
    still: Still,
    strips: Iterator[Strip] | None,
    *,
    declared: AiColour | None = None,
    further: Sequence[Iterator[Strip] | None] = (),
) -> tuple[Note, ...]:
    """Write the coloured photograph to ``path``, in the format `output_suffix` says, with all that ``still`` carries.

    ``strips``: full-size (rows, W, 3) arrays of the dtype of ``still.luma``, from top to bottom, any number of rows
    each, together H rows; in ``still.colour_model``, full range, in the pixel order of the file. ``further`` holds
    those of ``still.further``. In a file of several pages, None leaves a page as it is, pixel for pixel. ``declared``
    is written to XMP beside new colours; None leaves XMP as it was. What had to be converted or dropped is returned,
    in addition to ``still.notes``. Raises OSError when the disk refuses and `OutputError` when the format has no room;
    ValueError if the strips do not fit the photograph.
    """
    if still.format is StillFormat.TIFF:
        pages = zip((still, *still.further), (strips, *further), strict=True)
        return write_tiff(path, [(page, made, declared) for page, made in pages])
    if strips is None or further:
        raise ValueError(f"{still.format} has one page")
    return _WRITERS[_RESULT_FORMATS.get(still.format, still.format)](path, still, strips, declared=declared)


def output_suffix(still: Still) -> str:
    """Give the suffix of the result: that of the source where it fits the content, else the usual one."""
    suffixes = _SUFFIXES[_RESULT_FORMATS.get(still.format, still.format)]
    return still.path.suffix if still.path.suffix.lower() in suffixes else suffixes[0]


def converted_suffix(suffix: str) -> str:
    """Give the suffix that the result of a file with ``suffix`` gets beside it; "" where the format stays."""
    for source, result in _RESULT_FORMATS.items():
        if suffix.lower() in _SUFFIXES[source]:
            return _SUFFIXES[result][0]
    return ""


def own_strips(still: Still) -> Iterator[Strip]:
    """Yield the source's own R, G and B as `write_still` takes them, for a format that is written as another one."""
    yield _PIXELS[still.format](still.path)


def _format_of(path: Path, head: bytes) -> StillFormat:
    if head.startswith(b"\xff\xd8\xff"):
        return StillFormat.JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return StillFormat.PNG
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return StillFormat.TIFF
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return StillFormat.WEBP
    if head.startswith(b"BM"):
        return StillFormat.BMP
    if head.startswith((b"GIF87a", b"GIF89a")):
        return StillFormat.GIF
    for offset, magic, name in _REFUSED:
        if head[offset : offset + len(magic)] == magic:
            raise InputError(f"{path}: is {name}, which is not coloured", advice="Convert it to TIFF or PNG first.")
    raise InputError(f"{path}: is not a picture", advice="JPEG, PNG, TIFF, WebP, BMP and GIF are read.")
