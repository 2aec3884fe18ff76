"""Merge the predictions of several networks: where their errors differ, the mean has a smaller one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from engines.adapters.base import HINT_DIVISOR, Evidence
from engines.network import Network, NetworkSpec, Prediction
from engines.tensors import F32, InputSize

_MULTIPLE, _STRIDE = 32, 4


class MergedNetwork:
    """A `Network` made of several: each sees the lightness at its own size, and their ab is averaged.

    A network that provides a confidence is weighted by it at every position; one that does not is weighted like the
    average of the others over the picture. Evidence is that of the first network that provides any. Hints are taken
    only if all members take them, since otherwise some of the colours would ignore them.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        """Take ownership of ``members``, two or more."""
        self._members = tuple(members)
        specs = [member.spec for member in members]
        self._spec = NetworkSpec(
            model="+".join(spec.model for spec in specs),
            weights_sha256=joint_sha256([spec.weights_sha256 for spec in specs]),
            fingerprint=joint_sha256([spec.fingerprint for spec in specs]),
            licence="; ".join(f"{spec.model}: {spec.licence}" for spec in specs),
            contract="+".join(spec.contract for spec in specs),
            network=_all(spec.network for spec in specs),
            is_ours=all(spec.is_ours for spec in specs),
            engine=_all(spec.engine for spec in specs),
            runtime=_all(spec.runtime for spec in specs),
            device=_all(spec.device for spec in specs),
            precision=_all(spec.precision for spec in specs),
            size=InputSize(
                multiple=_MULTIPLE,
                film=max(spec.size.film for spec in specs),
                photo=max(spec.size.photo for spec in specs),
            ),
            stride=_STRIDE,
            max_batch=max(spec.max_batch for spec in specs),
            takes_hints=all(spec.takes_hints for spec in specs),
        )

    @property
    def spec(self) -> NetworkSpec:
        """What it takes, and what it is."""
        return self._spec

    def predict(self, lightness: F32, hints: F32 | None = None) -> Prediction:
        """Return the merged chroma of a batch, see `engines.network.Network`."""
        found = [self._predict(member, lightness, hints) for member in self._members]
        weights = _weights([one.confidence for one in found])
        ab, total = np.zeros_like(found[0].ab), np.zeros_like(found[0].ab[:, :1])
        for weight, one in zip(weights, found, strict=True):
            ab += weight * one.ab
            total += weight
        evidence = next((one.evidence for one in found if one.evidence is not None), None)
        return Prediction(np.ascontiguousarray(ab / total, np.float32), evidence)

    def close(self) -> None:
        """Release all engines."""
        for member in self._members:
            member.close()

    def _predict(self, member: Network, lightness: F32, hints: F32 | None) -> _MemberPrediction:
        """Return a member's chroma on the common grid, and its evidence on its own."""
        rows, columns = lightness.shape[2:]
        wanted, ours = member.spec.size, self._spec.size
        short = wanted.film if min(rows, columns) <= ours.rounded(ours.film) else wanted.photo
        height, width = wanted.shape(short, width=columns, height=rows)
        seen = resized(lightness, height, width)
        seen_hints = None if hints is None else _nearest(hints, height // HINT_DIVISOR, width // HINT_DIVISOR)
        size = member.spec.max_batch
        parts = [
            member.predict(seen[at : at + size], None if seen_hints is None else seen_hints[at : at + size])
            for at in range(0, len(seen), size)
        ]
        grid = rows // _STRIDE, columns // _STRIDE
        evidence = _joined([part.evidence for part in parts])
        return _MemberPrediction(
            ab=resized(np.concatenate([part.ab for part in parts]), *grid),
            confidence=None if evidence is None else resized(evidence.confidence(), *grid),
            evidence=evidence,
        )


@dataclass(frozen=True, eq=False)
class _MemberPrediction:
    ab: F32
    confidence: F32 | None
    evidence: Evidence | None


def joint_sha256(members: Sequence[str]) -> str:
    """Return one SHA-256 for those of several networks, in order; for a single one, its own."""
    if len(members) == 1:
        return members[0]
    return hashlib.sha256("+".join(members).encode()).hexdigest()


def resized(planes: F32, height: int, width: int) -> F32:
    """Resize planes (N, C, H, W): averaged if they shrink, linearly interpolated if they grow."""
    if planes.shape[2:] == (height, width):
        return planes
    kind = cv2.INTER_AREA if height <= planes.shape[2] and width <= planes.shape[3] else cv2.INTER_LINEAR
    return _each(planes, height, width, kind)


def _nearest(planes: F32, height: int, width: int) -> F32:
    return _each(planes, height, width, cv2.INTER_NEAREST)


def _each(planes: F32, height: int, width: int, kind: int) -> F32:
    count, channels = planes.shape[:2]
    made = np.empty((count, channels, height, width), np.float32)
    for number in range(count):
        for channel in range(channels):
            made[number, channel] = cv2.resize(planes[number, channel], (width, height), interpolation=kind)
    return made


def _weights(confidences: Sequence[F32 | None]) -> list[F32]:
    """Return the weights (N, 1, h, w) of the members' colours; those without a confidence get the mean."""
    known = [one for one in confidences if one is not None]
    if not known:
        return [np.ones((1, 1, 1, 1), np.float32) for _ in confidences]
    usual = np.mean(known, axis=0).mean(axis=(2, 3), keepdims=True)
    # If no member provides one, all weights are equal.
    return [np.maximum(usual if one is None else one, np.float32(1e-3)) for one in confidences]


def _joined(parts: Sequence[Evidence | None]) -> Evidence | None:
    known = [part for part in parts if part is not None]
    if not known:
        return None
    features = [part.features for part in known if part.features is not None]
    return Evidence(
        logits=np.concatenate([part.logits for part in known]),
        centres=known[0].centres,
        features=np.concatenate(features) if features else None,
    )


def _all(values: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(values))
