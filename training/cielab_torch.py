"""CIELAB and sRGB on batches of torch tensors.

Formulas: sRGB as in IEC 61966-2-1, CIELAB as in CIE 15:2018, white point D65 (the sRGB white).
"""

from __future__ import annotations

import torch
from torch import Tensor

_RGB_TO_XYZ = torch.tensor(
    [
        [0.4123908, 0.3575843, 0.1804808],
        [0.2126390, 0.7151687, 0.0721923],
        [0.0193308, 0.1191948, 0.9505322],
    ]
)
_XYZ_TO_RGB = torch.linalg.inv(_RGB_TO_XYZ)
_WHITE = _RGB_TO_XYZ.sum(dim=1)
_DELTA = 6 / 29


def decode_srgb(rgb: Tensor) -> Tensor:
    """Return linear light, 0..1, for sRGB code values in 0..1."""
    return torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def encode_srgb(linear: Tensor) -> Tensor:
    """Return sRGB code values for linear light; values outside 0..1 are clipped."""
    linear = linear.clamp(0, 1)
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def linear_to_lab(linear: Tensor) -> Tensor:
    """Convert linear sRGB, shape (N, 3, H, W), 0..1, to CIELAB of the same shape: L* 0..100, a* and b* about +-110."""
    xyz = torch.einsum("ij,njhw->nihw", _RGB_TO_XYZ.to(linear), linear)
    ratio = xyz / _WHITE.to(linear).view(1, 3, 1, 1)
    f = _cube_root(ratio)
    lightness = 116 * f[:, 1:2] - 16
    a = 500 * (f[:, 0:1] - f[:, 1:2])
    b = 200 * (f[:, 1:2] - f[:, 2:3])
    return torch.cat([lightness, a, b], dim=1)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert sRGB code values, shape (N, 3, H, W), 0..1, to CIELAB."""
    return linear_to_lab(decode_srgb(rgb))


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Convert CIELAB, shape (N, 3, H, W), to sRGB code values 0..1; colours outside the gamut are clipped."""
    fy = (lab[:, 0:1] + 16) / 116
    f = torch.cat([fy + lab[:, 1:2] / 500, fy, fy - lab[:, 2:3] / 200], dim=1)
    ratio = torch.where(f > _DELTA, f**3, 3 * _DELTA**2 * (f - 4 / 29))
    xyz = ratio * _WHITE.to(lab).view(1, 3, 1, 1)
    return encode_srgb(torch.einsum("ij,njhw->nihw", _XYZ_TO_RGB.to(lab), xyz))


def luminance_to_lightness(luminance: Tensor) -> Tensor:
    """Return CIELAB L*, 0..100, for relative luminance 0..1."""
    return 116 * _cube_root(luminance) - 16


def _cube_root(ratio: Tensor) -> Tensor:
    """Return CIELAB's f: the cube root, linear near zero."""
    return torch.where(ratio > _DELTA**3, ratio.clamp(min=_DELTA**3) ** (1 / 3), ratio / (3 * _DELTA**2) + 4 / 29)
