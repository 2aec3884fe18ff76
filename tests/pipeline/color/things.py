"""Pictures of objects: each has one colour and one brightness, with shading and texture, and a sharp edge."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.color.spaces import F32

HEIGHT, WIDTH = 96, 128
_THINGS = 40


def things(seed: int, *, chroma: float = 1.0) -> tuple[F32, F32]:
    """Return luma (h, w) and chroma (2, h, w) of overlapping objects."""
    random = np.random.default_rng(seed)
    planes = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    planes[...] = 0.6, 0.0, 0.0
    for _ in range(_THINGS):
        middle = int(random.integers(WIDTH)), int(random.integers(HEIGHT))
        size = int(random.integers(6, 26)), int(random.integers(6, 26))
        colour = random.uniform(0.2, 0.85), *(chroma * random.normal(0, 0.05, 2))
        cv2.ellipse(planes, middle, size, float(random.uniform(0, 180)), 0, 360, [float(part) for part in colour], -1)
    texture = cv2.GaussianBlur(random.normal(size=(HEIGHT, WIDTH)).astype(np.float32), (0, 0), 1)
    luma = np.clip(planes[..., 0] + 0.1 * texture, 0, 1)
    return luma, np.moveaxis(planes[..., 1:], -1, 0).copy()


def stained_print(luma: F32, *, seed: int, stains: float = 0.04) -> F32:
    """Return the chroma (2, h, w) of a sepia print with randomly placed stains."""
    field = np.random.default_rng(seed).normal(size=(5, 7)).astype(np.float32)
    smooth = np.clip(cv2.resize(field, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), 0, None) * np.float32(stains)
    brown = 0.06 * np.sin(np.pi * luma)
    return np.stack([-brown - smooth, 0.8 * brown + smooth / 2]).astype(np.float32)
