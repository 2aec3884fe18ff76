"""Figures on whether chroma follows the objects shown, which distinguish colours from stains and faded dyes.

A tint as a function of luma leaves residual chroma in toned prints too: stains, yellowed edges, uneven fading. That is
unrelated to the objects shown. In a colour photograph, chroma changes where one object ends and another begins, and so
does luma: chroma changes much across the edges of luma, and little along them.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.color.spaces import F32

Bools = npt.NDArray[np.bool_]

FIGURES = (
    "change of left-over chroma across the strongest edges of luma, over that along them: logarithm",
    "change of left-over chroma across the strongest edges of luma: logarithm",
)
_SIGMA = 2.0  # pixels of a picture of some 128 a side: less is the noise of JPEG and of its halved chroma
_STRONGEST = 0.8  # quantile of the slopes of luma from which they are edges
_LEAST_PIXELS = 150
_BORDER = np.ones((5, 5), np.uint8)  # around areas not shown, where blurring has fewer pixels
_LEAST_COVERED = 0.05
_FLOOR = 2e-4  # of chroma a pixel, below which differences do not count


def edge_figures(luma: F32, left_over: F32, shown: Bools) -> npt.NDArray[np.float64] | None:
    """Return `FIGURES` of a picture of some 128 pixels a side, float64 (2,); None if it shows too little.

    ``luma`` (h, w), 0..1; ``left_over`` (h, w, 2), in units of Cb and Cr, is the chroma that a tint does not explain,
    0 where not ``shown``.
    """
    inner = cv2.erode(shown.astype(np.uint8), _BORDER, borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
    if inner.sum() < _LEAST_PIXELS:
        return None
    covered = np.maximum(_blurred(shown.astype(np.float32)), np.float32(_LEAST_COVERED))
    slope = _slopes(_blurred(luma))[:, inner]
    steepness = np.linalg.norm(slope, axis=0)
    edges = steepness > np.quantile(steepness, _STRONGEST)
    if not edges.any():
        return None
    y, x = slope[:, edges] / steepness[edges]
    planes = (np.asarray(_blurred(plane) / covered, np.float32) for plane in np.moveaxis(left_over, -1, 0))
    changes = [_slopes(plane)[:, inner][:, edges] for plane in planes]
    across = float(np.linalg.norm([dy * y + dx * x for dy, dx in changes], axis=0).mean()) + _FLOOR
    along = float(np.linalg.norm([dy * x - dx * y for dy, dx in changes], axis=0).mean()) + _FLOOR
    return np.array([np.log(across / along), np.log(across)])


def _blurred(plane: F32) -> F32:
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(plane), (0, 0), _SIGMA), np.float32)


def _slopes(plane: F32) -> F32:
    down, right = np.gradient(plane, axis=0), np.gradient(plane, axis=1)
    return np.stack([down, right]).astype(np.float32)
