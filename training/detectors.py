"""Detect the faults that users of colourisers complain about: for each fault a number that grows with it.

A detector takes the CIELAB of a result and of its truth, float (H, W, 3), both scaled by `at_size` to what the network
sees (sides that are multiples of 8) unless stated otherwise, and returns 0 (or the stated value) for the truth itself.
Distances are in pixels of that picture, thresholds in CIELAB units. `docs/evaluation.md` describes how a set's number
is computed from its pictures'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.cielab_numpy import F64

F32 = npt.NDArray[np.float32]
Lab = npt.NDArray[np.floating]

HUE_BINS = 36
LATTICE_PERIODS = (2, 4, 8)

_CORNER = 8
_EDGE_SLOPE = 3.0
_NEAR, _FAR = 2.0, 6.0
_TRUE_STEP, _OWN_STEP, _CRISP = 10.0, 5.0, 0.2
_FEWEST_EDGES = 10
_BLOTCH_SIDE = 64
_BLOTCH_STRENGTH = 8.0
_FLAT_SLOPE = 2.0
_LEAST_ENERGY = 0.05
_REACH = 6


@dataclass(frozen=True)
class Faults:
    """What the detectors found in one picture, or in a set.

    ``hue_bias`` 0..1 and ``shift_a``, ``shift_b`` (mean a* and b* minus the truth's): colour bias. ``corners``: ab
    error in the corners minus that elsewhere. ``checkerboard``: RMS of a* and b* on upsampling lattices. ``sharpness``:
    of colour at luma edges, 1 being the truth's. ``spill``: share of a colour found beyond a luma edge, in excess of
    the truth's. ``blotches``: share of the picture in patches without cause. None: nothing to measure on.
    """

    hue_bias: float | None
    shift_a: float
    shift_b: float
    corners: float
    checkerboard: float
    sharpness: float | None
    spill: float | None
    blotches: float


def at_size(lab: Lab, height: int, width: int) -> F32:
    """Resize CIELAB (H, W, 3) to float32 of ``height`` x ``width`` pixels: averaged to shrink, else bilinear."""
    shrinks = height * width < lab.shape[0] * lab.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(lab.astype(np.float32), (width, height), interpolation=how), np.float32)


class ColourBias:
    """Colour bias, accumulated over pictures: which hues are overrepresented, and the direction of a cast."""

    def __init__(self) -> None:
        self._hues, self._true_hues = np.zeros(HUE_BINS), np.zeros(HUE_BINS)
        self._shift: F64 = np.zeros(2)
        self._pixels = 0

    def add(self, lab: Lab, truth: Lab) -> None:
        """Add a picture of any size: its CIELAB and the truth's, (H, W, 3)."""
        self._hues += hue_histogram(lab)
        self._true_hues += hue_histogram(truth)
        self._shift += (lab - truth)[..., 1:].sum(axis=(0, 1))
        self._pixels += lab[..., 0].size

    def merge(self, other: ColourBias) -> None:
        """Add everything that was added to ``other``."""
        self._hues += other._hues
        self._true_hues += other._true_hues
        self._shift += other._shift
        self._pixels += other._pixels

    def hue_bias(self) -> float | None:
        """Return `hue_bias` of everything added."""
        return hue_bias(self._hues, self._true_hues)

    def shift(self) -> tuple[float, float]:
        """Return the mean a* and b* of everything added minus the truth's."""
        return float(self._shift[0] / self._pixels), float(self._shift[1] / self._pixels)


def hue_histogram(lab: Lab) -> F64:
    """Return the sum of chroma per 10 degrees of CIELAB hue, shape (36,), for CIELAB (..., 3)."""
    a, b = lab[..., 1].ravel(), lab[..., 2].ravel()
    place = np.floor(np.degrees(np.arctan2(b, a)) % 360 * HUE_BINS / 360).astype(np.int64) % HUE_BINS
    return np.asarray(np.bincount(place, weights=np.hypot(a, b), minlength=HUE_BINS), np.float64)


def hue_bias(histogram: F64, truth: F64) -> float | None:
    """Return how much of the colour lies in hues where the truth has less, 0..1; None if either is all grey.

    The total variation distance of two histograms from `hue_histogram`, each normalised to a sum of 1: amounts of
    colour cancel out, only the choice of hues counts. Brown for everything comes near 1.
    """
    if histogram.sum() < 1 or truth.sum() < 1:
        return None
    return float(np.abs(histogram / histogram.sum() - truth / truth.sum()).sum() / 2)


def corner_excess(lab: Lab, truth: Lab) -> float:
    """Return the mean ab error in the four corners minus that elsewhere, in ab units.

    A corner is a square of an eighth of the short side. Corners show mostly background and are easier than the rest:
    the number is below 0 unless padding or position spoils them.
    """
    height, width = lab.shape[:2]
    side = max(1, min(height, width) // _CORNER)
    error = np.hypot(lab[..., 1] - truth[..., 1], lab[..., 2] - truth[..., 2])
    corner = np.zeros((height, width), bool)
    for rows in (slice(0, side), slice(height - side, height)):
        for columns in (slice(0, side), slice(width - side, width)):
            corner[rows, columns] = True
    return float(error[corner].mean() - error[~corner].mean())


def lattice_power(lab: Lab) -> float:
    """Return the mean square of a* and b* on lattices of 2, 4 and 8 pixels, in ab units squared.

    Strided and transposed convolutions leave patterns of these periods (Odena, Dumoulin, Olah: Deconvolution and
    checkerboard artifacts, 2016). Per period it is the power around the spectral peaks of rows, columns and squares,
    minus the mean power beside the peaks on the same axes, where photographs are as strong; so it may be below 0 by
    chance. `checkerboard` compares it with the truth's, since JPEG leaves blocks of 8 and 16 pixels there.
    """
    height, width = lab.shape[:2]
    window = np.outer(np.hanning(height + 1)[:-1], np.hanning(width + 1)[:-1]).astype(np.float32)
    power = np.zeros((height, width))
    for channel in (1, 2):
        power += np.abs(np.fft.fft2(lab[..., channel] * window)) ** 2
    power /= float((window**2).mean()) * (height * width) ** 2
    return sum(_peak(power, period) for period in LATTICE_PERIODS)


def _peak(power: F64, period: int) -> float:
    """Return the power at the frequency 1 / ``period`` along rows, columns and both, minus that beside the peaks."""
    row, column = power.shape[0] // period, power.shape[1] // period
    across, along = _around(power, row, 0), _around(power, 0, column).T
    both = _around(power, row, column)
    # Each peak stands for its mirror images too; at the highest frequency, period 2, peak and image coincide.
    twins = 1 if period == 2 else 2
    return twins * (_excess(across) + _excess(along)) + twins**2 * (_excess(both) + _excess(both.T)) / 2


def _around(power: F64, row: int, column: int) -> F64:
    rows = np.arange(row - _REACH, row + _REACH + 1) % power.shape[0]
    columns = np.arange(column - _REACH, column + _REACH + 1) % power.shape[1]
    return power[np.ix_(rows, columns)]


def _excess(around: F64) -> float:
    # A Hann window spreads a pure tone over three bins each way.
    rows = around[:, _REACH - 1 : _REACH + 2].sum(axis=1)
    beside = np.concatenate([rows[: _REACH - 1], rows[_REACH + 2 :]])
    return float(rows[_REACH - 1 : _REACH + 2].sum() - 3 * beside.mean())


def checkerboard(power: float, true_power: float) -> float:
    """Return the RMS of a* and b* on upsampling lattices beyond the truth's, from `lattice_power` of both."""
    return math.sqrt(max(0.0, power - max(0.0, true_power)))


def chroma_sharpness(lab: Lab, truth: Lab) -> float | None:
    """Return how sharp colour is at the strongest tenth of luma edges: 1 like the truth, 0 for colour without detail.

    Sharpness is the RMS of the finest detail of a* and b* (what a Gaussian of 1.5 pixels removes) over that of coarser
    detail (between 1.5 and 6 pixels); being a ratio it does not depend on saturation. Noise and lattices raise it above
    1. None if either picture has no colour at its edges.
    """
    edges = _slope(truth)[2]
    chosen = edges >= max(_FLAT_SLOPE, float(np.quantile(edges, 0.9)))
    if not chosen.any():
        return None
    ours, theirs = _detail(lab, chosen), _detail(truth, chosen)
    return None if ours is None or not theirs else ours / theirs


def _detail(lab: Lab, chosen: npt.NDArray[np.bool_]) -> float | None:
    ab = np.asarray(lab[..., 1:], np.float32)
    blurred, coarse = cv2.GaussianBlur(ab, (0, 0), 1.5), cv2.GaussianBlur(ab, (0, 0), 6)
    base = float(((blurred - coarse)[chosen] ** 2).mean())
    return None if base < _LEAST_ENERGY else (float(((ab - blurred)[chosen] ** 2).mean()) / base) ** 0.5


def _slope(lab: Lab) -> tuple[F32, F32, F32]:
    """Return the gradient of L*, smoothed over a pixel, in x and in y, and its magnitude, in units per pixel."""
    lightness = cv2.GaussianBlur(np.asarray(lab[..., 0], np.float32), (0, 0), 1)
    x = np.asarray(cv2.Sobel(lightness, cv2.CV_32F, 1, 0, scale=1 / 8), np.float32)
    y = np.asarray(cv2.Sobel(lightness, cv2.CV_32F, 0, 1, scale=1 / 8), np.float32)
    return x, y, np.hypot(x, y)


class _EdgeProfile:
    """Samples pictures across the luma edges of a truth: along the normal, on the ridges of the gradient."""

    def __init__(self, truth: Lab) -> None:
        x, y, size = _slope(truth)
        length = np.maximum(size, 1e-6)
        self._normal = x / length, y / length
        rows, columns = np.mgrid[: size.shape[0], : size.shape[1]].astype(np.float32)
        self._rows, self._columns = rows, columns
        self._edges = (size > _EDGE_SLOPE) & (size >= self._shifted(size, 1)) & (size >= self._shifted(size, -1))

    def _shifted(self, picture: F32, distance: float) -> F32:
        x = np.asarray(self._columns + distance * self._normal[0], np.float32)
        y = np.asarray(self._rows + distance * self._normal[1], np.float32)
        there = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(there, np.float32)

    def step_and_spill(self, lab: Lab) -> tuple[F32, F32]:
        """Return, per edge, the ab distance between its far sides, and the share of it within one side or other."""
        ab = np.ascontiguousarray(lab[..., 1:], np.float32)
        left_far, left, right, right_far = (self._shifted(ab, d)[self._edges] for d in (-_FAR, -_NEAR, _NEAR, _FAR))
        step = right_far - left_far
        square = np.maximum((step**2).sum(axis=-1), 1e-6)
        within_left = np.clip(((left - left_far) * step).sum(axis=-1) / square, 0, 1)
        within_right = np.clip(((right_far - right) * step).sum(axis=-1) / square, 0, 1)
        return np.sqrt(square), (within_left + within_right) / 2


def colour_spill(lab: Lab, truth: Lab, *, also: Lab | None = None) -> float | None:
    """Return how much colour of one side is found on the other side of luma edges, beyond the truth; 0..1.

    Measured on the ridges of the truth's luma gradient where its colour also changes by 10 units or more within 2
    pixels of the ridge. Of the result's own change, taken from 6 pixels on one side to 6 on the other, it is the share
    that happens farther than 2 pixels from the ridge: 0 for a change on the edge, 1/3 for an even ramp, 1/2 for a clean
    edge in the wrong place. Edges where the result, or the result ``also`` of the same picture, hardly changes colour
    say nothing and are left out. None if fewer than ten edges are left.
    """
    profile = _EdgeProfile(truth)
    true_step, true_spill = profile.step_and_spill(truth)
    step, spill = profile.step_and_spill(lab)
    used = (true_step >= _TRUE_STEP) & (true_spill <= _CRISP) & (step >= _OWN_STEP)
    if also is not None:
        used &= profile.step_and_spill(also)[0] >= _OWN_STEP
    if np.count_nonzero(used) < _FEWEST_EDGES:
        return None
    return float(((spill - true_spill)[used] * true_step[used]).sum() / true_step[used].sum())


def blotches(lab: Lab, truth: Lab) -> float:
    """Return the share of the picture, 0..1, in patches of colour that nothing in its luma explains.

    On a picture of 64 pixels, a patch is where colour differs from its surroundings (Gaussians of 2 and 8 pixels) by 8
    units or more towards the patch's own hue, after subtracting the truth's share of the same island (so paleness does
    not count), and where the truth's L* is flat for a pixel around. Red on a grey wall and blue on a road are patches;
    a car that is red instead of blue is a wrong colour, not a patch.
    """
    small, true_small = _reduced(lab), _reduced(truth)
    own, island = _island(small)
    _, true_island = _island(true_small)
    length = np.linalg.norm(true_island, axis=-1, keepdims=True)
    direction = true_island / np.maximum(length, 1e-6)
    explained = np.clip((island * direction).sum(axis=-1, keepdims=True), 0, length) * direction
    strength = np.linalg.norm(island - explained, axis=-1)
    # Beside a coloured object grey differs from its surroundings as well: the patch itself must have the colour.
    coloured = (own * island).sum(axis=-1) >= _BLOTCH_STRENGTH * np.linalg.norm(island, axis=-1)
    flat = cv2.dilate(_slope(true_small)[2], np.ones((3, 3), np.uint8)) < _FLAT_SLOPE
    return float(((strength >= _BLOTCH_STRENGTH) & coloured & flat).mean())


def _reduced(lab: Lab) -> F32:
    height, width = lab.shape[:2]
    scale = _BLOTCH_SIDE / min(height, width)
    return at_size(lab, round(height * scale), round(width * scale))


def _island(lab: F32) -> tuple[F32, F32]:
    """Return the colour at each position, and its difference from its surroundings; both (H, W, 2)."""
    own = cv2.GaussianBlur(lab[..., 1:], (0, 0), 2)
    return np.asarray(own, np.float32), np.asarray(own - cv2.GaussianBlur(lab[..., 1:], (0, 0), 8), np.float32)
