"""Photographs in and out: luma for the colorizer, and a file that has gained chroma and lost nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.errors import InputError
from pipeline.media.stills.bitmap import bitmap_pixels, read_bitmap
from pipeline.media.stills.heif import heif_format, heif_pixels, read_heif
from pipeline.media.stills.icc import space_for_colour
from pipeline.media.stills.icc_tags import RgbDescription
from pipeline.media.stills.jp2 import read_jp2, write_jp2
from pipeline.media.stills.jp2_boxes import SIGNATURE as JP2_SIGNATURE
from pipeline.media.stills.jpeg import read_jpeg, write_jpeg
from pipeline.media.stills.limits import PIXEL_LIMIT
from pipeline.media.stills.png import read_png, write_png
from pipeline.media.stills.samples import refuse
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
    StillFormat.JPEG_2000: (".jp2", ".jpf", ".jpx"),
    StillFormat.HEIC: (".heic", ".heif", ".hif"),
    StillFormat.AVIF: (".avif",),
}
SUFFIXES = frozenset(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)

# Formats that cannot hold what a result carries, and those that take their place.
_RESULT_FORMATS = dict.fromkeys((StillFormat.BMP, StillFormat.GIF, StillFormat.HEIC, StillFormat.AVIF), StillFormat.PNG)

_BEGINNINGS = (
    (b"\xff\xd8\xff", StillFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", StillFormat.PNG),
    *((magic, StillFormat.TIFF) for magic in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (JP2_SIGNATURE, StillFormat.JPEG_2000),
    (b"BM", StillFormat.BMP),
    (b"GIF87a", StillFormat.GIF),
    (b"GIF89a", StillFormat.GIF),
)
# First bytes of other picture formats, so that they are refused by name.
_CONVERT = "Convert it to TIFF or PNG first."
_DEVELOP = "Develop it to TIFF first, and colour that."
_REFUSED = (
    (0, b"\xff\x4f\xff\x51", "a bare JPEG 2000 codestream", "Put it into a .jp2 file first."),
    (0, b"\xff\x0a", "JPEG XL", _CONVERT),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL", _CONVERT),
    (4, b"ftypcrx ", "camera raw (Canon)", _DEVELOP),
    (4, b"ftyp", "a film, or HEIF of an unknown kind", _CONVERT),
    (8, b"CR\2\0", "camera raw (Canon)", _DEVELOP),
    (6, b"HEAPCCDR", "camera raw (Canon)", _DEVELOP),
    (0, b"FUJIFILMCCD-RAW", "camera raw (Fujifilm)", _DEVELOP),
    (0, b"IIRO", "camera raw (Olympus)", _DEVELOP),
    (0, b"IIRS", "camera raw (Olympus)", _DEVELOP),
    (0, b"MMOR", "camera raw (Olympus)", _DEVELOP),
    (0, b"IIU\0", "camera raw (Panasonic)", _DEVELOP),
    (0, b"FOVb", "camera raw (Sigma)", _DEVELOP),
    (0, b"\0MRM", "camera raw (Minolta)", _DEVELOP),
    (0, b"8BPS", "Photoshop", _CONVERT),
    (0, b"%PDF", "PDF", _CONVERT),
    (0, b"DDS ", "DDS", _CONVERT),
    (0, b"v/1\x01", "OpenEXR", _CONVERT),
)

_READERS: dict[StillFormat, Callable[..., Still]] = {
    StillFormat.JPEG: read_jpeg,
    StillFormat.PNG: read_png,
    StillFormat.TIFF: read_tiff,
    StillFormat.WEBP: read_webp,
    StillFormat.JPEG_2000: read_jp2,
}
_PIXELS: dict[StillFormat, Callable[[Path], Strip]] = {
    StillFormat.BMP: bitmap_pixels,
    StillFormat.GIF: bitmap_pixels,
    StillFormat.HEIC: heif_pixels,
    StillFormat.AVIF: heif_pixels,
}
_WRITERS = {
    StillFormat.JPEG: write_jpeg,
    StillFormat.PNG: write_png,
    StillFormat.WEBP: write_webp,
    StillFormat.JPEG_2000: write_jp2,
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
    if file_format in (StillFormat.HEIC, StillFormat.AVIF):
        return read_heif(path, file_format, pixel_limit=pixel_limit)
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
    for offset, magic, name, advice in _REFUSED:
        if head[offset : offset + len(magic)] == magic and heif_format(head) is None:
            raise refuse(path, f"is {name}, which is not coloured", advice=advice)
    for begin, file_format in _BEGINNINGS:
        if head.startswith(begin):
            return file_format
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return StillFormat.WEBP
    if (heif := heif_format(head)) is not None:
        return heif
    names = "JPEG, PNG, TIFF, JPEG 2000, WebP, HEIC, AVIF, BMP and GIF"
    raise InputError(
        f"{path}: is not a picture", advice=f"Leave it out with --exclude, or save it as TIFF; {names} are read."
    )
