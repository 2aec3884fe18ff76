"""sRGB and CIELAB on numpy arrays in float64, for evaluation; `training.cielab_torch` does the same on torch tensors.

Formulas: sRGB as in IEC 61966-2-1, CIELAB as in CIE 15:2018, white point D65 (the sRGB white).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

_RGB_TO_XYZ = np.array(
    [
        [0.4123908, 0.3575843, 0.1804808],
        [0.2126390, 0.7151687, 0.0721923],
        [0.0193308, 0.1191948, 0.9505322],
    ]
)
# The matrix's own row sums as white: then equal R, G and B give a* = b* = 0 exactly.
_WHITE = _RGB_TO_XYZ.sum(axis=1)
_RGB_TO_RELATIVE = _RGB_TO_XYZ / _WHITE[:, None]
_RELATIVE_TO_RGB = np.linalg.inv(_RGB_TO_RELATIVE)
_DELTA = 6 / 29

_CODES = np.arange(256) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4)


def rgb_to_lab(rgb: U8) -> F64:
    """Convert sRGB pixels, uint8 (..., 3), to CIELAB of the same shape: L* 0..100, a* and b* about +-110."""
    relative = _LINEAR[rgb] @ _RGB_TO_RELATIVE.T
    f = np.where(relative > _DELTA**3, np.cbrt(relative), relative / (3 * _DELTA**2) + 4 / 29)
    lab: F64 = np.empty(rgb.shape)
    lab[..., 0] = 116 * f[..., 1] - 16
    lab[..., 1] = 500 * (f[..., 0] - f[..., 1])
    lab[..., 2] = 200 * (f[..., 1] - f[..., 2])
    return lab


def lab_to_rgb(lab: npt.NDArray[np.floating]) -> U8:
    """Convert CIELAB, shape (..., 3), to sRGB uint8, rounded; colours outside the gamut are clipped per channel."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    relative = np.where(f > _DELTA, f**3, 3 * _DELTA**2 * (f - 4 / 29))
    linear = np.clip(relative @ _RELATIVE_TO_RGB.T, 0, 1)
    codes = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(codes * 255), np.uint8)
