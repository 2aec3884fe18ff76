"""WebP photographs, always written losslessly.

Encoding a lossy WebP again costs luma, even at quality 100 (measured: half a code on average, single samples by up to
15). Lossless encoding costs file size instead, a factor of some five.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.media.stills.exif import PREFIX, orientation_of
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.metadata import Metadata
from pipeline.media.stills.samples import damaged, planes, refuse, trailing, undecodable
from pipeline.media.stills.still import ColourModel, Page, PageCheck, Still, StillFormat
from pipeline.media.stills.verification import Found, verify_lossless
from pipeline.results import Note, NoteKind

# For lossless WebP this is effort, not quality.
_EFFORT = 50
# The thorough method uses 26 bytes per pixel, the quick one 9; large pictures use the quick one.
_THOROUGH, _QUICK = 4, 0
_THOROUGH_PIXELS = 12_000_000
_PIXELS, _METADATA = (b"VP8 ", b"VP8L", b"ALPH", b"VP8X"), (b"EXIF", b"ICCP", b"XMP ")


@dataclass(frozen=True, kw_only=True)
class _Container:
    """Chunks of the RIFF container, those with pixels only by name; bytes after its end."""

    chunks: dict[bytes, bytes]
    extra: int

    @property
    def metadata(self) -> Metadata:
        exif = self.chunks.get(b"EXIF", b"").removeprefix(PREFIX)
        return Metadata(profile=self.chunks.get(b"ICCP"), exif=exif or None, xmp=self.chunks.get(b"XMP "))


class WebpFormat(StillFormat):
    """WebP; results are lossless."""

    name = "WebP"
    suffixes = (".webp",)

    def sniff(self, head: bytes) -> bool:
        """Recognise the RIFF header."""
        return head[:4] == b"RIFF" and head[8:12] == b"WEBP"

    def read(self, path: Path, *, pixel_limit: int) -> Still:
        """Decode to luma and alpha. Raises `InputError`."""
        luma, alpha, chroma = planes(_decoded(path, pixel_limit))
        container = _container(path.read_bytes())
        orientation, notes = orientation_of(container.metadata.exif)
        if b"VP8L" not in container.chunks:
            text = "lossy WebP is written without loss, so that its luma stays: the file grows"
            notes = (*notes, Note(NoteKind.CONVERTED, text))
        unknown = [name.decode("latin-1") for name in container.chunks if name not in (*_PIXELS, *_METADATA)]
        notes += tuple(Note(NoteKind.DROPPED, f"WebP chunk {name!r} is not carried over") for name in unknown)
        return Still(
            path=path,
            format=self,
            luma=luma,
            orientation=orientation,
            colour_model=ColourModel.RGB,
            alpha=alpha,
            notes=(*notes, *trailing("WebP", container.extra)),
            metadata=container.metadata,
            chroma=chroma,
        )

    def write(self, path: Path, pages: Sequence[Page]) -> tuple[Note, ...]:
        """Write R, G and B with the source's EXIF, ICC profile and XMP."""
        (page,) = pages
        still = page.still
        metadata, notes = page.metadata
        image = Image.new("RGB" if still.alpha is None else "RGBA", (still.width, still.height))
        top = 0
        for strip in page.strips_with_alpha():
            image.paste(Image.fromarray(np.ascontiguousarray(strip, np.uint8)), (0, top))
            top += strip.shape[0]
        image.save(
            path,
            "WEBP",
            lossless=True,
            exact=True,
            quality=_EFFORT,
            method=_THOROUGH if still.luma.size <= _THOROUGH_PIXELS else _QUICK,
            exif=metadata.exif or b"",
            icc_profile=metadata.profile or b"",
            xmp=metadata.xmp or b"",
        )
        return notes

    def verify(self, path: Path, pages: Sequence[Page]) -> tuple[PageCheck, ...]:
        """Decode the file and compare it with what should have been written."""
        (page,) = pages
        pixels = _decoded(path, page.still.luma.size)
        metadata = _container(path.read_bytes()).metadata
        orientation, _ = orientation_of(metadata.exif)
        return (verify_lossless(path, page, Found(pixels=pixels, orientation=orientation, metadata=metadata)),)


WEBP = WebpFormat()


def _decoded(path: Path, pixel_limit: int) -> NDArray[Any]:
    """Decode a file whose size was checked before: (H, W, 3 or 4)."""
    with path.open("rb") as file:
        width, height, is_animated = _features(path, file.read(30))
    check_size(path, width, height, pixel_limit=pixel_limit)
    if is_animated:
        raise refuse(path, "is an animated WebP")
    try:
        pixels: NDArray[Any] = imagecodecs.webp_decode(path.read_bytes())
    except (RuntimeError, ValueError) as error:
        raise undecodable(path, error) from error
    if pixels.shape[:2] != (height, width):
        raise damaged(path, f"decodes to {pixels.shape[:2]}, its header says {height} x {width}")
    return pixels


def _features(path: Path, head: bytes) -> tuple[int, int, bool]:
    """Return width, height, and whether it is animated, from the first chunk (RFC 9649, sections 2.5 to 2.7)."""
    kind, data = head[12:16], head[20:]
    if kind == b"VP8X" and len(data) == 10:
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (4, 7))
        return width, height, bool(data[0] & 2)
    if kind == b"VP8 " and data[3:6] == b"\x9d\x01\x2a" and len(data) == 10:
        width, height = struct.unpack_from("<HH", data, 6)
        return width & 0x3FFF, height & 0x3FFF, False
    if kind == b"VP8L" and data[:1] == b"\x2f" and len(data) >= 5:
        (bits,) = struct.unpack_from("<I", data, 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, False
    raise damaged(path, "cannot be decoded: its header is damaged")


def _container(data: bytes) -> _Container:
    """Parse the container. One that breaks off ends early."""
    found: dict[bytes, bytes] = {}
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    position = 12
    while position + 8 <= end:
        name, size = struct.unpack_from("<4sI", data, position)
        found.setdefault(name, b"" if name in _PIXELS else data[position + 8 : position + 8 + size])
        position += 8 + size + size % 2
    return _Container(chunks=found, extra=len(data[max(end, position) :].rstrip(b"\0")))
