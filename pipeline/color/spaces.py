"""All decisions on matrix, range and gamut: luma codes to lightness, ab to chroma, chroma to codes.

sRGB after IEC 61966-2-1, CIELAB after CIE 15:2018 (D65), luma and chroma after ITU-R BT.601, BT.709 and BT.2020,
code values after ITU-T H.273. Chroma values are floats, Cb and Cr in -0.5..0.5; luma values are floats in 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

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
# After three steps no chroma of 60 photographs was off by 0.01 of 255 codes; pure colours need all three.
_SEARCHES = 3
_DELTA = 6 / 29
# Differences of R, G and B from luma that need no room in the gamut; keeps divisors from 0.
_ALMOST_GREY = np.float32(1e-6)
# XYZ relative to D65 to XYZ relative to D50, the white of ICC profiles (Bradford, ICC.1:2022 annex E).
_D65_TO_D50 = np.array(
    [[1.0478112, 0.0228866, -0.0501270], [0.0295424, 0.9904844, -0.0170491], [-0.0092345, 0.0150436, 0.7521316]]
)


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
    """How to read a source's code values; ``assumed`` describes in words what the source did not state."""

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
        """Type of stored code values."""
        return np.uint8 if self.bits <= 8 else np.uint16

    def luma(self, codes: Codes) -> F32:
        """Return luma 0..1 (below black and above white clipped) for luma code values."""
        if codes.dtype == np.uint8:
            return np.asarray(cv2.LUT(codes, _luma_table(self)), np.float32).reshape(codes.shape)
        return self._luma(codes)

    def _luma(self, codes: Codes) -> F32:
        black, span = (0, (1 << self.bits) - 1) if self.full_range else (16 << self.bits - 8, 219 << self.bits - 8)
        values = codes.astype(np.float32)
        values -= np.float32(black)
        values *= np.float32(1 / span)
        return np.clip(values, np.float32(0), np.float32(1), out=values)

    def chroma(self, codes: Codes) -> F32:
        """Return Cb or Cr, -0.5..0.5 (limited range may go beyond), for chroma code values."""
        span = (1 << self.bits) - 1 if self.full_range else 224 << self.bits - 8
        return (codes.astype(np.float32) - np.float32(1 << self.bits - 1)) * np.float32(1 / span)

    def chroma_codes(self, chroma: F32) -> Codes:
        """Return rounded code values, uint8 up to 8 bits, else uint16, for Cb or Cr in -0.5..0.5."""
        span = (1 << self.bits) - 1 if self.full_range else 224 << self.bits - 8
        return self._rounded(chroma, span, 1 << self.bits - 1)

    def rgb_codes(self, luma: F32, cb: F32, cr: F32) -> Codes:
        """Return rounded full-range code values of R, G and B, (H, W, 3), clipped to 0..1."""
        rgb = (np.maximum(luma + offset, np.float32(0)) for offset in rgb_offsets(cb, cr, self.matrix))
        return cv2.merge([self._rounded(plane, (1 << self.bits) - 1, 0) for plane in rgb])  # type: ignore[return-value]

    def _rounded(self, values: F32, scale: int, zero: int) -> Codes:
        """Return the codes of ``values``, with the code ``zero`` for 0; no code may be below 0."""
        if self.bits == 8:
            return cv2.convertScaleAbs(values, alpha=scale, beta=zero).reshape(values.shape)  # type: ignore[return-value]
        codes: Codes = np.clip(np.rint(values * np.float32(scale) + np.float32(zero)), 0, (1 << self.bits) - 1)
        return codes.astype(self.dtype)


@lru_cache(maxsize=8)
def _luma_table(spec: ColorSpec) -> F32:
    """Return the luma of every code of 8 bits."""
    return spec._luma(np.arange(256, dtype=np.uint8))


@dataclass(frozen=True, eq=False)
class RgbSpace:
    """RGB other than sRGB, as described by an ICC profile with three primaries and one tone curve.

    ``from_xyz`` (3, 3) converts XYZ relative to D65 to linear R, G and B, white to exactly 1, 1, 1; ``curve`` (n,)
    holds the linear values, 0..1, ascending, of n code values from 0 to 1.
    """

    from_xyz: F32
    curve: F32

    @classmethod
    def of_profile(cls, primaries: npt.NDArray[np.float64], curve: F32) -> RgbSpace:
        """Create it from a profile's ``primaries`` (3, 3), columns of XYZ relative to D50, and its tone curve.

        Raises ValueError (numpy's LinAlgError is one) if the primaries span no space.
        """
        from_xyz = np.linalg.inv(primaries) @ _D65_TO_D50
        white = from_xyz @ _WHITE
        if not np.all(white > 0):
            raise ValueError("its primaries do not add up to white")
        rising = np.maximum.accumulate(np.clip(curve, 0, 1)) + np.linspace(0, 1e-6, len(curve))
        return cls((from_xyz / white[:, None]).astype(np.float32), rising.astype(np.float32))

    def seen(self, luma: F32) -> F32:
        """Return the sRGB code values, 0..1, of greys that look like the greys with code values ``luma``."""
        return np.clip(_encoded(self.linear(luma)), 0, 1).astype(np.float32)

    def codes(self, seen: F32) -> F32:
        """Undo `seen`."""
        return self.encoded(_linear(seen))

    def linear(self, codes: F32) -> F32:
        """Return the linear values of code values 0..1."""
        return np.interp(codes, np.linspace(0, 1, len(self.curve)), self.curve).astype(np.float32)

    def encoded(self, linear: F32) -> F32:
        """Return the code values of linear values; beyond 0..1, continued by a mirrored curve and a straight line."""
        size = np.abs(linear)
        inside = np.interp(size, self.curve, np.linspace(0, 1, len(self.curve)))
        return np.copysign(np.where(size > 1, (1 + size) / 2, inside), linear).astype(np.float32)


def resolve_film(
    *, matrix_tag: int, range_tag: int, width: int, height: int, bits: int, is_grey: bool, is_full_format: bool
) -> ColorSpec:
    """Return the `ColorSpec` of a film from its H.273 tags (0 or 2: not stated), by policy if these are not stated.

    Without a matrix tag, pictures up to 1024 x 576 are BT.601, larger ones BT.709. Without a range tag, formats that
    imply it (``is_full_format``) and grey ones are full range, as FFmpeg writes and reads them; others are limited.
    """
    assumed = []
    tagged = _H273_MATRICES.get(matrix_tag)
    matrix = tagged
    if matrix is None:
        matrix = Matrix.BT601 if width <= 1024 and height <= 576 else Matrix.BT709
        assumed.append(f"matrix {matrix.name} by picture size {width} x {height}")
    if range_tag in (_LIMITED, _FULL):
        full = range_tag == _FULL
    else:
        full = is_full_format or is_grey
        if not is_full_format:
            assumed.append("full range, as grey formats have" if full else "limited range")
    return ColorSpec(matrix, full, bits, tuple(assumed), tagged is None)


def still_spec(bits: int) -> ColorSpec:
    """Return how the luma of photographs is read: BT.601 weights, full range, as in JFIF."""
    return ColorSpec(Matrix.BT601, True, bits)


def lightness(luma: F32) -> F32:
    """Return CIELAB L*, 0..100, of greys with sRGB code values 0..1."""
    return _lightness_of_linear(_linear(luma))


def chroma_from_ab(luma: F32, ab: F32, matrix: Matrix, space: RgbSpace | None = None) -> F32:
    """Return Cb and Cr, shape (2, H, W), that give luma (H, W), 0..1, the hue and chroma ``ab`` (2, H, W).

    L* is found by the secant method so that the colour has the given luma: luma is never traded for colour. Luma and
    chroma are those of sRGB code values, or of code values in ``space``. The result is reduced toward grey, at constant
    luma, until R, G and B fit into 0..1.
    """
    chroma, scale = chroma_and_room(luma, ab, matrix, space)
    return chroma * scale


def chroma_and_room(luma: F32, ab: F32, matrix: Matrix, space: RgbSpace | None = None) -> tuple[F32, F32]:
    """Return the factors of `chroma_from_ab`: chroma that may be outside the gamut, and its `gamut_scale`."""

    def lightness_made(trial: F32) -> F32:
        """Return the L* of the grey that has the luma of the colour (``trial``, ab)."""
        return _grey_lightness(np.clip(_rgb_and_luma(trial, ab, matrix, space)[1], 0, 1), space)

    target = _grey_lightness(luma, space)
    before, lightness_before = target, lightness_made(target)
    trial = np.clip(target + target - lightness_before, 0, 100)
    for _ in range(_SEARCHES):
        made = lightness_made(trial)
        rise = made - lightness_before
        slope = np.where(np.abs(rise) > 1e-3, (trial - before) / np.where(np.abs(rise) > 1e-3, rise, 1), 1)
        before, lightness_before = trial, made
        trial = np.clip(trial + (target - made) * np.clip(slope, 0.3, 4), 0, 100)
    (red, _, blue), reached = _rgb_and_luma(trial, ab, matrix, space)
    cb = (blue - reached) / (2 * (1 - matrix.kb))
    cr = (red - reached) / (2 * (1 - matrix.kr))
    return np.stack([cb, cr]), gamut_scale(luma, cb, cr, matrix)


def ab_of_rgb(rgb: F32, space: RgbSpace | None = None) -> F32:
    """Return CIELAB a and b, (2, H, W), of code values 0..1, (H, W, 3), in ``space``, sRGB if None."""
    xyz = _linear(rgb) @ _LINEAR_TO_XYZ.T if space is None else space.linear(rgb) @ np.linalg.inv(space.from_xyz).T
    x, y, z = np.moveaxis(_lab_curve(xyz / _WHITE), -1, 0)
    return np.stack([500 * (x - y), 200 * (y - z)]).astype(np.float32)


def _grey_lightness(luma: F32, space: RgbSpace | None) -> F32:
    return lightness(luma) if space is None else _lightness_of_linear(space.linear(luma))


def _lightness_of_linear(linear: F32) -> F32:
    return (116 * _lab_curve(linear) - 16).astype(np.float32)


def _lab_curve(linear: F32) -> F32:
    return np.asarray(np.where(linear > _DELTA**3, np.cbrt(linear), linear / (3 * _DELTA**2) + 4 / 29))


def _linear(codes: F32) -> F32:
    return np.asarray(np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4))


def _encoded(linear: F32) -> F32:
    size = np.abs(linear)
    encoded = 1.055 * size ** (1 / 2.4) - 0.055
    np.copyto(encoded, size * 12.92, where=size <= 0.0031308)
    return np.copysign(encoded, linear).astype(np.float32)


def _rgb_and_luma(lightness_: F32, ab: F32, matrix: Matrix, space: RgbSpace | None) -> tuple[F32, F32]:
    """Return code values (3, H, W), not clipped, and their luma."""
    fy = (lightness_ + 16) / 116
    f = np.stack([fy + ab[0] / 500, fy, fy - ab[1] / 200])
    xyz = f**3
    np.copyto(xyz, 3 * _DELTA**2 * (f - 4 / 29), where=f <= _DELTA)
    xyz *= _WHITE[:, None, None]
    linear = np.tensordot(_XYZ_TO_LINEAR if space is None else space.from_xyz, xyz, axes=1)
    rgb = _encoded(linear) if space is None else space.encoded(linear)
    return rgb, matrix.kr * rgb[0] + (1 - matrix.kr - matrix.kb) * rgb[1] + matrix.kb * rgb[2]


def rgb_of(luma: F32, chroma: Sequence[F32] | F32, matrix: Matrix) -> F32:
    """Return R, G and B (H, W, 3), clipped to 0..1, for ``luma`` (H, W), 0..1, and Cb and Cr of its size."""
    offsets = rgb_offsets(chroma[0], chroma[1], matrix)
    return np.clip(np.stack([luma + offset for offset in offsets], axis=-1), 0, 1)


def rgb_offsets(cb: F32, cr: F32, matrix: Matrix) -> tuple[F32, F32, F32]:
    """Return R - Y, G - Y and B - Y for chroma."""
    return _offsets(cb, cr, matrix, 1)


def _offsets(cb: F32, cr: F32, matrix: Matrix, sign: int) -> tuple[F32, F32, F32]:
    kr, kb = matrix.value
    kg = 1 - kr - kb
    red = cr * np.float32(2 * sign * (1 - kr))
    blue = cb * np.float32(2 * sign * (1 - kb))
    green = cv2.addWeighted(red, -kr / kg, blue, -kb / kg, 0)
    return red, np.asarray(green, np.float32).reshape(red.shape), blue


def gamut_scale(luma: F32, cb: F32, cr: F32, matrix: Matrix) -> F32:
    """Return the factor 0..1 on chroma that brings R, G and B into 0..1 at constant luma, per pixel."""
    # With the offsets of the opposite colour, both quotients below are positive.
    red, green, blue = _offsets(cb, cr, matrix, -1)
    most = np.maximum(red, green)
    np.maximum(most, blue, out=most)
    least = np.minimum(red, green, out=green)
    np.minimum(least, blue, out=least)
    # The weighted sum of the offsets is 0: the greatest is never below it, nor the least above.
    most += _ALMOST_GREY
    least -= _ALMOST_GREY
    below = np.divide(luma, most, out=most)
    above = np.divide(np.subtract(luma, np.float32(1), out=red), least, out=least)
    room = np.minimum(below, above, out=below)
    return np.asarray(cv2.threshold(room, 1, 0, cv2.THRESH_TRUNC, room)[1], np.float32).reshape(luma.shape)
