"""Motion from one frame to the next, and how far it can be trusted.

Optical flow by dense inverse search (Kroeger, Timofte, Dai, Van Gool: Fast Optical Flow using Dense Inverse Search,
2016) between small pictures with evened brightness, so that flicker of old film is not taken for motion. Chroma is
carried at its own, smaller size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.color.spaces import F32

U8 = npt.NDArray[np.uint8]
Flow = F32

_REDUCED = 2
# Below this size the pyramid of the flow is too small.
_SMALLEST = 16
# Evened brightness has mean 128 and deviation 50 within a third of the picture's height. Contrast below the floor
# (of luma 0..1) is grain, and stays small.
_NEIGHBOURHOOD = 3
_FLOOR = 0.06
_CONTRAST = 50.0
# Trust falls to 1/e if forward plus backward flow misses by this many chroma pixels, squared, plus a part of the way
# squared; or if evened brightness differs by this much.
_MISS = 0.3
_MISS_PER_WAY = 0.01
_DIFFERENCE = 25.0


@dataclass(frozen=True)
class View:
    """A frame as used to find motion: ``picture`` (h, w), and ``guide`` (rows, columns), the same at chroma's size."""

    picture: U8
    guide: F32


@dataclass(frozen=True)
class Path:
    """The mapping of a frame's places to its neighbour.

    ``places`` (rows, columns, 2) holds each chroma pixel's x and y in the neighbour, ``trust`` (rows, columns, 1) how
    certain that is: from 0, hidden or new there, to 1.
    """

    places: F32
    trust: F32

    def carried(self, values: F32) -> F32:
        """Carry ``values`` (rows, columns, channels) of the neighbour to this frame, multiplied by trust."""
        return _at(values, self.places) * self.trust

    def followed_by(self, further: Path) -> Path:
        """Return the path extended by ``further``, which begins where this one ends."""
        return Path(_at(further.places, self.places), self.trust * _at(further.trust, self.places))

    def on_grid(self, rows: int, columns: int) -> Path:
        """Return the same path on a grid of ``rows`` and ``columns`` places, no finer than this one."""
        scale = np.array([columns / self.places.shape[1], rows / self.places.shape[0]], np.float32)
        places = (_resized(self.places, rows, columns) + np.float32(0.5)) * scale - np.float32(0.5)
        return Path(places, _resized(self.trust[..., 0], rows, columns)[..., None])

    def moved(self, chroma: F32) -> F32:
        """Carry ``chroma`` (rows, columns, 2) of the neighbour to this frame, trusted or not.

        Uses cubic interpolation, as linear weights, applied frame after frame, make colours pale.
        """
        return _at(chroma, self.places, cv2.INTER_CUBIC)


@dataclass(frozen=True)
class Step:
    """The paths between two frames: from the later to the earlier (``past``), and back (``future``)."""

    past: Path
    future: Path


def view(luma: F32, *, stride: int) -> View:
    """Prepare ``luma`` (h, w), 0..1, for finding motion; its chroma is ``stride`` times smaller."""
    height, width = luma.shape
    reduced = _REDUCED if min(luma.shape) >= _REDUCED * _SMALLEST else 1
    small = _resized(luma, height // reduced, width // reduced)
    side = small.shape[0] // _NEIGHBOURHOOD | 1
    mean = cv2.blur(small, (side, side))
    spread = cv2.blur(small * small, (side, side)) - mean * mean
    even = (small - mean) / np.sqrt(np.maximum(spread, 0) + _FLOOR**2) * _CONTRAST + 128
    picture = np.rint(np.clip(even, 0, 255)).astype(np.uint8)
    return View(picture, _resized(picture.astype(np.float32), height // stride, width // stride))


class Follower:
    """Finds the motion from frame to frame. Not to be shared between threads."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        # The preset's own scale misses half of the motion of people in a street; this one takes 0.4 ms more.
        self._flow.setFinestScale(1)

    def step(self, before: View, after: View, *, belief: float = 1.0) -> Step:
        """Return the step between two views of one size; all trust is multiplied by ``belief``, 0..1."""
        back, forth = self._ways(after, before), self._ways(before, after)
        return Step(
            past=_path(back, forth, after.guide, before.guide, belief),
            future=_path(forth, back, before.guide, after.guide, belief),
        )

    def _ways(self, source: View, target: View) -> Flow:
        """Return the flow (rows, columns, 2) from ``source`` to ``target`` in chroma pixels."""
        flow = np.asarray(self._flow.calc(source.picture, target.picture, None), np.float32)  # type: ignore[call-overload]
        rows, columns = source.guide.shape
        height, width = source.picture.shape
        return _resized(flow, rows, columns) * np.array([columns / width, rows / height], np.float32)


def _path(way: Flow, back: Flow, here: F32, there: F32, belief: float) -> Path:
    """Return the path along ``way``, checked against the flow ``back`` and the similarity of both ends."""
    rows, columns = here.shape
    places = way + _grid(rows, columns)
    miss = np.square(way + _at(back, places)).sum(axis=-1)
    length = np.square(way).sum(axis=-1)
    unlike = np.square((_at(there, places) - here) * np.float32(1 / _DIFFERENCE))
    x, y = places[..., 0], places[..., 1]
    inside = (x > -0.5) & (x < columns - 0.5) & (y > -0.5) & (y < rows - 0.5)
    # Averaged, as single pixels fit by chance even where the neighbour has nothing similar.
    doubt = cv2.blur(miss / (_MISS + _MISS_PER_WAY * length) + unlike, (3, 3))
    trust = np.exp(-doubt) * inside * np.float32(belief)
    return Path(places, np.asarray(trust, np.float32)[..., None])


@lru_cache(maxsize=8)
def _grid(rows: int, columns: int) -> F32:
    """Return x and y of every pixel (rows, columns, 2)."""
    return np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).astype(np.float32)


def _at(picture: F32, places: F32, interpolation: int = cv2.INTER_LINEAR) -> F32:
    read = cv2.remap(picture, places, None, interpolation, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(read, np.float32).reshape(*places.shape[:2], *picture.shape[2:])


def _resized(picture: F32, rows: int, columns: int) -> F32:
    if picture.shape[:2] == (rows, columns):
        return picture
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
