"""Areas that must stay neutral: bars, margins, title cards, leader, and pictures too dark or too flat to colour.

Everything is a continuous function of luma, so that nothing jumps while a shot slowly darkens or a bar is noisy.
If a picture and a blank part look the same, like a cloudless sky and a sheet of grey card, the rules require what only
the blank part has: the same level along all four sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.color.spaces import F32
from pipeline.color.title_cards import leader, one_tone, ramp, step, thin_strokes

# Pairs are (nothing, everything) of a soft step on luma, 0..1, or on a share of a line or of the picture. They were
# chosen on photographs with added bars, mounts and captions, on titles, leader and fades made from them, and on films.
_BLACK = 0.07, 0.03  # level of a bar
_NEAR = 0.05, 0.025  # distance from the level of a bar
_EQUAL = 0.035, 0.015  # distance from the level of a margin or ground; skies differ by more
_AGREEING = 0.05, 0.02  # distance between the levels of the four sides
_LINE = 0.65, 0.80  # share of a line that has the level: a caption may be written on the rest
_CLEAN = 0.88, 0.97  # the same of a line without any caption
_ALL_ROUND = 0.5  # framed by this much, a picture has a margin and no bars
_MARGIN = 0.5  # a line of less weight belongs to a margin
_LEAST_INSIDE = 0.3  # least share of the lines for a picture within bars
_GROUND = 0.72, 0.88  # share of a picture that is one flat ground
_DARKNESS = 0.03, 0.25  # luma of the lightest parts of a picture
_FULLY_LIT = 0.60  # below, tolerances for black and equal shrink with the light: a fade makes no new bars
_CONTRAST = 0.04, 0.20  # luma between the darkest and the lightest parts, relative to the lightest
_EXTREMES = 0.005  # share of the picture that counts as its lightest, and as its darkest, part


def neutral_weight(luma: F32, shape: tuple[int, int]) -> F32:
    """Return the factor on the network's chroma, 0 (neutral) to 1, float32 of ``shape``.

    ``luma`` (h, w), 0..1, is the model input, in any orientation; ``shape`` is that of its chroma, (h / 4, w / 4).
    """
    small = np.asarray(cv2.resize(luma, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), np.float32)
    darkest, level, lightest = _levels(small)
    whole = step(lightest, _DARKNESS) * step(1 - darkest / max(lightest, _DARKNESS[0]), _CONTRAST)
    if whole == 0:
        return np.zeros(shape, np.float32)
    light = min(1.0, lightest / _FULLY_LIT)
    edge = _edge(small, light)
    rows = _margins(edge.sides[:2], edge.levels[:2], light, edge.framed)
    columns = _margins(edge.sides[2:], edge.levels[2:], light, edge.framed)
    weight: F32 = rows[:, None] * columns * np.float32(whole)
    (top, bottom), (left, right) = _inside(rows), _inside(columns)
    inside = small[top:bottom, left:right]
    if edge.framed < _ALL_ROUND and inside.size < small.size:
        # The area between bars is judged on its own; bars that blend with a card's ground belong to the card.
        weight *= 1 - one_tone(luma, level, light)
        down, across = luma.shape[0] // shape[0], luma.shape[1] // shape[1]
        luma = np.ascontiguousarray(luma[top * down : bottom * down, left * across : right * across])
        weight[top:bottom, left:right] *= _drawn(luma, inside, _edge(inside, light), _levels(inside)[1], light)
    else:
        weight *= _drawn(luma, small, edge, level, light)
    return weight


@dataclass(frozen=True)
class _Edge:
    """A picture seen from its four sides, each with its level, and how much all four levels agree."""

    sides: tuple[F32, F32, F32, F32]
    levels: tuple[float, float, float, float]
    framed: float


def _edge(small: F32, light: float) -> _Edge:
    turned = np.ascontiguousarray(small.T)
    top, bottom, left, right = sides = small, small[::-1], turned, turned[::-1]
    levels = _level(top), _level(bottom), _level(left), _level(right)
    return _Edge(sides, levels, _framed(sides, levels, light))


def _inside(weights: F32) -> tuple[int, int]:
    """Return the first line outside the margins and the one after the last; all lines, if these are too few."""
    kept = np.flatnonzero(weights >= _MARGIN)
    return (int(kept[0]), int(kept[-1]) + 1) if len(kept) > _LEAST_INSIDE * len(weights) else (0, len(weights))


def _drawn(luma: F32, small: F32, edge: _Edge, level: float, light: float) -> F32:
    """Return the factor, 0..1, on the colour of a picture within bars: 0 for a card or leader."""
    left = (1 - leader(luma)) * (1 - one_tone(luma, level, light))
    weight = np.full(small.shape, left, np.float32)
    if edge.framed > 0:
        ground_level = sum(edge.levels) / len(edge.levels)
        ground = _alike(small, ground_level, _scaled(_EQUAL, light))
        filling = edge.framed * step(float(ground.mean()), _GROUND)
        if filling > 0:
            weight *= (1 - np.float32(filling) * ground) * np.float32(1 - filling * thin_strokes(luma, ground_level))
    return weight


def _levels(small: F32) -> tuple[float, float, float]:
    """Return the luma of the darkest, middle and lightest parts."""
    ordered = np.sort(small, axis=None)
    few = max(1, int(small.size * _EXTREMES))
    return float(ordered[few]), float(ordered[small.size // 2]), float(ordered[small.size - 1 - few])


def _level(lines: F32) -> float:
    """Return the median luma of the first two lines."""
    middle = lines.shape[1]
    return float(np.partition(lines[:2], middle, axis=None)[middle])


def _framed(sides: Sequence[F32], levels: Sequence[float], light: float) -> float:
    """Return how far all four sides begin with lines of the same level."""
    agreeing = step(max(levels) - min(levels), _scaled(_AGREEING, light))
    if agreeing == 0:
        return 0.0
    equal = _scaled(_EQUAL, light)
    first = (_alike(lines[:2], level, equal).mean(axis=1).min() for lines, level in zip(sides, levels, strict=True))
    return agreeing * min(step(float(share), _LINE) for share in first)


def _margins(pair: Sequence[F32], levels: Sequence[float], light: float, framed: float) -> F32:
    """Return how far each line between two opposite sides is outside bars and margins, 0..1.

    Black bars come in pairs, unlike a night sky; margins of any other level run along all four sides.
    """
    black = step(max(levels), _scaled(_BLACK, light))
    weight = np.ones(len(pair[0]), np.float32)
    for strength, tolerance in ((black, _scaled(_NEAR, light)), (framed, _scaled(_EQUAL, light))):
        if strength > 0:
            first, second = (_reach(lines, level, tolerance) for lines, level in zip(pair, levels, strict=True))
            both = np.maximum(first, second[::-1])
            # Margins surround something; if all lines are alike, they only show something slender.
            paired = strength * min(float(first[1]), float(second[1])) * step(float(both.min()), (1.0, 0.0))
            weight = np.minimum(weight, 1 - np.float32(paired) * both)
    return weight


def _reach(lines: F32, level: float, tolerance: tuple[float, float]) -> F32:
    """Return how far each line, from a side inward, continues the side's ``level``, up to the last clean line.

    Behind a caption the margin continues; behind a lit object on a dark ground no line is clean.
    """
    shares = _alike(lines, level, tolerance).mean(axis=1)
    clean = np.minimum.accumulate(ramp(shares, _LINE)) * ramp(shares, _CLEAN)
    return np.maximum.accumulate(clean[::-1])[::-1]


def _scaled(ends: tuple[float, float], light: float) -> tuple[float, float]:
    return ends[0] * light, ends[1] * light


def _alike(luma: F32, level: float, tolerance: tuple[float, float]) -> F32:
    return ramp(np.abs(luma - np.float32(level)), tolerance)
