"""What must stay neutral: bars, margins, title cards, leader, and pictures too dark or too flat to be coloured.

Everything is a continuous function of luma, so that nothing jumps while a shot slowly darkens or a bar is noisy.
Where a picture and a blank part cannot be told apart, as a sky without a cloud and a sheet of grey card, the rules ask
for what only the blank part has: one and the same level along all four sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.color.spaces import F32

# Pairs are (nothing, everything) of a soft step on luma, 0..1, or on a share of a line or of the picture. They were
# chosen on photographs with bars, mounts and captions added, on titles, leader and fades made from them and on films.
_BLACK = 0.07, 0.03  # level of a bar
_NEAR = 0.05, 0.025  # distance from the level of a bar
_EQUAL = 0.035, 0.015  # distance from the level of a margin or ground; skies differ by more
_AGREEING = 0.05, 0.02  # distance between the levels of the four sides
_LINE = 0.65, 0.80  # share of a line that has the level: a caption may be written on the rest
_GROUND = 0.72, 0.88  # share of a picture that is one flat ground
_DARK_GROUND = 0.22, 0.15  # level of the ground of a title card
_GRAIN = 0.06  # what stands out from that ground by less is its grain
_STROKES = 0.35, 0.50  # outline over area, per pixel of the sketch: letters are thin, lit people are not
_DARKNESS = 0.03, 0.25  # luma of the lightest parts of a picture
_FULLY_LIT = 0.60  # below, what counts as black and as equal shrinks with the light: a fade makes no new bars
_CONTRAST = 0.04, 0.20  # luma between the darkest and the lightest parts, relative to the lightest
_EXTREMES = 0.005  # share of the picture that counts as its lightest, and as its darkest, part


def neutral_weight(luma: F32, shape: tuple[int, int]) -> F32:
    """Return what to multiply the network's chroma with, 0 (neutral) to 1, float32 of ``shape``.

    ``luma`` (h, w), 0..1, is the sketch, in any orientation; ``shape`` that of the network's chroma, (h / 4, w / 4).
    """
    small = np.asarray(cv2.resize(luma, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), np.float32)
    darkest, lightest = _extremes(small)
    whole = _step(lightest, _DARKNESS) * _step(1 - darkest / max(lightest, _DARKNESS[0]), _CONTRAST)
    if whole == 0:
        return np.zeros(shape, np.float32)
    turned = np.ascontiguousarray(small.T)
    sides = small, small[::-1], turned, turned[::-1]
    levels = [_level(lines) for lines in sides]
    light = min(1.0, lightest / _FULLY_LIT)
    framed = _framed(sides, levels, light)
    weight: F32 = _margins(sides[:2], levels[:2], light, framed)[:, None] * _margins(
        sides[2:], levels[2:], light, framed
    )
    if framed > 0:
        level = sum(levels) / len(levels)
        ground = _alike(small, level, _scaled(_EQUAL, light))
        filling = framed * _step(float(ground.mean()), _GROUND)
        if filling > 0:
            weight = weight * (1 - np.float32(filling) * ground)
            whole *= 1 - filling * _lettering(luma, level)
    return weight * np.float32(whole)


def _extremes(small: F32) -> tuple[float, float]:
    few = max(1, int(small.size * _EXTREMES))
    ordered = np.partition(small, (few, small.size - 1 - few), axis=None)
    return float(ordered[few]), float(ordered[small.size - 1 - few])


def _level(lines: F32) -> float:
    """Return the median luma of the first two lines."""
    middle = lines.shape[1]
    return float(np.partition(lines[:2], middle, axis=None)[middle])


def _framed(sides: Sequence[F32], levels: Sequence[float], light: float) -> float:
    """Return how much all four sides begin with lines of one and the same level."""
    agreeing = _step(max(levels) - min(levels), _scaled(_AGREEING, light))
    if agreeing == 0:
        return 0.0
    equal = _scaled(_EQUAL, light)
    first = (_alike(lines[:2], level, equal).mean(axis=1).min() for lines, level in zip(sides, levels, strict=True))
    return agreeing * min(_step(float(share), _LINE) for share in first)


def _margins(pair: Sequence[F32], levels: Sequence[float], light: float, framed: float) -> F32:
    """Return how much each line between two opposite sides is not of a bar or margin, 0..1.

    Black bars come in pairs, which tells them from a night sky; margins of any other level along all four sides.
    """
    black = _step(max(levels), _scaled(_BLACK, light))
    weight = np.ones(len(pair[0]), np.float32)
    for strength, tolerance in ((black, _scaled(_NEAR, light)), (framed, _scaled(_EQUAL, light))):
        if strength > 0:
            first, second = (_reach(lines, level, tolerance) for lines, level in zip(pair, levels, strict=True))
            both = np.maximum(first, second[::-1])
            # Margins surround something; lines that are alike throughout only show something slender.
            paired = strength * min(float(first[1]), float(second[1])) * _step(float(both.min()), (1.0, 0.0))
            weight = np.minimum(weight, 1 - np.float32(paired) * both)
    return weight


def _reach(lines: F32, level: float, tolerance: tuple[float, float]) -> F32:
    """Return how much each line, from a side inward, goes on with the side's ``level``."""
    return np.minimum.accumulate(_ramp(_alike(lines, level, tolerance).mean(axis=1), _LINE))


def _lettering(luma: F32, level: float) -> float:
    """Return how much what stands on a dark ground consists of thin strokes."""
    dark = _step(level, _DARK_GROUND)
    if dark == 0:
        return 0.0
    raised = np.maximum(luma - np.float32(level + _GRAIN), np.float32(0))
    outline = cv2.norm(raised[1:], raised[:-1], cv2.NORM_L1) + cv2.norm(raised[:, 1:], raised[:, :-1], cv2.NORM_L1)
    return dark * _step(outline / (float(raised.sum()) + 1e-6), _STROKES)


def _scaled(ends: tuple[float, float], light: float) -> tuple[float, float]:
    return ends[0] * light, ends[1] * light


def _alike(luma: F32, level: float, tolerance: tuple[float, float]) -> F32:
    return _ramp(np.abs(luma - np.float32(level)), tolerance)


def _ramp(values: F32, ends: tuple[float, float]) -> F32:
    """Return 0 at the first of ``ends``, 1 at the second, and a straight course between."""
    scale = 1 / (ends[1] - ends[0])
    course = values * np.float32(scale)
    course -= np.float32(ends[0] * scale)
    np.maximum(course, np.float32(0), out=course)
    return np.asarray(np.minimum(course, np.float32(1), out=course), np.float32)


def _step(value: float, ends: tuple[float, float]) -> float:
    """Return 0 at the first of ``ends``, 1 at the second, and a smooth course between."""
    part = min(1.0, max(0.0, (value - ends[0]) / (ends[1] - ends[0])))
    return part * part * (3 - 2 * part)
