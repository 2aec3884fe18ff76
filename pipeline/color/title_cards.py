"""Detection of lettered or drawn pictures, such as title cards and the countdown of film leader, which have no colours.

Lettering on a dark ground has thin strokes or one even tone, while lit people and objects are shaded. Leader has a ring
of an even, thin line around the middle of the picture, which photographs do not have.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from pipeline.color.spaces import F32

# Pairs are (no, yes) of a soft step. They were chosen on drawn cards and leader and on 3,000 photographs, unchanged
# and darkened: one of these, a white flower before black leaves, is half taken for lettering, none for leader.
_DARK_GROUND = 0.22, 0.15  # level of the ground of a title card
_GRAIN = 0.06  # smaller differences from that ground are its grain
_STROKES = 0.35, 0.50  # outline over area, per pixel of the model input: letters are thin, lit people are not
_BROAD = 0.12, 0.22  # share of large letters that is not edge
_EVEN = 0.74, 0.84  # share of this with one tone
_TONE = 0.30, 0.15  # spread of one tone, as a share of its distance from the ground
_INK = 0.30, 0.50  # distance from the ground, as a share of the ink's, beyond which all is ink
_LETTERED = 0.68, 0.76  # share of the picture that is ground, around letters of one tone
_FEWEST = 8

_DIRECTIONS, _RADII = 64, 66  # in which, and at which, a ring is searched
_SMALLEST = 0.3  # of these radii, as a share of the largest, which is half the shorter side
_RING = 0.58, 0.72  # share of the directions in which it is seen, in excess of lines elsewhere
_LINE = 0.08  # luma difference between a line and both its sides
_BESIDE = 3  # radii from the middle of a line to its sides
_WEAVE = np.ones((1, 5), np.uint8)  # radii over which a ring varies if it is not quite central
_AROUND = np.ones((3, 3), np.uint8)


def thin_strokes(luma: F32, level: float) -> float:
    """Return how far the contents of a dark ground of ``level`` consist of thin strokes, 0..1. ``luma`` (H, W)."""
    dark = step(level, _DARK_GROUND)
    if dark == 0:
        return 0.0
    raised = np.maximum(luma - np.float32(level + _GRAIN), np.float32(0))
    outline = cv2.norm(raised[1:], raised[:-1], cv2.NORM_L1) + cv2.norm(raised[:, 1:], raised[:, :-1], cv2.NORM_L1)
    return dark * step(outline / (float(raised.sum()) + 1e-6), _STROKES)


def one_tone(luma: F32, level: float, light: float) -> float:
    """Return how far a picture consists of an even dark ground of ``level`` and broad strokes of one tone, 0..1.

    ``light``, 0..1, is the state of a fade: dark and even are relative to it.
    """
    dark = step(level, (_DARK_GROUND[0] * light, _DARK_GROUND[1] * light))
    if dark == 0:
        return 0.0
    grain = _GRAIN * light
    raised = cv2.blur(luma, (3, 3)) - np.float32(level)
    lettered = step(float(ramp(np.abs(raised), (grain, grain / 2)).mean()), _LETTERED)
    above = raised[raised > grain]
    if lettered == 0 or above.size < _FEWEST:
        return 0.0
    tone = float(np.quantile(above, 0.9))
    ink = ramp(raised, (_INK[0] * tone, _INK[1] * tone))
    broad = cv2.erode(ink, _AROUND, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    area = float(broad.sum())
    even = float((broad * ramp(np.abs(raised - np.float32(tone)), (_TONE[0] * tone, _TONE[1] * tone))).sum())
    return dark * lettered * step(area / float(ink.sum()), _BROAD) * step(even / (area + 1e-6), _EVEN)


def leader(luma: F32) -> float:
    """Return how certainly a picture is a countdown, with a thin ring around its middle, 0..1. ``luma`` (H, W)."""
    around = cv2.remap(luma, *_circles(*luma.shape), cv2.INTER_LINEAR)
    line, inside, outside = around[:, _BESIDE:-_BESIDE], around[:, : -2 * _BESIDE], around[:, 2 * _BESIDE :]
    share = max(
        _standing_out((cv2.dilate(sign, _WEAVE) > _LINE).mean(axis=0))
        for sign in (line - cv2.max(inside, outside), cv2.min(inside, outside) - line)
    )
    return step(share, _RING)


def _standing_out(shares: F32) -> float:
    middle = len(shares) // 2
    return float(shares.max() - np.partition(shares, middle)[middle])


@lru_cache(maxsize=8)
def _circles(height: int, width: int) -> tuple[cv2.typing.MatLike, cv2.typing.MatLike]:
    """Return the points (directions, radii) of circles around the middle of a picture, for `cv2.remap`."""
    angles = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False)[:, None]
    radii = np.linspace(_SMALLEST, 1, _RADII) * min(height, width) / 2
    x, y = width / 2 - 0.5 + np.cos(angles) * radii, height / 2 - 0.5 + np.sin(angles) * radii
    return cv2.convertMaps(x.astype(np.float32), y.astype(np.float32), cv2.CV_16SC2)


def ramp(values: F32, ends: tuple[float, float]) -> F32:
    """Return 0 at the first of ``ends``, 1 at the second, linear in between."""
    scale = 1 / (ends[1] - ends[0])
    course = values * np.float32(scale)
    course -= np.float32(ends[0] * scale)
    np.maximum(course, np.float32(0), out=course)
    return np.asarray(np.minimum(course, np.float32(1), out=course), np.float32)


def step(value: float, ends: tuple[float, float]) -> float:
    """Return 0 at the first of ``ends``, 1 at the second, smooth in between."""
    part = min(1.0, max(0.0, (value - ends[0]) / (ends[1] - ends[0])))
    return part * part * (3 - 2 * part)
