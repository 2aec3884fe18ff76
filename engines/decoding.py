"""Interpret a distribution over colours: how confident it is, and which colours are likely."""

from __future__ import annotations

import numpy as np

from engines.tensors import F32

_REACH = 20.0
"""Colours closer than this, in CIELAB units of a* and b*, are one choice to a person."""
_SIGMA = 10.0
KNEE_SLOPE = 0.4
"""Slope of the chroma above a knee."""


def confidence(logits: F32) -> F32:
    """Return a network's confidence in its colour (N, 1, h, w), 0..1: one minus the entropy over its maximum.

    ``logits`` (N, Q, h, w): their softmax over axis 1 gives the probabilities of Q colours.
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    shares = np.exp(shifted)
    total = shares.sum(axis=1, keepdims=True)
    entropy = np.log(total) - (shares * shifted).sum(axis=1, keepdims=True) / total
    return np.asarray(np.clip(1 - entropy / np.log(logits.shape[1]), 0, 1), np.float32)


def annealed_mean(logits: F32, centres: F32, *, temperature: float) -> F32:
    """Return a* and b* (..., 2) of distributions over colours, ``logits`` (..., Q) over ``centres`` (Q, 2).

    This is the annealed mean of Zhang et al. 2016, equation 5: a ``temperature`` below 1 favours the likeliest colours.
    """
    shares = np.exp((logits - logits.max(axis=-1, keepdims=True)) / np.float32(temperature))
    return np.asarray(shares @ centres / shares.sum(axis=-1, keepdims=True), np.float32)


def compressed(ab: F32, knee: float | None) -> F32:
    """Return a* and b* (..., 2) with the excess of chroma over ``knee``, CIELAB units, multiplied by `KNEE_SLOPE`.

    Hues are unchanged. A saturation that suits the rest is too much where a network is most confident, above all for
    faces in hard light. None: ``ab`` unchanged.
    """
    if knee is None:
        return ab
    chroma = np.linalg.norm(ab, axis=-1, keepdims=True)
    excess = np.maximum(chroma - np.float32(knee), 0)
    factor = 1 - np.float32(1 - KNEE_SLOPE) * excess / np.maximum(chroma, np.float32(knee))
    return np.asarray(ab * factor, np.float32)


def likely_colours(logits: F32, centres: F32, *, count: int = 3) -> tuple[F32, F32]:
    """Return the ``count`` likeliest colours at every position, distinct from each other, and their probabilities.

    ``logits`` (N, Q, h, w) as for `confidence`, ``centres`` (Q, 2) the a* and b* they refer to. Colours are a* and b*
    (N, count, 2, h, w), CIELAB, likeliest first; shares (N, count, h, w), 0..1, sum to 1 at most. A colour is a mode:
    the largest probability, smoothed over 10 units, among the bins not taken by earlier modes. It takes the bins within
    20 units, is their mean and has their share. Where a distribution is exhausted, the share is 0 and the colour is the
    first one. Raises `ValueError` for inconsistent shapes.
    """
    if logits.ndim != 4 or centres.shape != (logits.shape[1], 2) or count < 1:
        raise ValueError(f"logits {logits.shape} and centres {centres.shape} do not give {count} colours a place")
    pictures, bins, height, width = logits.shape
    rows = logits.transpose(0, 2, 3, 1).reshape(-1, bins)
    left = np.exp(rows - rows.max(axis=1, keepdims=True))
    left /= left.sum(axis=1, keepdims=True)
    distances = np.linalg.norm(centres[:, None] - centres, axis=2)
    kernel = np.exp(-(distances**2) / (2 * _SIGMA**2)).astype(np.float32)
    near = distances < _REACH
    colours: list[F32] = []
    shares: list[F32] = []
    for _ in range(count):
        mode = (left @ kernel * (left > 0)).argmax(axis=1)
        taken = left * near[mode]
        share = taken.sum(axis=1)
        mean = taken @ centres / np.maximum(share, np.finfo(np.float32).tiny)[:, None]
        colours.append(np.asarray(np.where(share[:, None] > 0, mean, colours[0] if colours else mean), np.float32))
        shares.append(share)
        left = left - taken
    stacked = np.stack(colours).reshape(count, pictures, height, width, 2).transpose(1, 0, 4, 2, 3)
    likely = np.stack(shares).reshape(count, pictures, height, width).transpose(1, 0, 2, 3)
    return np.ascontiguousarray(stacked, np.float32), np.ascontiguousarray(likely, np.float32)
