"""Colour spaces of model inputs and outputs: sRGB as in IEC 61966-2-1, CIELAB as in CIE 15:2018 (D65)."""

from __future__ import annotations

import cv2
import numpy as np

from engines.tensors import F32

_DELTA = 6 / 29


def grey_from_lightness(lightness: F32) -> F32:
    """Return the sRGB values, 0..1, of greys with L* in 0..100; any shape."""
    root = (lightness + np.float32(16)) * np.float32(1 / 116)
    linear = np.where(root > _DELTA, root**3, np.float32(3 * _DELTA**2) * (root - np.float32(4 / 29)))
    linear = np.clip(linear, 0, 1)
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055), np.float32)


def ab_from_rgb(rgb: F32) -> F32:
    """Return CIELAB a* and b* (N, 2, H, W) of sRGB pictures (N, 3, H, W); values outside 0..1 are clipped."""
    pictures = np.ascontiguousarray(np.clip(rgb, 0, 1).transpose(0, 2, 3, 1), np.float32)
    lab = [cv2.cvtColor(picture, cv2.COLOR_RGB2LAB) for picture in pictures]
    return np.ascontiguousarray(np.stack(lab).transpose(0, 3, 1, 2)[:, 1:])


def three_greys(grey: F32) -> F32:
    """Repeat one plane (N, 1, H, W) as (N, 3, H, W), contiguous."""
    return np.ascontiguousarray(np.repeat(grey, 3, axis=1))
