"""Pictures of things: each has one colour and one brightness, with shading and texture, and ends at an edge."""

from __future__ import annotations

import cv2
import numpy as np

from engines.adapters.base import Evidence
from engines.network import Prediction
from pipeline.color.spaces import F32, Matrix, ab_of_rgb, rgb_of

HEIGHT, WIDTH = 96, 128
_THINGS = 40
_STRIDE, _TOLD_STRIDE = 2, 4  # of what a network says of them
_CERTAINTY = 8.0  # CIELAB units


def things(seed: int, *, chroma: float = 1.0) -> tuple[F32, F32]:
    """Return luma (h, w) and chroma (2, h, w) of things that lie over each other."""
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
    """Return the chroma (2, h, w) of a sepia print with stains, which are where they are for no reason."""
    field = np.random.default_rng(seed).normal(size=(5, 7)).astype(np.float32)
    smooth = np.clip(cv2.resize(field, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), 0, None) * np.float32(stains)
    brown = 0.06 * np.sin(np.pi * luma)
    return np.stack([-brown - smooth, 0.8 * brown + smooth / 2]).astype(np.float32)


def expecting(luma: F32, chroma: F32) -> Prediction:
    """Return what a network says that expects just this ``chroma`` (2, h, w)."""
    ab = ab_of_rgb(rgb_of(luma, chroma, Matrix.BT601))

    def reduced(stride: int) -> F32:
        size = WIDTH // stride, HEIGHT // stride
        return np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in ab]).astype(np.float32)

    steps = np.arange(-80, 81, 10, dtype=np.float32)
    centres = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    apart = reduced(_TOLD_STRIDE)[None] - centres[:, :, None, None]
    logits = -np.square(apart).sum(axis=1) / np.float32(2 * _CERTAINTY**2)
    return Prediction(reduced(_STRIDE)[None], Evidence(logits[None].astype(np.float32), centres))
