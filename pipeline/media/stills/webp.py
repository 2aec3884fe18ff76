"""WebP photographs, always written without loss.

Coding a lossy WebP a second time costs luma, even at quality 100 (measured: half a code on average, single samples by
up to 15). Without loss it costs file size instead, some five times.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.media.stills.exif import PREFIX, orientation_of, without_thumbnail
from pipeline.media.stills.icc import profile_for_colour
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.samples import damaged, luma_of_rgb, refuse, rgb_strips, small_chroma
from pipeline.media.stills.still import AiColour, ColourModel, Still, StillFormat, Strip
from pipeline.media.stills.xmp import declare_ai_colour
from pipeline.results import Note, NoteKind

# For lossless WebP this is effort, not quality.
_EFFORT = 50
# The thorough method takes 26 bytes a pixel, the quick one 9; large pictures get the quick one.
_THOROUGH, _QUICK = 4, 0
_THOROUGH_PIXELS = 12_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class CarriedWebp:
    """Metadata chunks of the source."""

    exif: bytes | None
    icc: bytes | None
    xmp: bytes | None


def read_webp(path: Path, *, pixel_limit: int) -> Still:
    """Decode to luma and alpha. Raises `InputError`."""
    try:
        with Image.open(path, formats=("WEBP",)) as image:
            check_size(path, image.width, image.height, pixel_limit=pixel_limit)
            if getattr(image, "is_animated", False):
                raise refuse(path, "is an animated WebP")
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise damaged(path, f"cannot be decoded: {error}") from error
    chunks = _chunks(path.read_bytes())
    exif = chunks.get(b"EXIF")
    orientation, notes = orientation_of(exif.removeprefix(PREFIX) if exif else None)
    if b"VP8L" not in chunks:
        text = "lossy WebP is written without loss, so that its luma stays: the file grows"
        notes = (*notes, Note(NoteKind.CONVERTED, text))
    return Still(
        path=path,
        format=StillFormat.WEBP,
        luma=luma_of_rgb(pixels),
        bits=8,
        orientation=orientation,
        colour_model=ColourModel.RGB,
        alpha=np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else None,
        notes=notes,
        carried=CarriedWebp(
            exif=without_thumbnail(exif) if exif else None, icc=chunks.get(b"ICCP"), xmp=chunks.get(b"XMP ")
        ),
        chroma=small_chroma(pixels),
        profile=chunks.get(b"ICCP"),
    )


def write_webp(path: Path, still: Still, strips: Iterator[Strip], *, declared: AiColour | None) -> tuple[Note, ...]:
    """Write RGB ``strips`` with the source's EXIF, ICC profile and XMP."""
    carried: CarriedWebp = still.carried
    icc, notes = profile_for_colour(carried.icc)
    xmp = carried.xmp
    if declared is not None:
        xmp, more = declare_ai_colour(carried.xmp, declared)
        notes += more
    image = Image.new("RGB" if still.alpha is None else "RGBA", (still.width, still.height))
    top = 0
    for strip in rgb_strips(still, strips):
        image.paste(Image.fromarray(np.ascontiguousarray(strip, np.uint8)), (0, top))
        top += strip.shape[0]
    image.save(
        path,
        "WEBP",
        lossless=True,
        exact=True,
        quality=_EFFORT,
        method=_THOROUGH if still.luma.size <= _THOROUGH_PIXELS else _QUICK,
        exif=carried.exif or b"",
        icc_profile=icc or b"",
        xmp=xmp or b"",
    )
    return notes


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """Chunks of the RIFF container; those of the pixels only by name. A container that breaks off ends early."""
    found: dict[bytes, bytes] = {}
    position = 12
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        pixels = name in (b"VP8 ", b"VP8L", b"ALPH")
        found.setdefault(name, b"" if pixels else data[position + 8 : position + 8 + size])
        position += 8 + size + size % 2
    return found
