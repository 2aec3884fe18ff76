"""Measures of a coloured picture against the truth: numbers in float64, on pictures of uint8 RGB, shape (H, W, 3).

`docs/evaluation.md` lists which of them are reported and how a set's number is computed from its pictures'; detectors
for particular faults are in `training.detectors`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.cielab_numpy import F64, U8

AUC_LIMIT = 150

_CELL = 10
_CELLS = 23
_RAREST_CELL = 1e-4
_TIE = 1e-3


def psnr(picture: U8, truth: U8) -> float:
    """Return the peak signal-to-noise ratio over all samples in dB; infinite for equal pictures.

    The difference is computed in float64: in uint8 its square wraps, which flatters poor pictures by many dB.
    """
    error = float(np.mean((picture.astype(np.float64) - truth) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ciede2000(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> F64:
    """Return the CIEDE2000 colour difference of CIELAB arrays (..., 3), shape (...), with all weights 1.

    ISO/CIE 11664-6; implemented after Sharma, Wu, Dalal: The CIEDE2000 color-difference formula: implementation notes,
    supplementary test data, and mathematical observations (2005), whose 34 pairs are in the tests.
    """
    l1, a1, b1 = np.moveaxis(np.asarray(first, np.float64), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(second, np.float64), -1, 0)
    stretch = 1.5 - 0.5 * _chroma_ratio((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2)
    c1, c2 = np.hypot(stretch * a1, b1), np.hypot(stretch * a2, b2)
    h1 = np.degrees(np.arctan2(b1, stretch * a1)) % 360
    h2 = np.degrees(np.arctan2(b2, stretch * a2)) % 360

    grey = c1 * c2 == 0
    turn = h2 - h1
    turn = np.where(grey, 0, turn - 360 * (turn > 180) + 360 * (turn < -180))
    hue_sum = h1 + h2
    wrapped = np.where(hue_sum < 360, hue_sum + 360, hue_sum - 360)
    hue = np.where(grey, hue_sum, np.where(np.abs(h1 - h2) > 180, wrapped, hue_sum) / 2)

    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = 1 - 0.17 * _cos(hue - 30) + 0.24 * _cos(2 * hue) + 0.32 * _cos(3 * hue + 6) - 0.20 * _cos(4 * hue - 63)
    off_middle = (lightness - 50) ** 2
    dl = (l2 - l1) / (1 + 0.015 * off_middle / np.sqrt(20 + off_middle))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * t)
    rotation = -2 * _chroma_ratio(chroma) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    return np.asarray(np.sqrt(np.maximum(dl**2 + dc**2 + dh**2 + rotation * dc * dh, 0)), np.float64)


def _chroma_ratio(chroma: F64) -> F64:
    seventh = chroma**7
    return np.asarray(np.sqrt(seventh / (seventh + 25.0**7)), np.float64)


def _cos(degrees: F64) -> F64:
    return np.asarray(np.cos(np.radians(degrees)), np.float64)


def colourfulness(picture: U8) -> float:
    """Return the colourfulness CF of a picture: 0 for grey, about 40 for an ordinary photograph.

    Hasler, Süsstrunk: Measuring colourfulness in natural images (2003), metric M3, on sRGB code values.
    """
    red, green, blue = np.moveaxis(picture.astype(np.float64), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


def error_credit(lab: F64, truth: F64) -> F64:
    """Return each pixel's part of the AuC, 0..1, for CIELAB (..., 3): 1 where ab is right to less than one unit.

    The AuC of Zhang, Isola, Efros (Colorful Image Colorization, 2016) is the mean, over the thresholds 0, 1, ... 150,
    of the share of pixels whose ab distance is at most the threshold. Distances count in whole units, rounded down. The
    mean of this function over the pixels is the same number.
    """
    distance = np.floor(np.hypot(lab[..., 1] - truth[..., 1], lab[..., 2] - truth[..., 2]))
    return np.asarray(np.clip(1 - distance / (AUC_LIMIT + 1), 0, 1), np.float64)


class RebalancedAuc:
    """The AuC with every colour of the truth counting equally, accumulated over pictures.

    Zhang 2016 weight each pixel by one over the frequency of its true colour. Here frequencies are those of the
    measured set, in cells of 10 x 10 ab units; cells under a ten-thousandth of the set's pixels are left out, since a
    handful of pixels would weigh as much as all the sky. What remains is the mean of the cells' own AuC.
    """

    def __init__(self) -> None:
        self._pixels = np.zeros(_CELLS**2)
        self._credit = np.zeros(_CELLS**2)

    def add(self, credit: F64, truth: F64) -> None:
        """Add a picture: the credit of its pixels (H, W) from `error_credit` and their true CIELAB (H, W, 3)."""
        place = np.rint(truth[..., 1:] / _CELL).astype(np.int64) + _CELLS // 2
        cell = (place[..., 0] * _CELLS + place[..., 1]).ravel()
        self._pixels += np.bincount(cell, minlength=_CELLS**2)
        self._credit += np.bincount(cell, weights=credit.ravel(), minlength=_CELLS**2)

    def value(self) -> float:
        """Return the rebalanced AuC, 0..1, of everything added."""
        seen = self._pixels > _RAREST_CELL * self._pixels.sum()
        return float((self._credit[seen] / self._pixels[seen]).mean())


def argmax_agreement(lab: F64, truth: F64) -> float:
    """Return the share of pixels, 0..1, where the larger of a* and b* is the same in both CIELAB arrays (..., 3).

    Keras reports this as "accuracy" for a two-channel regression. Where a* and b* are equal (in grey) neither is
    larger: a pixel that is so in only one array counts one half, and a grey picture scores like a coin toss.
    """
    ours, theirs = _larger(lab), _larger(truth)
    agreement = np.where((ours == 0) != (theirs == 0), 0.5, ours == theirs)
    return float(agreement.mean())


def _larger(lab: F64) -> F64:
    difference = lab[..., 1] - lab[..., 2]
    return np.where(np.abs(difference) < _TIE, 0, np.sign(difference))
