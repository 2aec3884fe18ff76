"""Colours that a person states at places, spread over the things they are on.

What is spread is the residual: how far the stated colour is from what the network answered there. It goes to places of
like lightness near by, in the manner of the joint bilateral weights of Levin et al. 2004 (Colorization using
Optimization), and vanishes far away, so that one statement changes one thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.color.spaces import F32, ab_of_rgb
from pipeline.color.spaces import lightness as lightness_of
from pipeline.options import Hint

_LIKE_LIGHTNESS = 10.0
# In short sides of the picture. First each hint tints what is like it; what hints that reach each other's places have
# not got by then is given close by only, where nobody else asks, so that they do not outbid each other.
_NEAR = 0.2, 0.04, 0.01


@dataclass(frozen=True, kw_only=True)
class ColorHint:
    """A colour at a place of an upright picture.

    ``x`` and ``y`` are shares of its width and height, 0..1, from the top left; ``ab`` is CIELAB (D65), (0, 0) for
    neutral. Within ``reach``, a share of the shorter side, the colour is the stated one whatever the lightness;
    beyond it fades by likeness and distance.
    """

    x: float
    y: float
    ab: tuple[float, float]
    reach: float = 0.01


def ab_of_hex(color: str) -> tuple[float, float]:
    """Return a* and b* of sRGB ``color``, ``#RRGGBB``, or (0, 0) for ``neutral``. Raises `ValueError`."""
    if color == "neutral":
        return 0.0, 0.0
    if not re.fullmatch("#[0-9A-Fa-f]{6}", color):
        raise ValueError(f"{color}: not a colour; write #RRGGBB, or neutral")
    rgb = np.array(list(bytes.fromhex(color[1:])), np.float32) / np.float32(255)
    a, b = ab_of_rgb(np.asarray(rgb, np.float32).reshape(1, 1, 3)).ravel()
    return float(a), float(b)


@dataclass(frozen=True, kw_only=True)
class Adjustments:
    """What a person asks of a picture's colours: its ``saturation``, a factor on chroma, then ``hints``."""

    saturation: float = 1.0
    hints: tuple[ColorHint, ...] = ()

    def applied(self, ab: F32, luma: F32) -> F32:
        """Return ``ab`` (2, h, w) adjusted, for the upright ``luma``, 0..1, of any size."""
        factor = np.float32(self.saturation)
        return spread_hints(ab * factor, _lightness_at(luma, ab.shape[1:]), self.hints) if self != _NONE else ab

    def influence(self, luma: F32, shape: tuple[int, ...]) -> F32:
        """Return how much hints decide at each place of the upright ``luma``, 0..1, float32 of ``shape``."""
        if not self.hints:
            return np.zeros(shape, np.float32)
        lightness = _lightness_at(luma, shape)
        return np.asarray(np.max([_weight(lightness, hint, _NEAR[0]) for hint in self.hints], axis=0), np.float32)


_NONE = Adjustments()


def adjustments(*, saturation: float, hints: Iterable[Hint], page: int = 1) -> Adjustments:
    """Return what options ask of ``page`` of a photograph."""
    stated = (
        ColorHint(x=hint.x, y=hint.y, ab=ab_of_hex(hint.color), reach=hint.reach) for hint in hints if hint.page == page
    )
    return Adjustments(saturation=saturation, hints=tuple(stated))


def spread_hints(ab: F32, lightness: F32, hints: Sequence[ColorHint]) -> F32:
    """Return the network's answer ``ab`` (2, h, w) with ``hints`` in it, for ``lightness`` (h, w), L* 0..100, upright.

    At the place of each hint the answer is what it states. Where hints disagree, the nearer in place and lightness
    has the more to say. Without hints the answer is returned as it is.
    """
    if not hints:
        return ab
    height, width = lightness.shape
    rows_at, columns_at = np.array([_place(hint, height, width) for hint in hints]).T
    stated = np.array([hint.ab for hint in hints], np.float32)
    result = np.asarray(ab, np.float32)
    for near in _NEAR:
        weights = np.stack([_weight(lightness, hint, near) for hint in hints])
        shares = weights / np.maximum(weights.sum(axis=0), 1)
        residuals = stated - result[:, rows_at, columns_at].T
        result = result + np.einsum("nc,nhw->chw", residuals, shares)
    return np.asarray(result, np.float32)


def weight_of(hint: ColorHint, luma: F32, shape: tuple[int, ...]) -> F32:
    """Return how much ``hint`` says of each place of the upright ``luma``, 0..1, float32 of ``shape``."""
    return _weight(_lightness_at(luma, shape), hint, _NEAR[0])


def _weight(lightness: F32, hint: ColorHint, near: float) -> F32:
    """Return exp(-(dL / 10)^2 - d^2 / (2 near^2)), d in short sides beyond the reach; 1 within it."""
    height, width = lightness.shape
    rows, columns = (np.arange(size, dtype=np.float32) + 0.5 for size in (height, width))
    distance = np.hypot((rows - hint.y * height)[:, None], columns - hint.x * width) / min(height, width)
    unlike = (lightness - lightness[_place(hint, height, width)]) / _LIKE_LIGHTNESS
    weight = np.exp(-np.square(unlike) - np.square(np.maximum(distance - hint.reach, 0)) / (2 * near**2))
    return np.asarray(np.where(distance <= hint.reach, 1, weight), np.float32)


def _lightness_at(luma: F32, shape: tuple[int, ...]) -> F32:
    rows, columns = shape
    return lightness_of(np.asarray(cv2.resize(luma, (columns, rows), interpolation=cv2.INTER_AREA), np.float32))


def _place(hint: ColorHint, height: int, width: int) -> tuple[int, int]:
    return min(int(hint.y * height), height - 1), min(int(hint.x * width), width - 1)
