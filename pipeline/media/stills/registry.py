"""All formats of photographs, in the order in which they are tried: a new one is a module, and an entry here."""

from __future__ import annotations

from pipeline.media.stills.bmp import BMP
from pipeline.media.stills.gif import GIF
from pipeline.media.stills.heif import AVIF, HEIC
from pipeline.media.stills.jp2 import JPEG_2000
from pipeline.media.stills.jpeg import JPEG
from pipeline.media.stills.png import PNG
from pipeline.media.stills.refused import FILM, REFUSED, RefusedFormat
from pipeline.media.stills.still import StillFormat
from pipeline.media.stills.tiff import TIFF
from pipeline.media.stills.webp import WEBP

# Number of first bytes that identify a format: few are needed, except for JPEG with stray bytes.
HEAD = 512

FORMATS: tuple[StillFormat, ...] = (JPEG, PNG, TIFF, JPEG_2000, WEBP, AVIF, HEIC, BMP, GIF)

SUFFIXES = frozenset(suffix for still_format in FORMATS for suffix in still_format.suffixes)
REFUSED_SUFFIXES = frozenset(suffix for refused in REFUSED for suffix in refused.suffixes)


def format_of(head: bytes, suffix: str = "") -> StillFormat | RefusedFormat | None:
    """Return the format of a file from its first `HEAD` bytes or, if they do not tell, from its ``suffix``.

    None if it is not a photograph, as far as one can tell. A suffix alone never gives a format that is read.
    """
    # Some refused formats begin like others: Canon's raw files like TIFF, JPEG-LS like JPEG.
    candidates: tuple[StillFormat | RefusedFormat, ...] = (*REFUSED, *FORMATS, FILM)
    for candidate in candidates:
        if candidate.sniff(head):
            return candidate
    return next((refused for refused in REFUSED if not refused.magics and suffix.lower() in refused.suffixes), None)


def format_of_suffix(suffix: str) -> StillFormat | None:
    """Return the readable format with this ``suffix``; None for all others."""
    return next((still_format for still_format in FORMATS if suffix.lower() in still_format.suffixes), None)
