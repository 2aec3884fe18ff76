"""Colours that a person states at places, spread over the things they are on.

What is spread is the residual: how far the stated colour is from what the network answered there. It goes to places of
like lightness near by, in the manner of the joint bilateral weights of Levin et al. 2004 (Colorization using
Optimization), and vanishes far away, so that one statement changes one thing. Where the network tells features of the
picture, places must be like in these, and may differ more in lightness: a thing has lights and shadows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipeline.color.spaces import F32, ab_of_rgb
from pipeline.color.spaces import lightness as lightness_of
from pipeline.color.upsampling import upsampled_at
from pipeline.options import Hint


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """How a hint fades: with the difference in ``lightness`` (L*), in ``looks``, and with the distance ``near``.

    ``looks`` is a distance of features of length 1, ``near`` is in short sides of the picture.
    """

    lightness: float
    near: float
    looks: float | None = None


_PLAIN = Kernel(lightness=10.0, near=0.2)
_BY_LOOKS = Kernel(lightness=25.0, near=0.25, looks=0.53)
# First each hint tints what is like it; what hints that reach each other's places have not got by then is given close
# by only, where nobody else asks, so that they do not outbid each other.
_CLOSER = 0.04, 0.01
# Features of a cell reach so many cells and differences of L*; where none is as light, all nine around count alike.
_CELLS, _SAME_LIGHT, _FLOOR = 0.7, 5.0, 1e-6
# What upsampling takes off a stated colour, for it averages, is added before; at most so much of it, in so many rounds.
_MOST_ADDED, _ROUNDS = 1.6, 2


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

    def applied(self, ab: F32, luma: F32, features: F32 | None = None) -> Adjusted:
        """Return ``ab`` (2, h, w) adjusted, for the upright ``luma``, 0..1, of any size.

        ``features`` (C, h', w') are the network's of the picture; without them hints spread by lightness alone. What
        hints state comes out at their places after the upsampling of `pipeline.color.upsampling`.
        """
        shape = ab.shape[1:]
        answer = ab if self.saturation == 1 else ab * np.float32(self.saturation)
        if not self.hints:
            return Adjusted(answer, np.zeros(shape, np.float32))
        lightness = _lightness_at(luma, shape)
        looks = None if features is None else _looks_at(features, lightness)
        shares = _all_shares(lightness, self.hints, looks)
        result = _settled(_spread(answer, self.hints, shares), luma, self.hints, shares[1])
        return Adjusted(result, np.asarray(shares[0].sum(axis=0), np.float32))


@dataclass(frozen=True, eq=False)
class Adjusted:
    """What a picture's ``ab`` (2, h, w) becomes, and how much hints decide at each place, ``share`` (h, w), 0..1."""

    ab: F32
    share: F32


def adjustments(*, saturation: float, hints: Iterable[Hint], page: int = 1) -> Adjustments:
    """Return what options ask of ``page`` of a photograph."""
    stated = (
        ColorHint(x=hint.x, y=hint.y, ab=ab_of_hex(hint.color), reach=hint.reach) for hint in hints if hint.page == page
    )
    return Adjustments(saturation=saturation, hints=tuple(stated))


def spread_hints(ab: F32, lightness: F32, hints: Sequence[ColorHint], looks: F32 | None = None) -> F32:
    """Return the network's answer ``ab`` (2, h, w) with ``hints`` in it, for ``lightness`` (h, w), L* 0..100, upright.

    ``looks`` (C, h, w) are features of length 1 of every place. At the place of each hint the answer is what it states.
    Where hints disagree, the nearer in place and likeness has the more to say. Without hints the answer is returned as
    it is.
    """
    return _spread(ab, hints, _all_shares(lightness, hints, looks)) if hints else ab


def _spread(ab: F32, hints: Sequence[ColorHint], all_shares: Sequence[F32]) -> F32:
    """Return ``ab`` with ``hints`` in it, given one after another what each has to say in `_all_shares`."""
    height, width = ab.shape[1:]
    rows_at, columns_at = np.array([_place(hint, height, width) for hint in hints]).T
    stated = np.array([hint.ab for hint in hints], np.float32)
    result = np.asarray(ab, np.float32)
    for shares in all_shares:
        residuals = stated - result[:, rows_at, columns_at].T
        result = result + np.einsum("nc,nhw->chw", residuals, shares)
    return np.asarray(result, np.float32)


def _settled(ab: F32, luma: F32, hints: Sequence[ColorHint], shares: F32) -> F32:
    """Return ``ab``, in which ``hints`` are, so that they come out at their places after upsampling.

    Upsampling averages over a window: of a small thing in a strong colour a quarter would be lost. It is added where
    hints have ``shares`` (n, h, w) close by.
    """
    places = [(hint.x, hint.y) for hint in hints]
    stated = np.array([hint.ab for hint in hints], np.float32)
    left = np.maximum(np.diagonal(upsampled_at(luma, shares, places)), 1 / _MOST_ADDED)[:, None]
    for _ in range(_ROUNDS):
        lacking = (stated - upsampled_at(luma, ab, places)) / left
        ab = np.asarray(ab + np.einsum("nc,nhw->chw", lacking, shares), np.float32)
    return ab


def _all_shares(lightness: F32, hints: Sequence[ColorHint], looks: F32 | None) -> list[F32]:
    """Return `_shares` as far as hints reach, and then as far as each of `_CLOSER`."""
    kernel = _PLAIN if looks is None else _BY_LOOKS
    return [
        _shares(lightness, hints, one, looks) for one in (kernel, *(replace(kernel, near=near) for near in _CLOSER))
    ]


def _shares(lightness: F32, hints: Sequence[ColorHint], kernel: Kernel, looks: F32 | None) -> F32:
    """Return how much each of ``hints`` has to say at every place (n, h, w): together no more than 1."""
    weights = np.stack([_weight(lightness, hint, kernel, looks) for hint in hints])
    return np.asarray(weights / np.maximum(weights.sum(axis=0), 1), np.float32)


def _weight(lightness: F32, hint: ColorHint, kernel: Kernel, looks: F32 | None = None) -> F32:
    """Return exp(-(dL / lightness)^2 - d^2 / (2 near^2) - f^2 / (2 looks^2)) of ``kernel``; 1 within the reach.

    d is in short sides beyond the reach, f the distance of ``looks``.
    """
    height, width = lightness.shape
    rows, columns = (np.arange(size, dtype=np.float32) + 0.5 for size in (height, width))
    distance = np.hypot((rows - hint.y * height)[:, None], columns - hint.x * width) / min(height, width)
    row, column = _place(hint, height, width)
    unlike = np.square((lightness - lightness[row, column]) / kernel.lightness)
    unlike = unlike + np.square(np.maximum(distance - hint.reach, 0)) / (2 * kernel.near**2)
    if looks is not None and kernel.looks is not None:
        unlike = unlike + np.square(looks - looks[:, row, column, None, None]).sum(axis=0) / (2 * kernel.looks**2)
    weight = np.exp(-unlike)
    return np.asarray(np.where(distance <= hint.reach, 1, weight), np.float32)


def _lightness_at(luma: F32, shape: tuple[int, ...]) -> F32:
    rows, columns = shape
    return lightness_of(np.asarray(cv2.resize(luma, (columns, rows), interpolation=cv2.INTER_AREA), np.float32))


def _looks_at(features: F32, lightness: F32) -> F32:
    """Return ``features`` (C, h', w') at length 1, float32 (C, h, w), upsampled along ``lightness`` (h, w), L*.

    Joint bilateral upsampling (Kopf et al. 2007): linear interpolation would lead over the edges of things.
    """
    even = features / (np.linalg.norm(features, axis=0) + np.float32(1e-6))
    shape = even.shape[1:]
    cells = np.asarray(cv2.resize(lightness, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), np.float32)
    found = np.zeros((len(even), *lightness.shape), np.float32)
    total = np.zeros(lightness.shape, np.float32)
    places = [(np.arange(size) + 0.5) * count / size - 0.5 for size, count in zip(lightness.shape, shape, strict=True)]
    for steps in np.ndindex(3, 3):
        chosen = [np.rint(place).astype(int) + step - 1 for place, step in zip(places, steps, strict=True)]
        down, across = (np.square((at - place) / _CELLS) / 2 for at, place in zip(chosen, places, strict=True))
        cell = np.ix_(*(np.clip(at, 0, count - 1) for at, count in zip(chosen, shape, strict=True)))
        unlike = np.square((lightness - cells[cell]) / _SAME_LIGHT)
        weight = np.asarray(np.exp(-down[:, None] - across - unlike) + _FLOOR, np.float32)
        found += even[:, *cell] * weight
        total += weight
    return np.asarray(found / total, np.float32)


def _place(hint: ColorHint, height: int, width: int) -> tuple[int, int]:
    return min(int(hint.y * height), height - 1), min(int(hint.x * width), width - 1)
