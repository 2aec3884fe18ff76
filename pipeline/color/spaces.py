"""Every matrix, range and gamut decision: luma codes to lightness, ab to chroma, chroma to codes.

sRGB after IEC 61966-2-1, CIELAB after CIE 15:2018 (D65), luma and chroma after ITU-R BT.601, BT.709 and BT.2020,
code values after ITU-T H.273. Chroma values are floats, Cb and Cr in -0.5..0.5; luma values are floats in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8 | np.uint16]

_LINEAR_TO_XYZ = np.array(
    [[0.4123908, 0.3575843, 0.1804808], [0.2126390, 0.7151687, 0.0721923], [0.0193308, 0.1191948, 0.9505322]],
    np.float32,
)
_XYZ_TO_LINEAR = np.linalg.inv(_LINEAR_TO_XYZ.astype(np.float64)).astype(np.float32)
_WHITE = _LINEAR_TO_XYZ.sum(axis=1)
_DELTA = 6 / 29


class Matrix(Enum):
    """Weights of red and blue in luma (Kr, Kb)."""

    BT601 = (0.299, 0.114)
    BT709 = (0.2126, 0.0722)
    BT2020 = (0.2627, 0.0593)
    SMPTE240M = (0.212, 0.087)
    FCC = (0.30, 0.11)

    @property
    def kr(self) -> float:
        """Weight of red."""
        return self.value[0]

    @property
    def kb(self) -> float:
        """Weight of blue."""
        return self.value[1]


# Matrix coefficients of ITU-T H.273, table 4. Constant-luminance BT.2020 (10) has the same weights.
_H273_MATRICES = {
    1: Matrix.BT709,
    4: Matrix.FCC,
    5: Matrix.BT601,
    6: Matrix.BT601,
    7: Matrix.SMPTE240M,
    9: Matrix.BT2020,
    10: Matrix.BT2020,
}
_H273_TAGS = {
    Matrix.BT709: 1,
    Matrix.FCC: 4,
    Matrix.BT601: 6,
    Matrix.SMPTE240M: 7,
    Matrix.BT2020: 9,
}
_LIMITED, _FULL = 1, 2


@dataclass(frozen=True)
class ColorSpec:
    """How a source's code values are to be read; ``assumed`` tells in words what the source did not say."""

    matrix: Matrix
    full_range: bool
    bits: int
    assumed: tuple[str, ...] = ()
    assumed_matrix: bool = False

    @property
    def matrix_tag(self) -> int:
        """Matrix coefficients as ITU-T H.273 numbers them."""
        return _H273_TAGS[self.matrix]

    @property
    def range_tag(self) -> int:
        """1 for limited and 2 for full range, as FFmpeg numbers them."""
        return _FULL if self.full_range else _LIMITED

    @property
    def dtype(self) -> type[np.uint8 | np.uint16]:
        """What code values are stored in."""
        return np.uint8 if self.bits <= 8 else np.uint16

    def luma(self, codes: Codes) -> F32:
        """Return luma 0..1 (below black and above white clipped) for luma code values."""
        black, span = (0, (1 << self.bits) - 1) if self.full_range else (16 << self.bits - 8, 219 << self.bits - 8)
        values = (codes.astype(np.float32) - np.float32(black)) * np.float32(1 / span)
        return np.clip(values, 0, 1, out=values)

    def chroma(self, codes: Codes) -> F32:
        """Return Cb or Cr, -0.5..0.5 (limited range may go beyond), for chroma code values."""
        span = (1 << self.bits) - 1 if self.full_range else 224 << self.bits - 8
        return (codes.astype(np.float32) - np.float32(1 << self.bits - 1)) * np.float32(1 / span)

    def chroma_codes(self, chroma: F32) -> Codes:
        """Return rounded code values, uint8 up to 8 bits, else uint16, for Cb or Cr in -0.5..0.5."""
        span = (1 << self.bits) - 1 if self.full_range else 224 << self.bits - 8
        values = np.rint(chroma * np.float32(span) + np.float32(1 << self.bits - 1))
        codes: Codes = np.clip(values, 0, (1 << self.bits) - 1).astype(self.dtype)
        return codes


def resolve_film(
    *, matrix_tag: int, range_tag: int, width: int, height: int, bits: int, is_grey: bool, is_full_format: bool
) -> ColorSpec:
    """Return the `ColorSpec` of a film from its H.273 tags (0 or 2: not said), by policy where it says nothing.

    Without a matrix tag, pictures up to 1024 x 576 are BT.601, larger ones BT.709. Without a range tag, formats that
    imply it (``is_full_format``) and grey ones are full range, as FFmpeg makes and reads them; others are limited.
    """
    assumed = []
    said = _H273_MATRICES.get(matrix_tag)
    matrix = said
    if matrix is None:
        matrix = Matrix.BT601 if width <= 1024 and height <= 576 else Matrix.BT709
        assumed.append(f"matrix {matrix.name} by picture size {width} x {height}")
    if range_tag in (_LIMITED, _FULL):
        full = range_tag == _FULL
    else:
        full = is_full_format or is_grey
        if not is_full_format:
            assumed.append("full range, as grey formats have" if full else "limited range")
    return ColorSpec(matrix, full, bits, tuple(assumed), said is None)


def still_spec(bits: int) -> ColorSpec:
    """Return how the luma of photographs is read: BT.601 weights, full range, as in JFIF."""
    return ColorSpec(Matrix.BT601, True, bits)


def lightness(luma: F32) -> F32:
    """Return CIELAB L*, 0..100, of greys with sRGB code values 0..1."""
    linear = np.where(luma <= 0.04045, luma / 12.92, ((luma + 0.055) / 1.055) ** 2.4)
    f = np.where(linear > _DELTA**3, np.cbrt(linear), linear / (3 * _DELTA**2) + 4 / 29)
    return (116 * f - 16).astype(np.float32)


def chroma_from_ab(luma: F32, ab: F32, matrix: Matrix) -> F32:
    """Return Cb and Cr, shape (2, H, W), that give luma (H, W), 0..1, the hue and chroma ``ab`` (2, H, W).

    L* is searched (secant method) until the colour has the given luma: luma is never traded for colour.
    The result is reduced toward grey, at constant luma, until R, G and B fit into 0..1.
    """
    target = lightness(luma)
    before, lightness_before = target, _lightness_made(target, ab, matrix)
    trial = np.clip(target + target - lightness_before, 0, 100)
    for _ in range(5):
        made = _lightness_made(trial, ab, matrix)
        rise = made - lightness_before
        slope = np.where(np.abs(rise) > 1e-3, (trial - before) / np.where(np.abs(rise) > 1e-3, rise, 1), 1)
        before, lightness_before = trial, made
        trial = np.clip(trial + (target - made) * np.clip(slope, 0.3, 4), 0, 100)
    (red, _, blue), reached = _rgb_and_luma(trial, ab, matrix)
    cb = (blue - reached) / (2 * (1 - matrix.kb))
    cr = (red - reached) / (2 * (1 - matrix.kr))
    scale = gamut_scale(luma, cb, cr, matrix)
    return np.stack([cb * scale, cr * scale])


def _lightness_made(lightness_: F32, ab: F32, matrix: Matrix) -> F32:
    """Return the L* of the grey that has the luma of the colour (L*, ab)."""
    return lightness(np.clip(_rgb_and_luma(lightness_, ab, matrix)[1], 0, 1))


def _rgb_and_luma(lightness_: F32, ab: F32, matrix: Matrix) -> tuple[F32, F32]:
    """Return sRGB code values (3, H, W), not clipped, and their luma."""
    fy = (lightness_ + 16) / 116
    f = np.stack([fy + ab[0] / 500, fy, fy - ab[1] / 200])
    xyz = np.where(f > _DELTA, f**3, 3 * _DELTA**2 * (f - 4 / 29)) * _WHITE[:, None, None]
    linear = np.tensordot(_XYZ_TO_LINEAR, xyz, axes=1)
    size = np.abs(linear)
    encoded = np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055)
    rgb = np.copysign(encoded, linear).astype(np.float32)
    return rgb, matrix.kr * rgb[0] + (1 - matrix.kr - matrix.kb) * rgb[1] + matrix.kb * rgb[2]


def rgb_offsets(cb: F32, cr: F32, matrix: Matrix) -> tuple[F32, F32, F32]:
    """Return R - Y, G - Y and B - Y for chroma."""
    kr, kb = matrix.value
    kg = 1 - kr - kb
    red = cr * np.float32(2 * (1 - kr))
    blue = cb * np.float32(2 * (1 - kb))
    green = cv2.addWeighted(red, -kr / kg, blue, -kb / kg, 0)
    return red, np.asarray(green, np.float32).reshape(red.shape), blue


def gamut_scale(luma: F32, cb: F32, cr: F32, matrix: Matrix) -> F32:
    """Return the factor 0..1 on chroma that brings R, G and B into 0..1 at constant luma, per pixel."""
    red, green, blue = rgb_offsets(cb, cr, matrix)
    tiny = np.float32(1e-6)
    up = np.maximum(np.maximum(red, green), np.maximum(blue, tiny))
    down = np.maximum(np.maximum(-red, -green), np.maximum(-blue, tiny))
    return np.minimum(np.minimum((1 - luma) / up, luma / down), np.float32(1))
