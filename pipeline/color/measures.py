"""Measurement of results: small pictures in, `Measures` out, to help choose which to view first."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.color.spaces import F32, Matrix, ab_of_rgb, rgb_of
from pipeline.color.tone import Verdict
from pipeline.options import TreatAs
from pipeline.results import Measures
from pipeline.sizes import size_within

_SIDE = 96  # longer side of the picture that is measured
# Chroma (CIELAB) that few objects have; lower for reds and purples, which the network often puts in wrong places.
_STRONG = 60.0
_STRONG_RED = 40.0
_REDS = -75.0, 42.0  # hue in degrees
_DIGITS = 4


def measured(luma: F32, chroma: F32 | None, matrix: Matrix, *, clipped: float = 0.0, doubt: float = 0.0) -> Measures:
    """Return the figures of one small picture; ``flicker`` is None.

    ``luma`` (h, w), 0..1, and ``chroma`` (2, h', w'), Cb and Cr, -0.5..0.5, of one orientation, None for grey;
    `Upsampled.small` gives chroma that fits. ``clipped`` is that of `Upsampled`, ``doubt`` that of `doubt`.
    """
    rgb = small_rgb(luma, chroma, matrix, side=_SIDE)
    red, green, blue = (rgb[..., channel] * np.float32(255) for channel in range(3))
    opponents = np.stack([red - green, (red + green) / 2 - blue]).reshape(2, -1)
    spread, mean = opponents.std(axis=1), opponents.mean(axis=1)
    a, b = ab_of_rgb(rgb)
    hue = np.degrees(np.arctan2(b, a))
    strongest = np.where((hue > _REDS[0]) & (hue < _REDS[1]), _STRONG_RED, _STRONG)
    return Measures(
        colourfulness=round(float(np.hypot(*spread) + 0.3 * np.hypot(*mean)), _DIGITS),
        strong=round(float((np.hypot(a, b) > strongest).mean()), _DIGITS),
        clipped=round(clipped, _DIGITS),
        doubt=round(doubt, _DIGITS),
    )


def doubt(verdict: Verdict, treat_as: TreatAs) -> float:
    """Return the doubt in the judgement of the source's tone, 0 (sure, or stated by the user) to 1."""
    return 1 - verdict.confidence if treat_as is TreatAs.AUTO else 0.0


def averaged(pictures: Sequence[Measures], *, flicker: float | None = None) -> Measures:
    """Return the mean figures of pictures of one film, and its ``flicker``. Raises ValueError if there are none."""
    if not pictures:
        raise ValueError("no pictures were measured")
    means = {
        name: round(sum(getattr(picture, name) for picture in pictures) / len(pictures), _DIGITS)
        for name in ("colourfulness", "strong", "clipped", "doubt")
    }
    return Measures(**means, flicker=flicker)


def small_rgb(luma: F32, chroma: F32 | None, matrix: Matrix, *, side: int, aspect: float | None = None) -> F32:
    """Return R, G and B, (h, w, 3), 0..1, of at most ``side`` pixels a side, never larger than ``luma``.

    ``chroma`` (2, h', w') may have another size, or be None for grey. ``aspect`` is width over height if it differs
    from that of ``luma``.
    """
    height, width = luma.shape
    if aspect is not None:
        height, width = (round(width / aspect), width) if aspect > width / height else (height, round(height * aspect))
    size = size_within(side, width, height)
    small = _resized(luma, size)
    planes = np.zeros((2, *small.shape), np.float32) if chroma is None else [_resized(plane, size) for plane in chroma]
    return rgb_of(small, planes, matrix)


def _resized(plane: F32, size: tuple[int, int]) -> F32:
    smaller = size[0] * size[1] < plane.size
    return np.asarray(
        cv2.resize(plane, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR), np.float32
    )
