"""Detection of a colour target: the row or grid of even patches of known colours that archives scan beside a print.

It is coloured, but says nothing about the print, so it is left out of the judgement of the tone and keeps its colours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.color.spaces import F32

Bools = npt.NDArray[np.bool_]

# For a picture of some 128 pixels a side; chosen on targets of 6 to 24 patches drawn beside scans.
_EVEN = 0.05  # between a pixel of a patch and its neighbours, in luma and chroma
_STRONG = 0.08  # chroma of a coloured patch; targets have stronger colours than clothes in photographs
_LEAST = 9  # pixels of a patch
_FILLED = 0.8  # share of its bounding box: patches are rectangles
_PATCHES = 4  # least number of coloured ones
_ALIKE = 0.4  # relative difference between their sizes
_IN_LINE = 0.35  # distance of their middles from a common line, as a share of a patch
_HUE = 35.0  # degrees between two hues that count as different
_MOST = 0.35  # greatest share of the picture covered by a target
_AROUND = 2  # pixels


@dataclass(frozen=True)
class _Patch:
    x: float
    y: float
    width: int
    height: int
    hue: float


def colour_target(luma: F32, chroma: F32) -> Bools | None:
    """Return the bounding box of a colour target in a small picture, as bool (h, w), or None if there is none.

    ``luma`` (h, w), 0..1; ``chroma`` (2, h, w), -0.5..0.5.
    """
    patches = _in_line(_patches(luma, chroma))
    if len(patches) < _PATCHES or _distinct([patch.hue for patch in patches]) < _PATCHES:
        return None
    height, width = luma.shape
    wide = max(patch.width for patch in patches) // 2 + _AROUND
    high = max(patch.height for patch in patches) // 2 + _AROUND
    xs, ys = [patch.x for patch in patches], [patch.y for patch in patches]
    # The black, grey and white patches continue the row of those in colour.
    is_column = max(ys) - min(ys) > max(xs) - min(xs)
    step = (max(ys) - min(ys) if is_column else max(xs) - min(xs)) / (len(patches) - 1)
    further = int(3 * step)
    left, right = min(xs) - wide - (0 if is_column else further), max(xs) + wide + (0 if is_column else further)
    top, bottom = min(ys) - high - (further if is_column else 0), max(ys) + high + (further if is_column else 0)
    found = np.zeros((height, width), np.bool_)
    found[max(0, int(top)) : int(bottom) + 1, max(0, int(left)) : int(right) + 1] = True
    return found if found.mean() < _MOST else None


def _patches(luma: F32, chroma: F32) -> list[_Patch]:
    planes = np.dstack([luma, *chroma]).astype(np.float32)
    around = np.ones((3, 3), np.uint8)
    change = (cv2.dilate(planes, around) - cv2.erode(planes, around)).max(axis=2)
    strong = np.hypot(chroma[0], chroma[1]) > _STRONG
    count, labels, stats, middles = cv2.connectedComponentsWithStats(
        ((change < _EVEN) & strong).astype(np.uint8), connectivity=4
    )
    found = []
    for number in range(1, count):
        _, _, width, height, area = (int(value) for value in stats[number])
        if area >= _LEAST and area >= _FILLED * width * height:
            cb, cr = (float(plane[labels == number].mean()) for plane in chroma)
            x, y = (float(value) for value in middles[number])
            # The even part of a patch is a pixel smaller than the patch on every side.
            found.append(_Patch(x, y, width + 2, height + 2, float(np.degrees(np.arctan2(cr, cb)))))
    return found


def _in_line(patches: list[_Patch]) -> list[_Patch]:
    """Return the largest group of patches of similar size in one row or column."""
    best: list[_Patch] = []
    for first in patches:
        alike = [
            patch
            for patch in patches
            if abs(patch.width - first.width) <= _ALIKE * first.width
            and abs(patch.height - first.height) <= _ALIKE * first.height
        ]
        row = [patch for patch in alike if abs(patch.y - first.y) <= _IN_LINE * first.height]
        column = [patch for patch in alike if abs(patch.x - first.x) <= _IN_LINE * first.width]
        best = max(best, row, column, key=len)
    return best


def _distinct(hues: list[float]) -> int:
    chosen: list[float] = []
    for hue in hues:
        if all(abs((hue - other + 180) % 360 - 180) >= _HUE for other in chosen):
            chosen.append(hue)
    return len(chosen)
