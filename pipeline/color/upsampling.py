"""Upsampling of the network's small chroma to chroma planes of any size, guided by luma.

Guided filter after He, Sun, Tang 2013 in its fast form (He, Sun 2015): in every small window, chroma is a linear
function of luma. The coefficients are found at model input size; only their product with luma is made at full size.
A window may hold several objects: what the fit takes from the mean chroma of each place is added back, in full where
luma is even, and less the stronger its edges, which show better than the network where an object ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from pipeline.color.exact_colours import ExactColours
from pipeline.color.hints import ColorHint, places_of
from pipeline.color.model_input import ModelInput
from pipeline.color.spaces import F32, Codes, ColorSpec, Matrix, RgbSpace, chroma_and_room, gamut_scale

# In pixels of a picture half the size of the model input, on which the coefficients are found.
_RADIUS = 4
_EDGE = 0.03
# Standard deviation of luma in a window at which half of the loss in mean chroma is added back.
_STEP = 0.2
# The same two for the part of chroma that is due to hints, and for the network's where hints replace it.
_HINT_EDGE, _HINT_STEP = 0.012, 0.05
# Change by hints, in CIELAB units, at which half of the network's colour is taken as replaced.
_REPLACED = 5.0
# Rows of a strip, few enough for a strip of every plane to fit into the processor's cache.
_STRIP = 32
_ROUNDS = 6
# Number of multiplications in a matrix product below which OpenBLAS starts no threads.
_SMALL_PRODUCT = 1 << 18
_DRAWN = 0.95  # share of the chroma kept, above which the loss is not visible
_DARKEST, _LIGHTEST = 0.04, 0.96  # luma range in which there is any room for colour


@dataclass(frozen=True)
class Upsampled:
    """Chroma as a local linear function of luma: Cb = c0 Y + c1, Cr = c2 Y + c3, ``coefficients`` (4, h, w).

    ``clipped`` is the share of the picture, 0..1, whose colour had to be reduced to the gamut, except black and white.
    The colours of hints, ``exact``, apply to the finished chroma.
    """

    coefficients: F32
    clipped: float = 0.0
    exact: ExactColours | None = None

    def times(self, weight: F32) -> Upsampled:
        """Return this with chroma multiplied by ``weight``, a picture (h', w'), 0..1, in stored orientation."""
        height, width = self.coefficients.shape[1:]
        fitted = cv2.resize(weight, (width, height), interpolation=cv2.INTER_AREA)
        return replace(self, coefficients=self.coefficients * np.asarray(fitted, np.float32))

    def keeping(self, chroma: F32, weight: F32) -> Upsampled:
        """Return this with ``chroma``, Cb and Cr (2, h', w'), instead where ``weight`` (h'', w''), 0..1, is 1."""
        height, width = self.coefficients.shape[1:]
        share, cb, cr = (
            np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), np.float32)
            for plane in (weight, *chroma)
        )
        kept = np.stack([np.zeros_like(cb), cb, np.zeros_like(cr), cr])
        return replace(self, coefficients=self.coefficients * (1 - share) + kept * share)

    def small(self, luma: F32, matrix: Matrix) -> F32:
        """Return Cb and Cr, (2, h, w), for a small picture: ``luma`` (h, w), 0..1, in stored orientation."""
        cb, cr = _chroma(self._resized(*luma.shape), luma)
        if self.exact is not None:
            self.exact.applied(luma, cb, cr, first=0, rows=len(luma))
        return np.stack([cb, cr]) * gamut_scale(luma, cb, cr, matrix)

    def strips(self, codes: Codes, spec: ColorSpec, shape: tuple[int, int]) -> Iterator[tuple[int, F32, F32, F32]]:
        """Yield (first row, luma, Cb, Cr) for strips of rows of a chroma plane of ``shape`` (rows, columns).

        ``codes`` is the luma plane, ``shape`` its own or a subsampled one, to which luma is averaged. Chroma fits
        the gamut at constant luma. Memory is a few strips, and the coefficients at ``columns`` columns.
        """
        rows, columns = shape
        down, right = -(-codes.shape[0] // rows), -(-codes.shape[1] // columns)
        wide = self._resized(self.coefficients.shape[1], columns)
        for first in range(0, rows, _STRIP):
            last = min(first + _STRIP, rows)
            luma = spec.luma(_averaged(codes[first * down : last * down], last - first, columns, down, right))
            cb, cr = _chroma(_interpolated(wide, first, last, rows), luma)
            if self.exact is not None:
                self.exact.applied(luma, cb, cr, first=first, rows=rows)
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

    def _resized(self, rows: int, columns: int) -> list[F32]:
        """Return the coefficients at ``rows`` rows and ``columns`` columns, interpolated linearly."""
        return [np.asarray(cv2.resize(plane, (columns, rows)), np.float32) for plane in self.coefficients]


def _interpolated(planes: Sequence[F32], first: int, last: int, rows: int) -> list[F32]:
    """Return the rows from ``first`` to ``last`` of ``planes`` stretched to ``rows`` rows, interpolated linearly.

    Each row is a mix of two: a product with a narrow matrix, which is faster than scaling pictures.
    """
    height, columns = planes[0].shape
    begin, weights = _linear(first, last, rows, height)
    end = begin + weights.shape[1]
    step = max(1, _SMALL_PRODUCT // weights.size)
    stretched = []
    for plane in planes:
        made = np.empty((last - first, columns), np.float32)
        for left in range(0, columns, step):
            right = left + step
            np.matmul(weights, plane[begin:end, left:right], out=made[:, left:right])
        stretched.append(made)
    return stretched


@lru_cache(maxsize=256)
def _linear(first: int, last: int, rows: int, height: int) -> tuple[int, F32]:
    """Return, for rows ``first`` to ``last`` of ``rows``, the first of ``height`` rows used, and the shares of each."""
    # OpenCV counts from the centre of a row to that of the next.
    places = np.clip((np.arange(first, last) + 0.5) * height / rows - 0.5, 0, height - 1)
    begin, end = math.floor(places[0]), math.ceil(places[-1]) + 1
    shares: F32 = np.maximum(1 - np.abs(places[:, None] - np.arange(begin, end)), 0).astype(np.float32)
    return begin, shares


def _chroma(coefficients: Sequence[F32], luma: F32) -> tuple[F32, F32]:
    """Return Cb and Cr for ``luma`` from the planes of coefficients, which are overwritten."""
    cb, cb_offset, cr, cr_offset = coefficients
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


def upsample(
    picture: ModelInput,
    ab: F32,
    spec: ColorSpec,
    space: RgbSpace | None = None,
    *,
    hints: Sequence[ColorHint] = (),
    change: F32 | None = None,
) -> Upsampled:
    """Fit the chroma ``ab`` (2, h / stride, w / stride) of a model input to its luma; the result is as stored.

    Within the reach of ``hints`` it is the colour of the nearest one, as far as the gamut allows. ``change``, of the
    shape of ``ab``, is the part of ``ab`` that is due to them. It keeps closer to edges of luma than the network's
    colour: it may be strong where nothing else is, and would tint what lies beside its object. Where it is large, the
    network's colour keeps as close: otherwise, what it has beyond an edge would be left there.

    The chroma is for luma of sRGB code values, or of code values in ``space`` if given; the model input itself is
    always in sRGB (see `RgbSpace.seen`).
    """
    whole = picture.luma if space is None else space.codes(picture.luma)
    rows, columns = ab.shape[1:]
    small = np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
    wanted, room = chroma_and_room(small, ab, spec.matrix, space)
    drawn = (room < _DRAWN) & (small > _DARKEST) & (small < _LIGHTEST)

    guide = _guide(whole, rows, columns)
    if change is None or not hints:
        coefficients = np.stack(_fitted(guide, wanted * room))
    else:
        own, _ = chroma_and_room(small, ab - change, spec.matrix, space)
        moved = np.square(change).sum(axis=0)
        replaced = cv2.resize(moved / (moved + np.float32(_REPLACED**2)), guide.shape[::-1])
        wide = np.stack(_fitted(guide, own * room))
        planes = np.concatenate([own, wanted - own]) * room
        close, added = np.split(np.stack(_fitted(guide, planes, edge=_HINT_EDGE, step=_HINT_STEP)), 2)
        coefficients = wide + replaced * (close - wide) + added
    exact = ExactColours.of(hints, picture, guide, spec.matrix, space) if hints else None
    return Upsampled(picture.turn.stored(coefficients), float(drawn.mean()), exact)


def compensated(luma: F32, ab: F32, hints: Sequence[ColorHint]) -> F32:
    """Return ``ab`` (2, rows, columns), changed around ``hints`` so that upsampling along ``luma`` keeps their colours.

    Upsampling averages over windows, which takes from a colour on a small thing. ``luma`` (h, w) is upright, 0..1.
    """
    rows, columns = ab.shape[1:]
    guide = _guide(luma, rows, columns)
    stated = np.array([hint.ab for hint in hints], np.float32)
    cells, there = (places_of(hints, *shape) for shape in ((rows, columns), guide.shape))
    down, across = np.arange(rows)[:, None], np.arange(columns)
    row, column = (at[:, None, None] for at in cells)
    near = np.exp(-(np.square(down - row) + np.square(across - column)) / 2)
    near /= np.maximum(near.sum(axis=0), 1)
    made = np.asarray(ab, np.float32)
    for _ in range(_ROUNDS):
        a, a_offset, b, b_offset = (plane[*there] for plane in _fitted(guide, made))
        light = guide[*there]
        missing = stated.T - np.stack([a * light + a_offset, b * light + b_offset])
        made = made + np.einsum("cn,nhw->chw", missing, near).astype(np.float32)
    return made


def _guide(luma: F32, rows: int, columns: int) -> F32:
    """Return ``luma`` (h, w) at the size of the coefficients for chroma of ``rows`` x ``columns``."""
    height, width = max(rows, luma.shape[0] // 2), max(columns, luma.shape[1] // 2)
    return np.asarray(cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _fitted(guide: F32, planes: F32, *, edge: float = _EDGE, step: float = _STEP) -> list[F32]:
    """Return slope and offset (h, w), in turn, of each of ``planes`` as a local function of the luma ``guide``.

    ``planes`` (n, rows, columns) are no larger than ``guide`` (h, w).
    """
    rows, columns = planes.shape[1:]
    height, width = guide.shape
    mean_guide = _box(guide)
    variance: F32 = _box(guide * guide) - mean_guide * mean_guide
    spread, share = variance + np.float32(edge**2), step**2 / (variance + np.float32(step**2))
    coefficients = []
    for plane in planes:
        wide = np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        mean = _box(wide)
        slope = np.asarray((_box(guide * wide) - mean_guide * mean) / spread, np.float32)
        slope, offset = _box(slope), _box(mean - slope * mean_guide)
        kept = cv2.resize(slope * guide + offset, (columns, rows), interpolation=cv2.INTER_AREA)
        offset += share * cv2.resize(plane - kept, (width, height), interpolation=cv2.INTER_LINEAR)
        coefficients += [slope, offset]
    return coefficients


def _box(plane: F32) -> F32:
    side = 2 * _RADIUS + 1
    return np.asarray(cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)
