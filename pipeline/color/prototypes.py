"""Prototypes: a bounded number of typical places of a shot, and the colours the network finds likely there.

Places are compared by the network's features, by lightness and by position in the picture: the weight of one place for
another is exp(s (cos - 1) - dL^2 / (2 t^2) - d^2 / (2 r^2)), as in the network's own coherent decoding.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.color.spaces import F32, lightness

_SHARPNESS, _TONE, _REACH = 15.0, 25.0, 0.5
"""s, and t in L*, r in short sides of the picture."""
_MOST, _MOST_NEW = 256, 96
_ALIKE = -1.0
"""Logarithm of the weight from which a place is merged into a prototype."""
_KNOWN, _NEWS = np.float32(60), np.float32(0.3)
"""Places after which a prototype's evidence is settled, and the weight of further evidence from then on.

Otherwise colours would drift through a shot, like the mean of ever more frames.
"""


def keys(features: F32, luma: F32) -> F32:
    """Return keys to compare places by, (rows * columns, C + 3): half the squared distance is -log of the weight.

    ``features`` (rows, columns, C), of any length, are those of the model input ``luma`` (h, w), 0..1.
    """
    rows, columns, channels = features.shape
    short = min(rows, columns) * _REACH
    light = lightness(np.asarray(cv2.resize(luma, (columns, rows), interpolation=cv2.INTER_AREA), np.float32))
    found = np.empty((rows, columns, channels + 3), np.float32)
    length = np.sqrt(np.square(features).sum(axis=-1, keepdims=True))
    found[..., :channels] = features / np.maximum(length, np.float32(1e-6)) * np.float32(_SHARPNESS**0.5)
    found[..., channels] = np.arange(rows, dtype=np.float32)[:, None] / short
    found[..., channels + 1] = np.arange(columns, dtype=np.float32) / short
    found[..., channels + 2] = light / np.float32(_TONE)
    return found.reshape(rows * columns, -1)


@dataclass(frozen=True, eq=False)
class Prototypes:
    """``keys`` (P, K), mean ``evidence`` (P, Q), log-probabilities up to a constant, and ``weight`` (P,), in places."""

    keys: F32
    evidence: F32
    weight: F32

    @staticmethod
    def none(channels: int, colours: int) -> Prototypes:
        """Return an empty set with ``channels`` keys and ``colours`` log-probabilities."""
        return Prototypes(
            np.zeros((0, channels), np.float32), np.zeros((0, colours), np.float32), np.zeros(0, np.float32)
        )

    def faded(self, factor: float) -> Prototypes:
        """Return them with weights times ``factor``."""
        return Prototypes(self.keys, self.evidence, self.weight * np.float32(factor))

    def added(self, places: F32, evidence: F32) -> Prototypes:
        """Return them with places (n, K) and their evidence (n, Q) added, each with weight 1.

        A place similar to a prototype is averaged into it, its evidence with less weight once the prototype has more
        than 60 places; the others start new ones, farthest first, up to 96 at once. At most 256 are kept, the new ones
        and the heaviest.
        """
        nearest, new = self._assigned(places)
        weight = np.concatenate([self.weight, np.zeros(len(new), np.float32)])
        held_keys = np.concatenate([self.keys, places[new]])
        held_evidence = np.concatenate([self.evidence, evidence[new]])
        order = np.argsort(nearest, kind="stable")
        hit, starts, counts = np.unique(nearest[order], return_index=True, return_counts=True)
        share = (counts / (weight[hit] + counts)).astype(np.float32)[:, None]
        count = counts.astype(np.float32)[:, None]
        held_keys[hit] += (np.add.reduceat(places[order], starts) / count - held_keys[hit]) * share
        news = np.where(weight[hit] > _KNOWN, _NEWS, np.float32(1))[:, None] * share
        held_evidence[hit] += (np.add.reduceat(evidence[order], starts) / count - held_evidence[hit]) * news
        weight[hit] += count[:, 0]
        if len(weight) > _MOST:
            old = np.argsort(-weight[: len(self.weight)], kind="stable")[: _MOST - len(new)]
            kept = np.concatenate([np.sort(old), np.arange(len(self.weight), len(weight))])
            return Prototypes(held_keys[kept], held_evidence[kept], weight[kept])
        return Prototypes(held_keys, held_evidence, weight)

    def averaged_at(self, places: F32) -> tuple[F32, F32]:
        """Return sums over the prototypes for places (n, K), weighted by similarity and weight.

        These are sums of evidence (n, Q) and of weights (n, 1), near 0 for a place unlike all prototypes.
        """
        weights = self._logarithms(places)
        np.exp(weights, out=weights)
        weights *= self.weight
        return np.asarray(weights @ self.evidence, np.float32), weights.sum(axis=1, keepdims=True)

    def similarity(self, places: F32) -> float:
        """Return how well places (n, K) match, 0..1: the mean weight of each place's most similar prototype."""
        return float(np.exp(self._logarithms(places).max(axis=1)).mean()) if len(self.weight) else 0.0

    def _logarithms(self, places: F32) -> F32:
        # -|p - k|^2 / 2 is p k - |p|^2 / 2 - |k|^2 / 2: with two more columns, one product gives the sum.
        half = np.float32(-0.5)
        here = np.column_stack([places, np.square(places).sum(axis=1), np.ones(len(places), np.float32)])
        there = np.column_stack([self.keys, np.full(len(self.keys), half), np.square(self.keys).sum(axis=1) * half])
        return np.asarray(here @ there.T, np.float32)

    def _assigned(self, places: F32) -> tuple[np.ndarray, list[int]]:
        """Return each place's prototype, and the places that start new ones, numbered after the existing ones."""
        count = len(self.weight)
        if count:
            logarithms = self._logarithms(places)
            nearest = logarithms.argmax(axis=1)
            best = logarithms[np.arange(len(places)), nearest]
        else:
            nearest, best = np.zeros(len(places), np.int64), np.full(len(places), -np.inf, np.float32)
        half_squares = np.square(places).sum(axis=1) / 2
        new: list[int] = []
        while len(new) < _MOST_NEW:
            farthest = int(best.argmin())
            if best[farthest] > _ALIKE:
                break
            apart = places @ places[farthest] - half_squares - half_squares[farthest]
            nearer = apart > best
            nearest[nearer], best[nearer] = count + len(new), apart[nearer]
            new.append(farthest)
        return nearest, new
