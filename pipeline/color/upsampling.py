"""From the network's small chroma to chroma planes of any size, with luma as the guide.

Guided filter after He, Sun, Tang 2013 in its fast form (He, Sun 2015): in every small window chroma is a linear
function of luma. The coefficients are found at sketch size; only their product with luma happens at full size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np

from pipeline.color.batching import Coloured
from pipeline.color.spaces import F32, Codes, ColorSpec, Matrix, RgbSpace, chroma_and_room, gamut_scale

T = TypeVar("T")

# In pixels of a picture half as large as the sketch, which is what the coefficients are found on.
_RADIUS = 4
_EDGE = 0.03
# So few rows that a strip of every plane fits into a processor's own memory.
_STRIP = 32
_DRAWN = 0.95  # share of the chroma that is kept: above, nobody sees what was lost
_DARKEST, _LIGHTEST = 0.04, 0.96  # luma between which there is room for colour at all


@dataclass(frozen=True)
class Wash:
    """Chroma as a local linear function of luma: Cb = c0 Y + c1, Cr = c2 Y + c3, ``coefficients`` (4, h, w).

    ``clipped`` is the share of the picture, 0..1, whose colour had to be drawn into the gamut, black and white aside.
    """

    coefficients: F32
    clipped: float = 0.0

    def times(self, weight: F32) -> Wash:
        """Return this with chroma multiplied by ``weight``, a picture (h', w') of 0..1 in stored orientation."""
        height, width = self.coefficients.shape[1:]
        fitted = cv2.resize(weight, (width, height), interpolation=cv2.INTER_AREA)
        return replace(self, coefficients=self.coefficients * np.asarray(fitted, np.float32))

    def small(self, luma: F32, matrix: Matrix) -> F32:
        """Return Cb and Cr, (2, h, w), for a small picture: ``luma`` (h, w), 0..1, in stored orientation."""
        cb, cr = _chroma(self._tall(len(luma)), luma)
        return np.stack([cb, cr]) * gamut_scale(luma, cb, cr, matrix)

    def strips(self, codes: Codes, spec: ColorSpec, shape: tuple[int, int]) -> Iterator[tuple[int, F32, F32, F32]]:
        """Yield (first row, luma, Cb, Cr) for strips of rows of a chroma plane of ``shape`` (rows, columns).

        ``codes`` is the luma plane, ``shape`` its own or a subsampled one; luma is averaged to it. Chroma fits
        the gamut at constant luma. Memory is a few strips, and the coefficients at ``rows`` rows.
        """
        rows, columns = shape
        down, right = -(-codes.shape[0] // rows), -(-codes.shape[1] // columns)
        tall = self._tall(rows)
        for first in range(0, rows, _STRIP):
            last = min(first + _STRIP, rows)
            luma = spec.luma(_averaged(codes[first * down : last * down], last - first, columns, down, right))
            cb, cr = _chroma([plane[first:last] for plane in tall], luma)
            scale = gamut_scale(luma, cb, cr, spec.matrix)
            cb *= scale
            cr *= scale
            yield first, luma, cb, cr

    def planes(self, codes: Codes, spec: ColorSpec, shape: tuple[int, int]) -> tuple[Codes, Codes]:
        """Return the code values of the Cb and Cr planes, each of ``shape``, for a luma plane."""
        cb_plane, cr_plane = np.empty(shape, spec.dtype), np.empty(shape, spec.dtype)
        for first, _, cb, cr in self.strips(codes, spec, shape):
            cb_plane[first : first + len(cb)] = spec.chroma_codes(cb)
            cr_plane[first : first + len(cr)] = spec.chroma_codes(cr)
        return cb_plane, cr_plane

    def _tall(self, rows: int) -> list[F32]:
        """Return the coefficients at ``rows`` rows and as wide as they are, interpolated linearly."""
        size = self.coefficients.shape[2], rows
        return [np.asarray(cv2.resize(plane, size), np.float32) for plane in self.coefficients]


def _chroma(coefficients: Sequence[F32], luma: F32) -> tuple[F32, F32]:
    """Return Cb and Cr for ``luma`` and rows of coefficients, which are interpolated linearly to its width."""
    size = luma.shape[1], luma.shape[0]
    cb, cb_offset, cr, cr_offset = (np.asarray(cv2.resize(plane, size), np.float32) for plane in coefficients)
    cb *= luma
    cb += cb_offset
    cr *= luma
    cr += cr_offset
    return cb, cr


def _averaged(codes: Codes, rows: int, columns: int, down: int, right: int) -> Codes:
    if (down, right) == (1, 1):
        return codes
    short = rows * down - codes.shape[0], columns * right - codes.shape[1]
    if any(short):
        codes = cv2.copyMakeBorder(codes, 0, short[0], 0, short[1], cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    return cv2.resize(codes, (columns, rows), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def wash(picture: Coloured[T], spec: ColorSpec, space: RgbSpace | None = None) -> Wash:
    """Fit a coloured sketch's chroma to its luma and return the result in stored orientation.

    The chroma is for luma of sRGB code values, or, with ``space``, of code values in that; the sketch itself is
    always in sRGB (see `RgbSpace.seen`).
    """
    whole = picture.sketch.luma if space is None else space.codes(picture.sketch.luma)
    rows, columns = picture.ab.shape[1:]
    width, height = max(columns, whole.shape[1] // 2), max(rows, whole.shape[0] // 2)
    luma = np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    small = np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
    asked, room = chroma_and_room(small, picture.ab, spec.matrix, space)
    drawn = (room < _DRAWN) & (small > _DARKEST) & (small < _LIGHTEST)

    mean_luma = _box(luma)
    spread: F32 = _box(luma * luma) - mean_luma * mean_luma + np.float32(_EDGE**2)
    coefficients = []
    for plane in asked * room:
        wide = np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        mean = _box(wide)
        slope = np.asarray((_box(luma * wide) - mean_luma * mean) / spread, np.float32)
        coefficients += [_box(slope), _box(mean - slope * mean_luma)]
    return Wash(picture.sketch.turn.stored(np.stack(coefficients)), float(drawn.mean()))


def _box(plane: F32) -> F32:
    side = 2 * _RADIUS + 1
    return np.asarray(cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)
