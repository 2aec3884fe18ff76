"""Pairs of a photograph and its coloured version, and how often people take the latter for real."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from training.cielab_numpy import U8
from training.evaluate import EvaluationSet, Paint, lightness_of

# Quantile of the normal distribution for an interval of 95 %.
_Z = 1.959964


@dataclass(frozen=True)
class Round:
    """A pair: the number of its picture, and the side on which the real one is shown."""

    picture: int
    real_is_left: bool


def draw_rounds(pictures: int, *, count: int, seed: int) -> tuple[Round, ...]:
    """Return at most ``count`` rounds of different pictures, with order and sides determined by ``seed``."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(pictures)[:count].tolist()
    return tuple(Round(picture, bool(rng.random() < 0.5)) for picture in chosen)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval, within 0..1, of a share observed ``successes`` times in ``trials``.

    Wilson 1927, without continuity correction. Without trials it is 0..1.
    """
    if trials == 0:
        return 0.0, 1.0
    share, spread = successes / trials, _Z**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def pairs_of(pictures: EvaluationSet, paint: Paint, *, largest: int | None) -> Callable[[int], tuple[bytes, bytes]]:
    """Return a function from number to the real and the coloured picture, PNG, of at most ``largest`` pixels a side."""

    def pair(number: int) -> tuple[bytes, bytes]:
        truth = pictures.truth(number)
        scale = 1.0 if largest is None else min(1.0, largest / max(truth.shape[:2]))
        if scale < 1:
            size = tuple(max(1, round(scale * side)) for side in truth.shape[1::-1])
            truth = np.asarray(cv2.resize(truth, size, interpolation=cv2.INTER_AREA), np.uint8)
        return _png(truth), _png(paint(number, lightness_of(truth)))

    return pair


def _png(picture: U8) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


@dataclass(frozen=True)
class Count:
    """In ``fooled`` of ``answered`` pairs the coloured picture was taken for the real one; the rest were told apart.

    If nobody can tell, the share of ``fooled`` is one half.
    """

    answered: int
    fooled: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share of ``fooled``."""
        return wilson(self.fooled, self.answered)
