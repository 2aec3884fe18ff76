"""Similarity of two pictures regardless of light, shake and dirt, and detection of mixtures of two others."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.color.spaces import F32

Box = tuple[int, int, int, int]
Lit = npt.NDArray[np.bool_]

# A thumbnail has 24 lines on its shorter side, and blocks of 12.
_SIDE = 24
_BLOCK = 12
# Contrast below which a picture shows only grain: about three codes of 255.
_NOTHING = 0.012
# Contrast added (squared) before pictures are scaled to equal contrast, so that grain in the dark is not amplified.
_FLOOR = 0.06
_GRAIN = 3e-5
_LEVEL = 0.05
_DIM = 0.22
# Edges this strong in the middle come from a camera that moves on to something else.
_SHARP = 0.12
# Greatest motion between a mixture's ends and its middle, in lines.
_DRIFT = 5


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A greatly reduced picture: ``plain`` (24, n) or (n, 24), luma less its mean; ``even``, the same at contrast 1.

    ``contrast`` is the standard deviation of the luma, ``edges`` the mean square of its slope. ``box`` (top, bottom,
    left, right) is the area within black bars.
    """

    plain: F32
    even: F32
    contrast: float
    edges: float
    box: Box
    _inside: dict[Box, Thumbnail] = field(default_factory=dict, repr=False)

    def inside(self, box: Box) -> Thumbnail:
        """Return the area within ``box``, stretched to full size; cached, as many frames need it."""
        if box not in self._inside:
            top, bottom, left, right = box
            size = self.plain.shape[::-1]
            stretched = cv2.resize(self.plain[top:bottom, left:right], size, interpolation=cv2.INTER_LINEAR)
            self._inside[box] = _thumbnail(np.asarray(stretched, np.float32))
        return self._inside[box]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is visible: black, white or a plain card."""
        return self.contrast < _NOTHING


def thumbnail(luma: F32) -> Thumbnail:
    """Reduce luma (h, w), 0..1, to what distinguishes scenes. Grain, dust and scratches mostly vanish."""
    height, width = luma.shape
    long_side = max(_SIDE, round(_SIDE * max(luma.shape) / min(luma.shape) / _BLOCK) * _BLOCK)
    size = (long_side, _SIDE) if width >= height else (_SIDE, long_side)
    return _thumbnail(np.asarray(cv2.medianBlur(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), 3), np.float32))


def _thumbnail(small: F32) -> Thumbnail:
    plain: F32 = small - small.mean()
    variance = float(np.mean(plain * plain))
    across = small[1:-1, 2:] - small[1:-1, :-2]
    down = small[2:, 1:-1] - small[:-2, 1:-1]
    edges = float(np.mean(across * across) + np.mean(down * down)) + 1e-5
    even: F32 = plain / np.float32(np.sqrt(variance + _FLOOR * _FLOOR))
    black = small.min() + np.float32(_NOTHING)
    box = (*_ends(small.max(axis=1) > black), *_ends(small.max(axis=0) > black))
    return Thumbnail(plain, even, float(np.sqrt(variance)), edges, box)


def _ends(lit: Lit) -> tuple[int, int]:
    if lit[0] and lit[-1]:
        return 0, len(lit)
    where = np.flatnonzero(lit)
    return (int(where[0]), int(where[-1]) + 1) if len(where) > len(lit) // 2 else (0, len(lit))


def _unbarred(*thumbnails: Thumbnail) -> tuple[Thumbnail, ...]:
    """Cut off the bars that all ``thumbnails`` share, and stretch the rest to their size."""
    tops, bottoms, lefts, rights = zip(*(thumbnail.box for thumbnail in thumbnails), strict=True)
    box = min(tops), max(bottoms), min(lefts), max(rights)
    rows, columns = thumbnails[0].plain.shape
    return thumbnails if box == (0, rows, 0, columns) else tuple(thumbnail.inside(box) for thumbnail in thumbnails)


def unlike(before: Thumbnail, after: Thumbnail, *, reach: int = 3) -> float:
    """Return how little of ``after`` is found in ``before``: about 0 (all) to 1 (nothing).

    Each block of ``after`` is matched to its best place in ``before``, up to ``reach`` lines away; overall brightness
    and contrast do not count. Both must have one shape.
    """
    before, after = _unbarred(before, after)
    target = after.even
    rows, columns = target.shape
    padded = cv2.copyMakeBorder(before.even, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    moved = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns)).reshape(-1, rows, columns)
    across = np.abs(moved - target) @ _sums(columns)
    blocks = across.reshape(len(moved), rows // _BLOCK, _BLOCK, -1).sum(axis=2)
    left = float(blocks.min(axis=0).sum())
    whole = max(float(np.abs(before.even).sum()), float(np.abs(target).sum()))
    return left / (whole + _LEVEL * target.size)


@cache
def _sums(columns: int) -> F32:
    """Return the matrix (columns, columns / 12) that sums the columns of each block."""
    return np.asarray(np.kron(np.eye(columns // _BLOCK), np.ones((_BLOCK, 1))), np.float32)


def mixture(before: Thumbnail, middle: Thumbnail, after: Thumbnail) -> float:
    """Return the evidence, above 0 if convincing, that ``middle`` is a dissolve from ``before`` to ``after``.

    Three things indicate one: the ends have nothing in common; the middle is a weighted sum of both, each moved to
    where it fits best; and its edges are faint, like those of two pictures at half strength. The weights come from a
    logistic regression on dissolves and camera moves without them.
    """
    before, middle, after = _unbarred(before, middle, after)
    faintness = -float(np.log(np.clip(2 * middle.edges / (before.edges + after.edges), 0.4, 1.5)))
    least, most = sorted((before.contrast, after.contrast))
    if least < max(_NOTHING, _DIM * most) or middle.contrast < _DIM * least:
        return -1.0
    if faintness < _SHARP or _evidence(0.0, _dot(before.even, after.even) / before.even.size, faintness) < 0:
        return -1.0
    x = np.ascontiguousarray(middle.plain[_DRIFT:-_DRIFT, _DRIFT:-_DRIFT])
    a, b = _best_place(before.plain, x), _best_place(after.plain, x)
    x = x - x.mean()
    grain = _GRAIN * x.size
    aa, bb, ab = _dot(a, a) + grain, _dot(b, b) + grain, _dot(a, b)
    ax, bx, xx = _dot(a, x), _dot(b, x), _dot(x, x) + grain
    # Least squares: x = p a + q b.
    determinant = aa * bb - ab * ab
    p, q = (ax * bb - bx * ab) / determinant, (bx * aa - ax * ab) / determinant
    unexplained = min(1.0, (xx - p * ax - q * bx) / xx)
    in_common = ab / float(np.sqrt(aa * bb))
    return _evidence(unexplained, in_common, faintness)


def _evidence(unexplained: float, in_common: float, faintness: float) -> float:
    return 0.9 - 1.35 * unexplained - 1.6 * in_common + 1.05 * faintness


def _best_place(picture: F32, part: F32) -> F32:
    scores = cv2.matchTemplate(picture, part, cv2.TM_CCOEFF_NORMED)
    y, x = np.unravel_index(int(scores.argmax()), scores.shape)
    found = picture[y : y + part.shape[0], x : x + part.shape[1]]
    centred: F32 = found - found.mean()
    return centred


def _dot(a: F32, b: F32) -> float:
    return float(np.vdot(a, b))
