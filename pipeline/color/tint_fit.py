"""Deviation of a picture's chroma from a single tint: the figures by which `pipeline.color.tone` judges.

In a toned picture, chroma is a function of luma: a sepia print has one colour for its shadows and one for its light
parts, whatever they show. Two such curves are fitted. The free one adds a slow change over the picture (yellowed
paper, a light leak); the strict one only lets the tint fade from place to place. Their residuals, mean and greatest,
the colours' distance from one line, and the tint itself distinguish tinted from coloured pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.color.spaces import F32

Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

LEAST_PIXELS = 100  # needed for a fit
LUMA_KNOTS = 6
_KEPT = 0.8  # share of the pixels used in a fit: the others may be stains, postmarks, writing or a coloured object
_FITS = 3
_FINE, _BROAD = 3, 7  # pixels over which residuals are averaged: marks are small, the blocks of a codec are as large
_FLOOR = 0.002  # of chroma: half an 8-bit code, below which differences do not count
_FADING = 0.6  # at most, at the edges, as a share of the tint
_NO_TINT = 0.015  # chroma below which a pixel has no hue
_OTHER_HUE = 0.5  # cosine of 60 degrees


@dataclass(frozen=True, eq=False)
class TintFit:
    """Result of the fits: ``tint`` (n, 2), the free fit, and ``left_over`` (n,), of n pixels shown, and the figures.

    ``left_over`` is the length of the free fit's residual chroma, in units of Cb and Cr, averaged over 3 x 3 pixels.
    ``noise`` is the part without structure. ``curve`` (6, 2) is the tint by luma alone, at 0, 0.2 ... 1. ``figures``
    are those of `FIGURES`, float64.
    """

    tint: F32
    left_over: F32
    noise: float
    curve: F32
    figures: npt.NDArray[np.float64]


# All but the hues are natural logarithms of chroma in units of Cb and Cr, so that ratios count.
FIGURES = (
    "left over by the free fit, over 7 x 7 pixels: median",
    "the same: quantile 0.75",
    "the same: quantile 0.95",
    "the same: quantile 0.99",
    "left over without structure: median",
    "left over by the strict fit, over 7 x 7 pixels: quantile 0.75",
    "the same: quantile 0.95",
    "root mean square of the free fit",
    "mean Cb",
    "mean Cr",
    "root mean square of the strict fit, across its main direction",
    "standard deviation of chroma, along its main direction",
    "the same, across it",
    "share of the picture that has another hue than its mean",
    "tint of light parts",
    "tint of dark parts",
    "standard deviation of luma",
    "left over by the free fit, over 3 x 3 pixels: quantile 0.97",
    "Cb of light parts",
    "Cr of light parts",
    "Cb of middle parts",
    "Cr of middle parts",
)


def fitted(luma: F32, chroma: F32, shown: Bools) -> TintFit:
    """Fit ``chroma`` (h, w, 2) by ``luma`` (h, w) where ``shown``, at least `LEAST_PIXELS` pixels."""
    height, width = shown.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)[:, shown]
    place = np.stack([x, y, x * y, x * x, y * y], axis=1)
    levels = np.clip(luma[shown], 0, 1)
    by_luma = np.maximum(0, 1 - np.abs(levels[:, None] * (LUMA_KNOTS - 1) - np.arange(LUMA_KNOTS))).astype(np.float32)
    left = _LeftOver(chroma, shown)
    if left.chroma.any():
        free = _free_fit(by_luma, place, left)
        strict, curve = _strict_fit(by_luma, place, left)
    else:
        # Grey in a format with chroma, as in most black-and-white films: the result of fitting zeros.
        free = strict = np.zeros_like(left.chroma)
        curve = np.zeros((LUMA_KNOTS, 2), np.float32)
    fine, broad, rough = left.by(free)
    strict_broad = broad if strict is free else left.by(strict)[1]
    figures = _figures(levels, left, free, strict, curve, (fine, broad, rough, strict_broad))
    return TintFit(free, fine, float(np.median(rough)), curve, figures)


def tint_of(luma: F32, curve: F32) -> F32:
    """Return the tint (h, w, 2) for ``luma`` (h, w), 0..1, by the ``curve`` of a `TintFit`."""
    knots = np.linspace(0, 1, LUMA_KNOTS)
    return np.stack([np.interp(luma, knots, curve[:, plane]) for plane in range(2)], axis=-1).astype(np.float32)


class _LeftOver:
    """Residuals of fits to the chroma (n, 2) of the pixels shown."""

    def __init__(self, chroma: F32, shown: Bools) -> None:
        self.chroma: F32 = chroma[shown]
        self._shape, self._places = shown.shape, np.flatnonzero(shown)
        self._coverage = {size: _box(shown.astype(np.float32), size)[shown] for size in (_FINE, _BROAD)}

    def by(self, fit: F32) -> tuple[F32, F32, F32]:
        """Return its size (n,): averaged over few pixels, over many, and the remainder."""
        residual = self.chroma - fit
        broad = self.averaged(residual, _BROAD)
        fine = self.averaged(residual, _FINE)
        fine, broad_size, rough = (np.linalg.norm(part, axis=1) for part in (fine, broad, residual - broad))
        return fine, broad_size, rough

    def averaged(self, values: F32, size: int) -> F32:
        """Return the mean (n, 2) of ``values`` (n, 2) around each pixel, over those shown."""
        plane = np.zeros((self._shape[0] * self._shape[1], 2), np.float32)
        plane[self._places] = values
        around = _box(plane.reshape(*self._shape, 2), size).reshape(-1, 2)
        return np.asarray(around[self._places] / self._coverage[size][:, None])

    def trusted(self, fit: F32) -> Places:
        """Return the numbers of the pixels with the smallest residuals of ``fit``."""
        fine = np.linalg.norm(self.averaged(self.chroma - fit, _FINE), axis=1)
        return np.flatnonzero(fine <= np.quantile(fine, _KEPT))


def _free_fit(by_luma: F32, place: F32, left: _LeftOver) -> F32:
    terms = np.concatenate([by_luma, place], axis=1)
    fit = terms @ _solved(terms, left.chroma)
    for _ in range(_FITS - 1):
        trusted = left.trusted(fit)
        fit = terms @ _solved(terms[trusted], left.chroma[trusted])
    return fit


def _strict_fit(by_luma: F32, place: F32, left: _LeftOver) -> tuple[F32, F32]:
    """Return the fit and the tint (knots, 2) at the knots of luma."""
    trusted = np.arange(len(by_luma))
    for _ in range(_FITS):
        curve = _solved(by_luma[trusted], left.chroma[trusted])
        tint = by_luma @ curve
        fading = tint[:, :, None] * place[:, None, :]
        some = fading[trusted].reshape(-1, place.shape[1])
        ridge = 1e-5 * len(some) * np.eye(place.shape[1])
        rest = (left.chroma - tint)[trusted].reshape(-1)
        fit = tint + fading @ np.clip(np.linalg.solve(some.T @ some + ridge, some.T @ rest), -_FADING, _FADING)
        fit = fit.astype(np.float32)
        trusted = left.trusted(fit)
    return fit, curve


def _solved(terms: F32, wanted: F32) -> F32:
    ridge = 1e-3 * len(terms) / terms.shape[1] * np.eye(terms.shape[1])
    return np.linalg.solve(terms.T @ terms + ridge, terms.T @ wanted).astype(np.float32)


def _figures(
    levels: F32, left: _LeftOver, free: F32, strict: F32, curve: F32, sizes: tuple[F32, F32, F32, F32]
) -> npt.NDArray[np.float64]:
    fine, broad, rough, strict_broad = sizes
    mean = left.chroma.mean(axis=0)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(left.chroma.T)), 0))
    across = np.linalg.svd(strict, compute_uv=False)[1] / np.sqrt(len(strict))
    smooth = left.averaged(left.chroma, _FINE)
    length = np.linalg.norm(smooth, axis=1)
    along = smooth @ (mean / (np.linalg.norm(mean) + 1e-6))
    other_hue = ((along < _OTHER_HUE * length) & (length > _NO_TINT)).mean()
    light, middle, dark = curve[4], curve[2], curve[1]
    chromas = [
        *np.quantile(broad, (0.5, 0.75, 0.95, 0.99)),
        np.median(rough),
        *np.quantile(strict_broad, (0.75, 0.95)),
        np.sqrt(np.square(free).sum(axis=1).mean()),
        across,
        *spread[::-1],
        np.linalg.norm(light),
        np.linalg.norm(dark),
        np.quantile(fine, 0.97),
    ]
    logs = np.log(np.asarray(chromas, np.float64) + _FLOOR)
    return np.array(
        [
            *logs[:8],
            *mean,
            *logs[8:11],
            np.log(other_hue + 0.01),
            *logs[11:13],
            np.log(levels.std() + 0.02),
            logs[13],
            *light,
            *middle,
        ],
        np.float64,
    )


def _box(plane: F32, size: int) -> F32:
    return np.asarray(cv2.blur(plane, (size, size), borderType=cv2.BORDER_CONSTANT), np.float32)
