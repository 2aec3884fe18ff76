"""Select the pages of a TIFF that are coloured; all others are refused by name, before a pixel is decoded."""

from __future__ import annotations

from pathlib import Path

import tifffile

from pipeline.media.stills.jp2_boxes import DamagedJp2Error, read_codestream
from pipeline.media.stills.jpeg import DamagedJpegError, read_frame
from pipeline.media.stills.samples import damaged, refuse
from pipeline.media.stills.tiff.pages import LOSSLESS

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
# Samples of colour or grey in each of them; any further ones are extra.
COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, YCBCR: 3}
_JPEG = 7
# Compressions whose segments have their own headers, and all that are read: those, three fax compressions, and LZMA.
_PACKED_PICTURES = (_JPEG, 33003, 33005, 34712)
_PACKINGS = frozenset((*LOSSLESS, *_PACKED_PICTURES, 2, 3, 4, 34925))
# Width, length, compression, interpretation, order of bits, samples, rows of strips, planes, predictor, tiles.
_SINGLE = (256, 257, 259, 262, 266, 277, 278, 284, 317, 322, 323)
_HEAD = 1 << 16
_MOST_EXTRA = 8
_KINDS = {4: "a mask", 5: "CMYK", 8: "L*a*b*", 9: "L*a*b*", 10: "L*a*b*", 32803: "camera raw", 34892: "camera raw"}


def check_page(path: Path, page: tifffile.TiffPage) -> None:
    """Raise `InputError` unless the page is of a kind that is coloured, and is stored completely in the file."""
    _check_single(path, page)
    _check_kind(path, page)
    check_whole(path, page)
    _check_segments(path, page)


def _check_single(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse several values where one is required: tifffile passes on what it finds."""
    for tag in (page.tags.get(number) for number in _SINGLE):
        if tag is not None and not isinstance(tag.value, int):
            raise damaged(path, f"its tag {tag.name} does not hold one number")


def _check_kind(path: Path, page: tifffile.TiffPage) -> None:
    photometric = int(page.photometric if page.photometric is not None else -1)
    if photometric in _KINDS or 50706 in page.tags:
        raise refuse(path, f"is a TIFF of {_KINDS.get(photometric, 'camera raw')} samples")
    if photometric not in COLOURS:
        raise refuse(path, f"is a TIFF of an unknown kind of samples ({photometric})")
    if int(page.compression) not in _PACKINGS:
        raise refuse(path, f"is a TIFF packed with {packing_name(page)}")
    if photometric == YCBCR and int(page.compression) != tifffile.COMPRESSION.JPEG:
        raise refuse(path, "is a TIFF of YCbCr samples outside JPEG")
    colours = COLOURS[photometric]
    if page.samplesperpixel < colours or page.samplesperpixel > (
        1 if photometric == PALETTE else colours + _MOST_EXTRA
    ):
        raise refuse(path, f"is a TIFF of {page.samplesperpixel} samples for each pixel")
    allowed = (1, 2, 4, 8, 16) if page.samplesperpixel == 1 else (8, 16)
    bits = page.bitspersample
    if page.sampleformat != 1 or bits not in allowed or (photometric == PALETTE and bits > 8):
        form = {1: "", 2: "signed ", 3: "floating-point "}.get(int(page.sampleformat), "unknown ")
        kind = "palette " if photometric == PALETTE else ""
        several = f", {page.samplesperpixel} for each pixel" if page.samplesperpixel > 1 else ""
        raise refuse(path, f"is a TIFF of {bits}-bit {form}{kind}samples{several}")


def _check_segments(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse strips and tiles that declare a larger size than the page does."""
    packing = int(page.compression)
    if packing not in _PACKED_PICTURES:
        return
    largest = (page.tilewidth * page.tilelength) if page.is_tiled else page.imagewidth * page.rowsperstrip
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        page.parent.filehandle.seek(offset)
        head = page.parent.filehandle.read(min(count, _HEAD))
        try:
            inner = read_frame(head) if packing == _JPEG else read_codestream(head)
        except (DamagedJpegError, DamagedJp2Error) as error:
            raise damaged(path, f"part of its pixels is damaged: {error}") from error
        if inner.width * inner.height > 2 * largest:
            raise damaged(
                path, f"is a TIFF with a part of {inner.width} x {inner.height} pixels, more than it has room for"
            )


def check_whole(path: Path, page: tifffile.TiffPage) -> None:
    """Raise `InputError` unless all strips or tiles of the page lie in the file."""
    if len(page.dataoffsets) != len(page.databytecounts):
        raise damaged(path, "does not tell where all of its pixels are")
    size = path.stat().st_size
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count == 0 or offset + count > size:
            raise damaged(path, "part of its pixels is not in the file")


def packing_name(page: tifffile.TiffPage) -> str:
    """Return the name of the page's compression."""
    try:
        return str(tifffile.COMPRESSION(page.compression).name)
    except ValueError:
        return f"method {int(page.compression)}"
