"""Decide whether a photograph is suitable for training: large enough, and in colours of its own."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

MIN_SIDE = 64
"""Minimum shorter side in pixels."""

_GREY_CHROMA = 3.0
# Of 600 ordinary photographs 0.8 % are below this, all nearly of one hue; most old toned prints are.
_TONED_SPREAD = 2.0
_LEVELS = 32


def photo_verdict(rgb: npt.NDArray[np.uint8]) -> str:
    """Classify a photograph, uint8 RGB (H, W, 3), as "kept", "too_small", "grey" or "toned".

    See `training.data.build_cache`.
    """
    if min(rgb.shape[:2]) < MIN_SIDE:
        return "too_small"
    thumbnail = cv2.resize(rgb, (MIN_SIDE, MIN_SIDE), interpolation=cv2.INTER_AREA)
    lab = np.float32(cv2.cvtColor(thumbnail.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)).reshape(-1, 3)
    if float(np.hypot(lab[:, 1], lab[:, 2]).mean()) < _GREY_CHROMA:
        return "grey"
    return "toned" if _colour_beyond_tone(lab) < _TONED_SPREAD else "kept"


def _colour_beyond_tone(lab: npt.NDArray[np.float32]) -> float:
    """Return the root mean square distance of ab from its mean among equally light pixels, for Lab pixels (N, 3)."""
    level = np.minimum(lab[:, 0] * (_LEVELS / 100), _LEVELS - 1).astype(np.int64)
    count = np.maximum(np.bincount(level, minlength=_LEVELS), 1)
    off = [lab[:, c] - (np.bincount(level, lab[:, c], _LEVELS) / count)[level] for c in (1, 2)]
    return float(np.sqrt(np.mean(np.square(off).sum(axis=0))))
