"""A picture in memory as a `Still`, for callers who have no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.media.stills.metadata import Metadata
from pipeline.media.stills.png import PNG, CarriedPng
from pipeline.media.stills.samples import planes
from pipeline.media.stills.still import ColourModel, Still

_NAME = Path("picture in memory")


def still_of(pixels: NDArray[Any], *, profile: bytes | None = None) -> Still:
    """Make a still of ``pixels``: (H, W) grey, (H, W, 3) R, G and B, or with alpha last, uint8 or uint16, full range.

    ``profile`` is the ICC profile of the codes; sRGB if None. Raises `UsageError` for other arrays.
    """
    pixels = pixels if pixels.ndim != 2 else pixels[..., None]
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or 0 in pixels.shape:
        raise UsageError(
            f"{_NAME}: is an array of shape {pixels.shape}",
            advice="Give (H, W), (H, W, 3), or these with alpha as the last channel.",
        )
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UsageError(
            f"{_NAME}: is an array of {pixels.dtype}", advice="Give codes of uint8 or uint16 from black to white."
        )
    luma, alpha, chroma = planes(pixels)
    return Still(
        path=_NAME,
        format=PNG,
        luma=luma,
        orientation=1,
        colour_model=ColourModel.RGB,
        alpha=alpha,
        notes=(),
        metadata=Metadata(profile=profile),
        carried=CarriedPng(),
        chroma=chroma,
    )
