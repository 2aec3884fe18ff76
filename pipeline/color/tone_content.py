"""Whether chroma is that of the things shown: what the network expects of them, compared with what a scan has.

A toned print has one colour for its light parts and one for its dark ones; that it is what the network would give to
just these things is rare. Faded colour follows what the network expects, if paler, once the tint is taken from both.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from engines.adapters.base import Evidence
from engines.network import Prediction
from pipeline.color.spaces import F32, Matrix, ab_of_rgb, rgb_of

Bools = npt.NDArray[np.bool_]

FIGURES = (
    "correlation of the chroma that the tints of both leave over",
    "correlation of the tints",
    "distance between the mean colours, CIELAB",
    "likelihood of the scan's colours, over that of the likeliest: mean logarithm",
)
_KNOTS = 8
_KEPT = 0.8  # share of the places that a tint follows: the others may be stains, or a coloured object
_FITS = 3
_OUTLIER = 0.9  # quantile of the size of chroma to which larger ones are reduced
_LEAST_PLACES = 40
_COVERED = 0.5  # share of a place of the network's that must be shown
_NEAR = 10.0  # CIELAB units, standard deviation: colours about as near are one to the network
_UNLIKELY = 1e-4


def content_figures(luma: F32, chroma: F32, shown: Bools, said: Prediction) -> npt.NDArray[np.float64] | None:
    """Return `FIGURES`, float64 (4,); None where too little is shown, or where the network gives no distributions.

    ``luma`` (h, w), 0..1, ``chroma`` (h, w, 2), Cb and Cr, and ``shown`` (h, w) are of some 128 pixels a side; ``said``
    is of the same picture, turned alike, at any size.
    """
    evidence = said.evidence
    if evidence is None:
        return None
    grid = said.ab.shape[3], said.ab.shape[2]
    places = _resized(shown.astype(np.float32), grid) > _COVERED
    told = evidence.logits.shape[3], evidence.logits.shape[2]
    told_places = _resized(shown.astype(np.float32), told) > _COVERED
    if places.sum() < _LEAST_PLACES or told_places.sum() < _LEAST_PLACES:
        return None
    rgb = rgb_of(luma, np.moveaxis(chroma, -1, 0), Matrix.BT601)
    colours = np.moveaxis(ab_of_rgb(rgb), 0, -1)
    found, expected = _resized(colours, grid)[places], np.moveaxis(said.ab[0], 0, -1)[places]
    terms = _terms(_resized(luma, grid), places)
    tint, expected_tint = _robust_fit(terms, found), terms @ _solved(terms, expected)
    return np.array(
        [
            _correlation(_bounded(found - tint), _bounded(expected - expected_tint)),
            _correlation(tint - tint.mean(axis=0), expected_tint - expected_tint.mean(axis=0)),
            np.linalg.norm(found.mean(axis=0) - expected.mean(axis=0)),
            _likelihood(_resized(colours, told)[told_places], evidence, told_places),
        ],
        np.float64,
    )


def _terms(luma: F32, places: Bools) -> F32:
    """Return what a tint is made of (n, 13): a curve over luma, and a slow change over the picture."""
    y, x = np.mgrid[-1 : 1 : luma.shape[0] * 1j, -1 : 1 : luma.shape[1] * 1j].astype(np.float32)[:, places]
    curve = np.maximum(0, 1 - np.abs(luma[places][:, None] * (_KNOTS - 1) - np.arange(_KNOTS)))
    return np.concatenate([curve, np.stack([x, y, x * y, x * x, y * y], axis=1)], axis=1).astype(np.float32)


def _robust_fit(terms: F32, wanted: F32) -> F32:
    fit = terms @ _solved(terms, wanted)
    for _ in range(_FITS - 1):
        apart = np.linalg.norm(wanted - fit, axis=1)
        kept = apart <= np.quantile(apart, _KEPT)
        fit = terms @ _solved(terms[kept], wanted[kept])
    return fit


def _solved(terms: F32, wanted: F32) -> F32:
    ridge = 1e-3 * len(terms) / terms.shape[1] * np.eye(terms.shape[1])
    return np.linalg.solve(terms.T @ terms + ridge, terms.T @ wanted).astype(np.float32)


def _bounded(colours: F32) -> F32:
    size = np.linalg.norm(colours, axis=1, keepdims=True)
    most = np.quantile(size, _OUTLIER)
    return np.asarray(colours * np.minimum(1, most / np.maximum(size, 1e-6)), np.float32)


def _correlation(first: F32, second: F32) -> float:
    return float((first * second).sum() / (np.linalg.norm(first) * np.linalg.norm(second) + 1e-6))


def _likelihood(colours: F32, evidence: Evidence, places: Bools) -> float:
    """Return the mean logarithm of how likely ``colours`` (n, 2) are, over how likely the likeliest are there."""
    logits = evidence.logits[0][:, places].T
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    likeliest = (shares @ _nearness(evidence.centres, evidence.centres)).max(axis=1)
    found = (shares * _nearness(colours, evidence.centres)).sum(axis=1)
    return float((np.log(found + _UNLIKELY) - np.log(likeliest + _UNLIKELY)).mean())


def _nearness(colours: F32, centres: F32) -> F32:
    squares = np.square(colours[:, None] - centres).sum(axis=2)
    return np.asarray(np.exp(squares * np.float32(-0.5 / _NEAR**2)), np.float32)


def _resized(plane: F32, size: tuple[int, int]) -> F32:
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)
