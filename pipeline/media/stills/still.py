"""A decoded photograph and everything of its file that the coloured one must keep."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.results import Note

Plane = NDArray[np.uint8 | np.uint16]
Strip = NDArray[np.uint8 | np.uint16] | NDArray[np.uint8 | np.uint16]


class StillFormat(StrEnum):
    """File formats that are read; `output_suffix` says which one the result has."""

    JPEG = "JPEG"
    PNG = "PNG"
    TIFF = "TIFF"
    WEBP = "WebP"
    BMP = "BMP"
    GIF = "GIF"
    JPEG_2000 = "JPEG 2000"
    HEIC = "HEIC"
    AVIF = "AVIF"


class ColourModel(StrEnum):
    """What a strip given to `write_still` holds in its last axis.

    YCBCR is full-range BT.601 as JPEG File Interchange Format defines it: Y' first, chroma centred on 128.
    """

    YCBCR = "ycbcr"
    RGB = "rgb"


@dataclass(frozen=True, kw_only=True)
class AiColour:
    """What is declared in the result's XMP about where its colour comes from.

    ``system`` and ``version`` become the AI system and AI system version of the IPTC Photo Metadata Standard 2025.1.
    """

    system: str
    version: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Still:
    """One photograph, decoded.

    ``luma``: (H, W), uint8 or uint16, full range, in the pixel order of the file: ``orientation`` (EXIF, 1 to 8) is
    not applied, and stays in the file. ``bits`` is 8 or 16. ``alpha`` has the shape and dtype of ``luma``, or is None.
    ``chroma`` is the source's own, small: BT.601 Cb and Cr, (2, h, w) of at most 256 pixels a side, -0.5..0.5; None
    for a file of grey samples. ``is_bilevel``: there are no samples but black and white. ``profile`` is the source's
    ICC profile. ``further`` holds the other pages of a file of several.
    ``carried`` belongs to the module of ``format``: it is what that module needs to write the result.
    """

    path: Path
    format: StillFormat
    luma: Plane
    bits: int
    orientation: int
    colour_model: ColourModel
    alpha: Plane | None
    notes: tuple[Note, ...]
    carried: Any
    chroma: NDArray[np.float32] | None = None
    is_bilevel: bool = False
    profile: bytes | None = None
    further: tuple[Still, ...] = ()

    @property
    def height(self) -> int:
        """Rows of the stored picture, before orientation."""
        return int(self.luma.shape[0])

    @property
    def width(self) -> int:
        """Columns of the stored picture, before orientation."""
        return int(self.luma.shape[1])
