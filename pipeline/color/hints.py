"""Spreading of colours that a person states at places over the objects there.

The residual is spread: the difference between the stated colour and the network's prediction there. Elsewhere it is
estimated from the hints' residuals by kriging (Krige 1951; Matheron 1963): hints that agree share their weight, and
hints that contradict each other limit each other. Residuals are taken to be similar at nearby places of similar
lightness, as in the joint bilateral weights of Levin et al. 2004 (Colorization using Optimization). If the network
gives features, places must be similar in these and may differ more in lightness: objects have lights and shadows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.color.spaces import F32, ab_of_rgb
from pipeline.color.spaces import lightness as lightness_of
from pipeline.options import Hint

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """Similarity of residuals, 0..``share``, which falls with ``lightness`` (L*), ``looks`` and the distance ``near``.

    ``looks`` is a distance between features of length 1, ``near`` is in short sides of the picture. A kernel that
    ``is_pointed`` falls steeply from the start and never overshoots. Residuals are limited to ``most`` CIELAB units.
    """

    lightness: float
    near: float
    looks: float | None = None
    share: float = 1.0
    most: float = math.inf
    is_pointed: bool = False


# The kernels are applied in turn, each to the residuals that those before it left.
_PLAIN = (Kernel(lightness=10.0, near=0.2),)
# A small difference concerns half the picture, such as a cast; a large one concerns an object.
_BY_LOOKS = (
    Kernel(lightness=80.0, near=2.0, looks=0.76, share=0.6, most=11.0),
    Kernel(lightness=34.0, near=0.27, looks=0.42, share=0.8),
)
# The residual left at the place of a hint is applied close by.
_CLOSE = Kernel(lightness=25.0, near=0.05, is_pointed=True)
# Share of the variance by which adjacent hints may contradict each other; otherwise they would outbid each other.
_RIDGE = 0.1
_NOTHING = 1e-6  # CIELAB
# Reach of a cell's features, in cells and in L*; where no cell is as light, all nine around count equally.
_CELLS, _SAME_LIGHT, _FLOOR = 0.7, 5.0, 1e-6


@dataclass(frozen=True, kw_only=True)
class ColorHint:
    """A colour at a place of an upright picture.

    ``x`` and ``y`` are shares of its width and height, 0..1, from the top left; ``ab`` is CIELAB (D65), (0, 0) for
    neutral. Within ``reach``, a share of the shorter side, the stated colour applies at any lightness, that of the
    nearest hint if several reach a place (`pipeline.color.exact_colours`); beyond, it fades by similarity and distance.
    ``weight``, 0..1, is below 1 in the frames of a film before and after its own.
    """

    x: float
    y: float
    ab: tuple[float, float]
    reach: float = 0.01
    weight: float = 1.0


def ab_of_hex(color: str) -> tuple[float, float]:
    """Return a* and b* of sRGB ``color``, ``#RRGGBB``, or (0, 0) for ``neutral``. Raises `ValueError`."""
    if color == "neutral":
        return 0.0, 0.0
    if not re.fullmatch("#[0-9A-Fa-f]{6}", color):
        raise ValueError(f"{color}: not a colour; write #RRGGBB, or neutral")
    rgb = np.array(list(bytes.fromhex(color[1:])), np.float32) / np.float32(255)
    a, b = ab_of_rgb(np.asarray(rgb, np.float32).reshape(1, 1, 3)).ravel()
    return float(a), float(b)


class Features:
    """A network's features of one picture, upsampled once, when hints need them."""

    def __init__(self, planes: F32) -> None:
        """Take ``planes`` (C, h, w)."""
        self._planes = planes
        self._looks: F32 | None = None

    def looks(self, lightness: F32) -> F32:
        """Return features of length 1, (C, h, w), for every place of the picture's ``lightness`` (h, w), L*."""
        if self._looks is None or self._looks.shape[1:] != lightness.shape:
            self._looks = _looks_at(self._planes, lightness)
        return self._looks


@dataclass(frozen=True, kw_only=True)
class Adjustments:
    """A person's changes to a picture's colours: ``saturation``, a factor on chroma, then ``hints``."""

    saturation: float = 1.0
    hints: tuple[ColorHint, ...] = ()

    def applied(self, ab: F32, luma: F32, features: Features | None = None) -> Adjusted:
        """Return adjusted ``ab`` (2, h, w) of the picture with the upright ``luma``, 0..1, of any size.

        ``features`` are the network's features; without them, hints spread by lightness alone.
        """
        shape = ab.shape[1:]
        predicted = ab if self.saturation == 1 else ab * np.float32(self.saturation)
        if not self.hints:
            return Adjusted(predicted, np.zeros(shape, np.float32), np.zeros_like(predicted))
        lightness = _lightness_at(luma, shape)
        looks = None if features is None else features.looks(lightness)
        spread = Spread.of(self.hints, lightness, looks)
        made = spread.applied(predicted)
        return Adjusted(made, spread.share(), made - predicted)


@dataclass(frozen=True, eq=False)
class Adjusted:
    """A picture's adjusted ``ab`` (2, h, w), and the influence of hints at each place, ``share`` (h, w), 0..1.

    ``change`` (2, h, w) is the part of ``ab`` that is due to hints.
    """

    ab: F32
    share: F32
    change: F32


def places_of(hints: Sequence[ColorHint], height: int, width: int) -> tuple[Places, Places]:
    """Return the rows and columns (n,) of the pixels of ``hints`` on a picture of ``height`` x ``width``."""
    places = np.array([(hint.y * height, hint.x * width) for hint in hints]).reshape(-1, 2)
    rows, columns = np.minimum(places.astype(np.int64), (height - 1, width - 1)).T
    return rows, columns


def adjustments(*, saturation: float, hints: Iterable[Hint], page: int = 1) -> Adjustments:
    """Return the adjustments that options request for ``page`` of a photograph."""
    stated = (
        ColorHint(x=hint.x, y=hint.y, ab=ab_of_hex(hint.color), reach=hint.reach) for hint in hints if hint.page == page
    )
    return Adjustments(saturation=saturation, hints=tuple(stated))


@dataclass(frozen=True, eq=False)
class Spread:
    """The positions ``at`` (rows, columns) of n ``hints``, and the difference of every place from each, (n, h, w).

    ``lightness`` and ``looks`` are squared differences; ``distance``, from the centre of a hint's cell, is in short
    sides of the picture.
    """

    hints: Sequence[ColorHint]
    at: tuple[Places, Places]
    lightness: F32
    distance: F32
    looks: F32 | None

    @classmethod
    def of(cls, hints: Sequence[ColorHint], lightness: F32, looks: F32 | None) -> Spread:
        """Compare every place of ``lightness`` (h, w), L*, with the places of ``hints``, at least one.

        ``looks`` (C, h, w) are features of length 1 for every place; without them, hints spread by lightness alone.
        """
        height, width = lightness.shape
        rows, columns = places_of(hints, height, width)
        down, across = np.arange(height) - rows[:, None], np.arange(width) - columns[:, None]
        apart = np.hypot(down[:, :, None], across[:, None], dtype=np.float32)
        seen = None
        if looks is not None:
            size = np.square(looks).sum(axis=0)
            alike = np.tensordot(looks[:, rows, columns], looks, axes=(0, 0))
            seen = np.maximum(size + size[rows, columns, None, None] - 2 * alike, 0)
        lighter = lightness - lightness[rows, columns, None, None]
        return cls(hints, (rows, columns), np.square(lighter), apart / np.float32(min(height, width)), seen)

    def applied(self, ab: F32) -> F32:
        """Return ``ab`` (2, h, w) with the hints applied: their own cells and places in reach get the nearest colour.

        If two are equally near, the later one wins. No other place changes by more than a hint requests at its own.
        """
        stated = np.array([hint.ab for hint in self.hints], np.float32)
        predicted = result = np.asarray(ab, np.float32)
        for kernel in (*self._kernels, _CLOSE):
            alike = self._alike(kernel)
            residuals = _bounded(stated - result[:, *self.at].T, kernel.most)
            between = kernel.share * alike[:, *self.at].T + (1 - kernel.share + _RIDGE) * np.eye(len(stated))
            weights = kernel.share * np.linalg.solve(between, residuals)
            result = result + np.einsum("nc,nhw->chw", weights.astype(np.float32), alike)
        most = float(np.hypot(*(stated.T - predicted[:, *self.at])).max())
        change = result - predicted
        result = predicted + change * (most / np.maximum(np.hypot(*change), np.float32(max(most, _NOTHING))))
        is_within = self._is_within
        nearest = np.where(is_within, self.distance, np.inf)[::-1].argmin(axis=0)
        return np.where(is_within.any(axis=0), stated[::-1].T[:, nearest], result)

    def share(self) -> F32:
        """Return the influence of the hints at every place, (h, w), 0..1."""
        alike = np.where(self._is_within, np.float32(1), self._alike(self._kernels[-1]))
        return np.asarray(np.minimum(alike.sum(axis=0), 1), np.float32)

    @property
    def _kernels(self) -> tuple[Kernel, ...]:
        return _PLAIN if self.looks is None else _BY_LOOKS

    @property
    def _is_within(self) -> npt.NDArray[np.bool_]:
        return self.distance <= np.array([hint.reach for hint in self.hints], np.float32)[:, None, None]

    def _alike(self, kernel: Kernel) -> F32:
        """Return the similarity of every place to those of the hints, 0..1, (n, h, w): 1 at the hints."""
        apart = self.distance / kernel.near
        unlike = (apart if kernel.is_pointed else np.square(apart) / 2) + self.lightness / kernel.lightness**2
        if self.looks is not None and kernel.looks is not None:
            unlike += self.looks / (2 * kernel.looks**2)
        return np.asarray(np.exp(-unlike), np.float32)


def _bounded(residuals: F32, most: float) -> F32:
    """Compress ``residuals`` (n, 2) to lengths below ``most``; small ones hardly change."""
    size = np.hypot(*residuals.T)[:, None]
    return np.asarray(residuals / np.hypot(1, size / most), np.float32)


def _lightness_at(luma: F32, shape: tuple[int, ...]) -> F32:
    rows, columns = shape
    return lightness_of(np.asarray(cv2.resize(luma, (columns, rows), interpolation=cv2.INTER_AREA), np.float32))


def _looks_at(features: F32, lightness: F32) -> F32:
    """Upsample ``features`` (C, h', w'), at length 1, to float32 (C, h, w), guided by ``lightness`` (h, w), L*.

    Joint bilateral upsampling (Kopf et al. 2007): linear interpolation would cross the edges of objects.
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
