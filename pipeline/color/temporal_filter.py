"""Constant colours of objects through a shot: the network's predictions are averaged along optical flow.

The colours of a frame are held in an `Estimate`. Estimates are carried from frame to frame; where the flow is not
trusted, they lose their weight, and new objects get the colour of their own frame at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.color.optical_flow import Path, Step
from pipeline.color.spaces import F32

# Factor on a neighbour's weight, per frame: some six frames before and after have most of the influence. If the
# network sees fewer frames, each prediction must last longer.
FADING = 0.85
FADING_SPARSE = 0.88
# The anchor forgets in fifty frames, acts on areas wider than some 17 chroma pixels (after fifty warps, details are
# blurred), and pulls by this part of the way.
_ANCHOR_FADING = np.float32(0.98)
_ANCHOR_SIDE = 17
_ANCHOR_PULL = np.float32(0.6)
# Least weight, never lost: without any other colour, that of the neighbour in time is kept.
_LEAST = np.float32(1e-4)


@dataclass(frozen=True)
class Estimate:
    """Estimate of a frame's colours: ``chroma`` (rows, columns, 2), a* and b*, with ``weight`` (rows, columns, 1).

    One prediction has weight 1.
    """

    chroma: F32
    weight: F32

    @staticmethod
    def of(ab: F32, weight: F32 | None = None) -> Estimate:
        """Return the estimate from one prediction, ``ab`` (2, rows, columns), with ``weight``, 1 if None."""
        chroma = np.ascontiguousarray(ab.transpose(1, 2, 0))
        return Estimate(chroma, np.ones((*chroma.shape[:2], 1), np.float32) if weight is None else weight)

    def carried(self, path: Path, fading: float) -> Estimate:
        """Carry the estimate of a neighbour to this frame; ``fading`` is the factor on its weight."""
        return Estimate(path.moved(self.chroma), np.maximum(path.carried(self.weight) * np.float32(fading), _LEAST))

    def joined(self, other: Estimate | None) -> Estimate:
        """Return the weighted mean of two estimates of one frame."""
        if other is None:
            return self
        weight = self.weight + other.weight
        return Estimate(self.chroma + (other.chroma - self.chroma) * (other.weight / weight), weight)


def joined(first: Estimate | None, second: Estimate | None) -> Estimate | None:
    """Return the weighted mean of two estimates of one frame, either of which may be None."""
    return second if first is None else first.joined(second)


def from_behind(estimates: Sequence[Estimate | None], steps: Sequence[Step], fading: float) -> list[Estimate | None]:
    """Return each frame's estimate from later frames; ``steps[n]`` leads from frame n to frame n + 1."""
    later: list[Estimate | None] = [None]
    for estimate, step in zip(reversed(estimates[1:]), reversed(steps), strict=True):
        known = joined(estimate, later[-1])
        later.append(None if known is None else known.carried(step.future, fading))
    return later[::-1]


class Anchor:
    """Averages the colours in a shot so far, to keep them from drifting over a long shot."""

    def __init__(self, so_far: F32 | None = None) -> None:
        """Begin a shot, or continue with the ``sum`` (rows, columns, 3) of an earlier one."""
        self.sum = so_far

    def hold(self, chroma: F32, step: Step | None) -> F32:
        """Pull ``chroma`` (rows, columns, 2) of the next frame toward the earlier colours where motion is trusted.

        ``step`` leads to this frame; None for the first of a shot, which is left unchanged.
        """
        weight = np.ones((*chroma.shape[:2], 1), np.float32)
        if self.sum is None or step is None:
            self.sum = np.concatenate([chroma, weight], axis=-1)
            return chroma
        past = step.past.carried(self.sum)
        apart = np.concatenate([past[..., :2] - past[..., 2:] * chroma, past[..., 2:]], axis=-1)
        broad = np.asarray(cv2.blur(apart, (_ANCHOR_SIDE, _ANCHOR_SIDE)), np.float32)
        held = np.asarray(chroma + _ANCHOR_PULL * broad[..., :2] / (broad[..., 2:] + 1), np.float32)
        self.sum = np.concatenate([held, weight], axis=-1) + _ANCHOR_FADING * past
        return held
