"""Figures on whether a picture has the colours that the network expects: it may have one hue and be no print.

Smoke, the sea and a sunset have one hue, as toned prints have. But the network expects that hue there, and expects
others of what is shown in most prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from engines.adapters.base import Evidence
from engines.network import NetworkSpec
from pipeline.color.colorizer import Colorizer
from pipeline.color.model_input import ModelInput, Turn
from pipeline.color.spaces import F32, Matrix, ab_of_rgb, rgb_of
from pipeline.color.tone_expectation_table import WEIGHTS_SHA256

Bools = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]

Expects = Callable[[F32], Evidence]
"""The network's distributions over colours, for luma (h, w), 0..1, in the orientation of that luma."""

FIGURES = (
    *(f"probability of the colours shown, over what is usual there: logarithm, {at} %" for at in (10, 50, 90)),
    "the same of the tint's colours, median",
    *(f"probability of the colours shown, over that of the tint's: logarithm, {at} %" for at in (10, 50, 90)),
    "the same, weighted by the chroma beside the tint",
    "entropy of the expected colours, mean",
    "correlation of chroma that luma does not explain with that expected",
    "correlation of chroma with that expected",
    "cosine of the angle between the tint and the mean expected colour",
    "chroma of the mean expected colour",
    "chroma beside the tint, mean: logarithm",
    "expected chroma that luma does not explain, mean: logarithm",
    "distance of the tint from the mean expected colour",
)
_UPRIGHT = Turn()
_SHORT = 128  # shorter side of the picture that the network sees
_SHOWN = 0.6  # share of a place that must be shown
_LEAST_PLACES = 12
_SPREAD = 5.0  # of a colour over the network's, which are 10 units of a* and b* apart
_QUANTILES = (0.1, 0.5, 0.9)
_LEAST_SHARE = 1e-6


def is_trusted(spec: NetworkSpec) -> bool:
    """Return whether `pipeline.color.tone_expectation_table` was fitted with this network."""
    return spec.weights_sha256 == WEIGHTS_SHA256


def expectation(colorizer: Colorizer, turn: Turn = _UPRIGHT) -> Expects:
    """Return the expectation of a network that has evidence, for pictures that are shown upright after ``turn``."""
    size = colorizer.spec.size

    def expects(luma: F32) -> Evidence:
        upright = turn.upright(luma)
        rows, columns = size.shape(_SHORT, width=upright.shape[1], height=upright.shape[0])
        enlarged = cv2.resize(upright, (columns, rows), interpolation=cv2.INTER_LINEAR)
        evidence = colorizer.examine(ModelInput(np.asarray(enlarged, np.float32))).evidence
        assert evidence is not None
        return replace(evidence, logits=turn.stored(evidence.logits))

    return expects


def expectation_figures(expected: Evidence, luma: F32, chroma: F32, tint: F32, shown: Bools) -> F64 | None:
    """Return `FIGURES` of a picture, float64 (16,); None if it shows too little.

    ``luma`` (h, w), 0..1; ``chroma`` and its ``tint`` (h, w, 2), in units of Cb and Cr; ``shown`` (h, w). ``expected``
    is the network's evidence on the picture, a batch of one.
    """
    shares = _shares(expected.logits[0])
    grid = shares.shape[1:]
    places = _reduced(shown.astype(np.float32), grid) > _SHOWN
    if places.sum() < _LEAST_PLACES:
        return None
    light = _reduced(luma, grid)[places].astype(np.float64)
    colours, tints = (_ab(luma, planes, grid)[:, places] for planes in (chroma, tint))
    share = shares[:, places]
    entropy = -(share * np.log(np.maximum(share, _LEAST_SHARE))).sum(axis=0)
    centres = expected.centres.astype(np.float64)
    typical, tint_typical = (_log_share(ab, share, centres) + entropy for ab in (colours, tints))
    gain = typical - tint_typical
    beside = np.linalg.norm(colours - tints, axis=0)
    mean = centres.T @ share
    unexplained = _beyond(mean, light)
    tone, expected_tone = tints.mean(axis=1), mean.mean(axis=1)
    lengths = np.linalg.norm(tone) * np.linalg.norm(expected_tone)
    return np.array(
        [
            *np.quantile(typical, _QUANTILES),
            np.median(tint_typical),
            *np.quantile(gain, _QUANTILES),
            (gain * beside).sum() / (beside.sum() + 1e-3),
            entropy.mean(),
            _correlation(_beyond(colours, light), unexplained),
            _correlation(colours, mean),
            tone @ expected_tone / (lengths + 1),
            np.linalg.norm(expected_tone),
            np.log(beside.mean() + 0.1),
            np.log(np.linalg.norm(unexplained, axis=0).mean() + 0.1),
            np.linalg.norm(tone - expected_tone),
        ]
    )


def _shares(logits: F32) -> F64:
    """Return the probabilities (Q, h, w)."""
    shares = np.exp((logits - logits.max(axis=0)).astype(np.float64))
    return np.asarray(shares / shares.sum(axis=0))


def _log_share(ab: F64, share: F64, centres: F64) -> F64:
    """Return the logarithm of the probability of the colours ``ab`` (2, n) under ``share`` (Q, n)."""
    apart = np.square(ab[:, None] - centres.T[:, :, None]).sum(axis=0)
    near = np.exp((apart.min(axis=0) - apart) / (2 * _SPREAD**2))
    return np.asarray(np.log((near * share).sum(axis=0) / near.sum(axis=0) + _LEAST_SHARE))


def _beyond(ab: F64, light: F64) -> F64:
    """Return what a curve over luma leaves of ``ab`` (2, n)."""
    terms = np.stack([np.ones_like(light), light, light**2, np.maximum(light - 0.5, 0)], axis=1)
    weights, *_ = np.linalg.lstsq(terms, ab.T, rcond=None)
    return np.asarray(ab - (terms @ weights).T)


def _correlation(first: F64, second: F64) -> float:
    first, second = (one - one.mean(axis=1, keepdims=True) for one in (first, second))
    return float((first * second).sum() / np.sqrt(np.square(first).sum() * np.square(second).sum() + 1e-3))


def _ab(luma: F32, chroma: F32, grid: tuple[int, ...]) -> F64:
    """Return a* and b* (2, h, w) on the network's ``grid``."""
    ab = ab_of_rgb(rgb_of(luma, np.moveaxis(chroma, -1, 0), Matrix.BT601))
    return np.stack([_reduced(plane, grid) for plane in ab]).astype(np.float64)


def _reduced(plane: F32, grid: tuple[int, ...]) -> F32:
    size = grid[1], grid[0]
    return np.asarray(cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_AREA), np.float32)
