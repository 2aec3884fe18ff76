"""The loss of a generator, term by term; `ColourLoss` adds them up as configured.

Every function takes batches of ab, (N, 2, H, W) in CIELAB units, and returns a mean that does not depend on their size.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from training.architectures.blocks import AB_REACH
from training.cielab_torch import rgb_to_lab
from training.config import LossConfig
from training.quantization import GRID, AbBins

_HUES = 12
_HUE_SHARPNESS = 4.0
_LEAST_CHROMA = 1e-3


def distances(found: Tensor, truth: Tensor, kind: Literal["l1", "l2", "huber"], *, unit: float = AB_REACH) -> Tensor:
    """Return each pixel's distance (N, H, W), the mean over the channels.

    L1 and L2 (the square) in units of ``unit``, by default 110, in which ab lies within +-1; Huber in units of the
    bins' grid of 10, so that it is quadratic up to 10 and linear beyond (Huber 1964).
    """
    if kind == "huber":
        return F.smooth_l1_loss(found / GRID, truth / GRID, reduction="none").mean(dim=1)
    error = (found - truth) / unit
    return (error.abs() if kind == "l1" else error.square()).mean(dim=1)


def soft_cross_entropy(logits: Tensor, numbers: Tensor, shares: Tensor) -> Tensor:
    """Return each pixel's cross-entropy (N, H, W) of logits (N, Q, H, W) with soft labels (N, K, H, W).

    Zhang 2016, equation 2, without its weights.
    """
    return -(F.log_softmax(logits, dim=1).gather(1, numbers) * shares).sum(dim=1)


def mean_drift(found: Tensor, truth: Tensor) -> Tensor:
    """Return the distance of the batch's mean ab from the truth's, in units of 10: a cast over everything."""
    return (found - truth).mean(dim=(0, 2, 3)).square().sum().add(1e-12).sqrt() / GRID


def hue_distance(found: Tensor, truth: Tensor) -> Tensor:
    """Return how much of the batch's colour lies in hues where the truth has less, 0..1.

    The total variation distance of two histograms over 12 soft hues, weighted by chroma; amounts of colour cancel.
    """
    return (_hues(found) - _hues(truth)).abs().sum() / 2


def _hues(ab: Tensor) -> Tensor:
    chroma = _chroma(ab)
    angles = torch.arange(_HUES, device=ab.device) * (2 * math.pi / _HUES)
    directions = torch.stack([angles.cos(), angles.sin()], dim=1).to(ab)
    cosines = torch.einsum("kc,nchw->nkhw", directions, ab / chroma)
    shares = F.softmax(_HUE_SHARPNESS * cosines, dim=1) * chroma
    totals = shares.sum(dim=(0, 2, 3))
    return totals / totals.sum()


def paleness(found: Tensor, truth: Tensor) -> Tensor:
    """Return the difference between the batch's mean chroma and the truth's, in units of 10."""
    return (_chroma(found).mean() - _chroma(truth).mean()).abs() / GRID


def _chroma(ab: Tensor) -> Tensor:
    # The square root has no finite slope at 0.
    return ab.square().sum(dim=1, keepdim=True).add(_LEAST_CHROMA**2).sqrt()


def patch_loss(logits: Tensor, *, real: bool, objective: Literal["vanilla", "least-squares"]) -> Tensor:
    """Return the loss of a discriminator that outputs ``logits`` for pictures that are all ``real``, or all not.

    Vanilla: cross-entropy (Goodfellow et al. 2014); least squares: distance from 1 or 0 (Mao et al. 2017).
    """
    target = torch.full_like(logits, float(real))
    if objective == "vanilla":
        return F.binary_cross_entropy_with_logits(logits, target)
    return F.mse_loss(logits, target)


class ColourLoss:
    """The loss of an output against true ab, in its weighted parts."""

    def __init__(self, config: LossConfig, bins: AbBins, weights: Tensor | None, *, classifies: bool) -> None:
        """Set up the loss; ``weights`` (Q,) emphasise the rare among ``bins``, None: all count equally.

        ``classifies``: outputs are logits over the bins, not ab.
        """
        self._config, self._bins, self._weights, self._classifies = config, bins, weights, classifies

    def __call__(
        self, output: Tensor, truth: Tensor, picture: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return the terms by name, whose sum is the loss, and the ab of the output.

        ``truth`` is ab; ``picture``, true sRGB (N, 3, H, W), 0..1, is for an sRGB output, and for no other: its
        regression is that of the three channels.

        In classification rare colours are weighted in the cross-entropy (Zhang 2016, equation 2), in pure regression in
        the distance: an error counts more where the true colour is rare.
        """
        config = self._config
        if picture is not None:
            found = rgb_to_lab(output)[:, 1:]
        else:
            found = self._bins.decode(output, config.annealing) if self._classifies else output
        terms = {}
        if self._classifies:
            terms["classification"] = config.classification * self.entropy(output, truth)
        if config.regression and picture is not None:
            assert config.distance is not None
            error = distances(output, picture, config.distance, unit=1.0)
            terms["regression"] = config.regression * error.mean()
        elif config.regression:
            assert config.distance is not None
            error = distances(found, truth, config.distance, unit=config.unit)
            # Labels for every pixel of a full-size output are expensive: only where they are needed.
            if not self._classifies and self._weights is not None:
                error = self._weighed(error, *self._bins.soft_labels(truth))
            terms["regression"] = config.regression * error.mean()
        if config.drift:
            terms["drift"] = config.drift * mean_drift(found, truth)
        if config.hue:
            terms["hue"] = config.hue * hue_distance(found, truth)
        if config.paleness:
            terms["paleness"] = config.paleness * paleness(found, truth)
        return terms, found

    def entropy(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits (N, Q, H, W) with true ab (N, 2, H, W), rare colours weighted."""
        labels = self._bins.soft_labels(truth)
        return self._weighed(soft_cross_entropy(logits, *labels), *labels).mean()

    def _weighed(self, error: Tensor, numbers: Tensor, shares: Tensor) -> Tensor:
        if self._weights is None:
            return error
        if self._config.rebalance_by == "nearest":
            return error * self._weights[numbers.gather(1, shares.argmax(dim=1, keepdim=True))[:, 0]]
        return error * (self._weights[numbers] * shares).sum(dim=1)
