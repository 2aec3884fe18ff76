"""Measures of a film's colour stability: numbers in float64, on frames of uint8 RGB, shape (H, W, 3).

Grey is the most stable of all: none of these means anything without the colourfulness and the error beside it
(`training.metrics`).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from training.cielab_numpy import F64, U8, rgb_to_lab

DILATIONS = (1, 2, 4)

_LEVELS = 256
_TALLEST = 240
_MISS = 1.0
_UNLIKE = 10.0

F32 = npt.NDArray[np.float32]


def histogram(picture: U8) -> F64:
    """Return the shares, shape (3, 256), of the code values of R, G and B among all pixels."""
    counts = [np.bincount(channel.ravel(), minlength=_LEVELS) for channel in np.moveaxis(picture, -1, 0)]
    return np.asarray(np.stack(counts) / picture[..., 0].size, np.float64)


def jensen_shannon(first: F64, second: F64) -> F64:
    """Return the Jensen-Shannon divergence of distributions (..., K), shape (...): 0 for equal, ln 2 for disjoint.

    Lin: Divergence measures based on the Shannon entropy (1991). Natural logarithm, and no square root: its root would
    be the distance, some ten times larger for the films measured here.
    """
    middle = (first + second) / 2
    return (_relative_entropy(first, middle) + _relative_entropy(second, middle)) / 2


def _relative_entropy(first: F64, second: F64) -> F64:
    there = first > 0
    ratio = np.divide(first, second, out=np.ones_like(first), where=there)
    return np.asarray((first * np.log(ratio)).sum(axis=-1), np.float64)


def cdc(histograms: Sequence[F64]) -> float:
    """Return the colour distribution consistency of a clip from its frames' `histogram`; lower is more stable.

    Per dilation d of 1, 2 and 4 frames: the `jensen_shannon` divergence between frames t and t + d, mean over all such
    pairs, per channel. The mean over the dilations (a third each), then over R, G and B. Liu et al.: Temporally
    Consistent Video Colorization with Deep Feature Propagation and Self-regularization Learning (2021); also the
    measure of the NTIRE 2023 challenge on video colourisation. The number for several clips is their mean.

    Raises `ValueError` for clips of fewer than five frames.
    """
    if len(histograms) <= max(DILATIONS):
        raise ValueError(f"CDC needs at least {max(DILATIONS) + 1} frames, not {len(histograms)}")
    shares = np.stack(histograms)
    means = [jensen_shannon(shares[:-d], shares[d:]).mean(axis=0) for d in DILATIONS]
    return float(np.mean(means))


class WarpError:
    """How much chroma changes along the motion, accumulated over frames.

    The distance in ab (CIELAB) between a frame and the previous one, which is warped to it along the optical flow, mean
    over the pixels where that flow is consistent, then over the frames. Frames are measured at 240 rows. Flow is dense
    inverse search (medium preset) between the grey pictures ``luma``; it is consistent where forward and backward flow
    differ by less than a pixel and luma by less than 10 codes. Colours determined only by their own frame score high.
    After a change of shot call `cut` before the next frame.
    """

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._luma: U8 | None = None
        self._ab: dict[str, F32] = {}
        self._errors: dict[str, list[float]] = {}

    def add(self, luma: U8, versions: dict[str, U8]) -> None:
        """Add a frame: its luma codes (H, W), and its coloured versions by name, which share the same motion."""
        small = _reduced(luma)
        ways = None if self._luma is None else self._consistent(self._luma, small)
        for name, picture in versions.items():
            ab = rgb_to_lab(_reduced(picture))[..., 1:].astype(np.float32)
            before = self._ab.get(name)
            if ways is not None and before is not None and ways[1].any():
                moved = _at(before, ways[0]).astype(np.float64)
                error = np.hypot(*np.moveaxis(moved - ab, -1, 0))
                self._errors.setdefault(name, []).append(float(error[ways[1]].mean()))
            self._ab[name] = ab
        self._luma = small

    def cut(self) -> None:
        """Compare the next frame with no previous one."""
        self._luma = None

    def value(self, name: str) -> float:
        """Return the error of the version ``name`` in units of ab; raises `KeyError` if nothing could be compared."""
        return float(np.mean(self._errors[name]))

    def _consistent(self, before: U8, after: U8) -> tuple[F32, npt.NDArray[np.bool_]]:
        """Return the previous position of each pixel, x and y (H, W, 2), and whether that is reliable (H, W)."""
        back = np.asarray(self._flow.calc(after, before, None), np.float32)  # type: ignore[call-overload]
        forth = np.asarray(self._flow.calc(before, after, None), np.float32)  # type: ignore[call-overload]
        height, width = after.shape
        places = back + np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
        miss = np.hypot(*np.moveaxis(back + _at(forth, places), -1, 0))
        unlike = np.abs(_at(before.astype(np.float32), places) - after)
        x, y = places[..., 0], places[..., 1]
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        return places, (miss < _MISS) & (unlike < _UNLIKE) & inside


def _reduced(picture: U8) -> U8:
    height, width = picture.shape[:2]
    if height <= _TALLEST:
        return picture
    size = round(width * _TALLEST / height), _TALLEST
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _at(picture: F32, places: F32) -> F32:
    read = cv2.remap(picture, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(read, np.float32)
