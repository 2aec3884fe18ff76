"""Pooling of the network's evidence over a shot, before a colour is chosen for each place.

Log-probabilities are averaged, not colours: if one frame says red or brown and another brown or green, the mean says
brown, not a muddy mix. They are gathered along optical flow, from all earlier key frames of the shot and those within
the look-ahead, and from prototypes (`prototypes`): similar places anywhere in the shot or its scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from engines.adapters.base import Evidence
from engines.decoding import annealed_mean, compressed
from engines.network import Prediction
from pipeline.color.optical_flow import Path, Step
from pipeline.color.prototypes import Prototypes, keys
from pipeline.color.scene_memory import Recalled
from pipeline.color.spaces import F32
from pipeline.color.statements import Statement, stated_at

# Number of channels that OpenCV interpolates at once.
_GROUP = 128
# Weight of a key frame on a place's own track, relative to a similar place elsewhere.
_OWN = np.float32(1)
# Greatest weight of a track's evidence relative to a new key frame.
_MOST_WEIGHT = np.float32(48)
# Pooled distributions are broader and their means paler, so a shot's chroma is scaled to what it is without pooling.
# Some networks also vary their chroma with the picture: these bounds apply to both together. Places average pixels of
# different hue; the factor `_MIXED` makes up for that.
_GAINS = 0.4, 2.5
_MIXED = 1.05
_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class Gathered:
    """Weighted sums over frames for each place of a key frame: ``sums`` (groups, rows, columns, channels of a group).

    The channels are the weights themselves, log-probabilities, features, and the network's a* and b*, in groups of
    equal size of at most `_GROUP`, so that the last channels may be empty.
    """

    sums: F32

    @staticmethod
    def of(prediction: Prediction) -> Gathered:
        """Return the sums of one key frame, with weight 1 everywhere."""
        evidence = prediction.evidence
        assert evidence is not None
        assert evidence.features is not None
        logits, features = evidence.logits[0], evidence.features[0]
        ab = _resized(np.moveaxis(prediction.ab[0], 0, -1), logits.shape[1:])
        likely = np.moveaxis(logits - logits.max(axis=0), 0, -1)
        return Gathered.mean_of(
            np.concatenate([likely, np.moveaxis(features, 0, -1), ab], axis=-1), np.ones((*ab.shape[:2], 1), np.float32)
        )

    @staticmethod
    def mean_of(mean: F32, weight: F32) -> Gathered:
        """Return the sums for a given ``mean`` (rows, columns, channels) and ``weight`` (rows, columns, 1)."""
        rows, columns, channels = mean.shape
        groups = -(-(channels + 1) // _GROUP)
        width = -(-(channels + 1) // groups)
        sums = np.zeros((rows, columns, groups * width), np.float32)
        sums[..., :1] = weight
        np.multiply(mean, weight, out=sums[..., 1 : channels + 1])
        return Gathered(np.ascontiguousarray(np.moveaxis(sums.reshape(rows, columns, groups, width), 2, 0)))

    @property
    def weight(self) -> F32:
        """The sum of the weights (rows, columns, 1)."""
        return self.sums[0, ..., :1]

    def mean(self, channels: int) -> F32:
        """Return the means of log-probabilities, features and ab (rows, columns, channels)."""
        means = np.moveaxis(self.sums, 0, 2) * (1 / self.weight)[..., None]
        return np.asarray(means.reshape(*self.weight.shape[:2], -1)[..., 1 : channels + 1], np.float32)

    def carried(self, path: Path) -> Gathered:
        """Return the sums carried to another frame, from which ``path`` leads back here, multiplied by its trust."""
        return Gathered(np.stack([path.carried(group) for group in self.sums]))

    def __add__(self, other: Gathered) -> Gathered:
        return Gathered(self.sums + other.sums)

    def bounded(self) -> Gathered:
        """Return the sums with their weight limited to what new frames can still change."""
        return Gathered(self.sums * np.minimum(1, _MOST_WEIGHT / self.weight))


@dataclass(frozen=True, eq=False)
class Key:
    """A key frame: its own evidence, all evidence so far, and the same for detail finer than the evidence's grid.

    ``luma`` is the model input; ``step`` leads here from the previous key frame, ``fine_step`` on the chroma grid.
    """

    luma: F32
    own: Gathered
    so_far: Gathered
    step: Step | None
    fine: Gathered
    fine_so_far: Gathered
    fine_step: Step | None


class EvidencePool:
    """Collects the evidence of one shot, from every frame's step and every key frame, given in order."""

    def __init__(self, first: Evidence, recalled: Recalled | None, *, saturation: np.float32 | float = 1.0) -> None:
        """Begin a shot, from its ``recalled`` scene if any; ``first`` gives the number of colours.

        ``saturation`` multiplies the chroma. ``statements`` are those that apply to the shot; more may be added.
        """
        assert first.features is not None
        self._colours, self._features = first.logits.shape[1], first.features.shape[1]
        # What all evidence of a network shares; its arrays are not kept.
        self._evidence = replace(first, logits=first.logits[..., :0], features=None)
        self.prototypes = Prototypes.none(self._features + 3, self._colours)
        self.statements: list[Statement] = []
        self._saturation = np.float32(saturation)
        self.gain: float | None = None
        self.so_far: Gathered | None = None
        self.fine_so_far: Gathered | None = None
        self._track: Step | None = None
        if recalled is not None:
            scene = recalled.scene
            self.prototypes, self.gain = scene.prototypes.faded(recalled.fading), scene.gain
            if recalled.step is not None:
                fading = np.float32(recalled.fading)
                self.so_far = Gathered.mean_of(scene.evidence, scene.weight * fading)
                self.fine_so_far = Gathered.mean_of(scene.fine, scene.fine_weight * fading)

    def follow(self, step: Step) -> None:
        """Extend the track along ``step`` to the next frame."""
        track = self._track
        self._track = (
            step
            if track is None
            else Step(past=step.past.followed_by(track.past), future=track.future.followed_by(step.future))
        )

    def forget_prototypes(self) -> None:
        """Drop all prototypes: a dissolve has led into another scene."""
        self.prototypes = Prototypes.none(self._features + 3, self._colours)

    def add(self, prediction: Prediction, luma: F32, *, is_blend: bool) -> Key:
        """Add the prediction for the current frame; ``luma`` (h, w) is its model input."""
        assert prediction.evidence is not None
        own = Gathered.of(prediction)
        fine = _detail(prediction.ab[0], own.weight.shape)
        step, track = None, self._track
        so_far, fine_so_far = own, fine
        if track is not None and self.so_far is not None and self.fine_so_far is not None:
            rows, columns = own.weight.shape[:2]
            step = Step(track.past.on_grid(rows, columns), track.future.on_grid(rows, columns))
            so_far = own + self.so_far.carried(step.past)
            fine_so_far = fine + self.fine_so_far.carried(track.past)
        self._track, self.so_far, self.fine_so_far = None, so_far.bounded(), fine_so_far.bounded()
        if not is_blend:
            evidence, places = self._split(self.so_far, luma)
            self.prototypes = self.prototypes.added(places, evidence)
        return Key(luma, own, self.so_far, step, fine, self.fine_so_far, track)

    def pooled(self, waiting: Sequence[Key], count: int) -> list[F32]:
        """Return ab (2, h, w) of the first ``count`` key frames in the look-ahead, oldest first."""
        behind = _behind([key.own for key in waiting], [key.step for key in waiting], count)
        fine = _behind([key.fine for key in waiting], [key.fine_step for key in waiting], count)
        return [
            self._decoded(key, _joined(key.so_far, later), _joined(key.fine_so_far, fine_later).mean(2))
            for key, later, fine_later in zip(waiting, behind, fine, strict=False)
        ]

    def _split(self, gathered: Gathered, luma: F32) -> tuple[F32, F32]:
        """Return the log-probabilities (n, Q) and the keys of all places."""
        mean = gathered.mean(self._colours + self._features)
        return mean[..., : self._colours].reshape(-1, self._colours), keys(mean[..., self._colours :], luma)

    def left(self) -> F32:
        """Return the means of all evidence at the last key frame (rows, columns, channels), for the scene memory."""
        assert self.so_far is not None
        return self.so_far.mean(self._colours + self._features + 2)

    def _decoded(self, key: Key, gathered: Gathered, fine: F32) -> F32:
        """Return ab (2, h, w): the colours of ``gathered`` plus the finer detail ``fine`` (h, w, 2)."""
        evidence, places = self._split(gathered, key.luma)
        if len(self.prototypes.weight):
            sums, weight = self.prototypes.averaged_at(places)
            own = gathered.weight.reshape(-1, 1) * _OWN
            evidence = np.asarray(evidence * (own / (weight + own)) + sums * (1 / (weight + own)), np.float32)
        coarse = self._chosen(evidence).reshape(*key.own.weight.shape[:2], 2)
        if self.gain is None:
            self.gain = self._gain(coarse, gathered)
        coarse = compressed(coarse * np.float32(self.gain), self._evidence.knee)
        ab = (_resized(coarse, fine.shape) + fine) * self._saturation
        if self.statements:
            stated, share = (part.reshape(*coarse.shape[:2], -1) for part in stated_at(self.statements, places))
            ab = ab + (_resized(stated, ab.shape) - ab) * _resized(share, ab.shape)[..., None]
        return np.ascontiguousarray(np.moveaxis(ab, -1, 0), np.float32)

    def _chosen(self, logits: F32) -> F32:
        """Return the colours (n, 2) for log-probabilities (n, Q), as a network does, but for a factor and the knee."""
        centres, temperature = self._evidence.centres, self._evidence.temperature
        assert temperature is not None
        return annealed_mean(logits, centres, temperature=temperature) * np.float32(self._evidence.saturation)

    def _gain(self, pooled: F32, gathered: Gathered) -> float:
        """Return the factor that gives ``pooled``, of the shot's first frame, the chroma of the mean ab.

        With a knee, the factor is a fixed point, as compressed chroma grows more slowly than the factor.
        """
        channels = self._colours + self._features
        given = np.square(gathered.mean(channels + 2)[..., channels:]).mean()
        gain = 1.0
        for _ in range(1 if self._evidence.knee is None else _ROUNDS):
            kept = np.square(compressed(pooled * np.float32(gain), self._evidence.knee)).mean()
            if not (given > 0 and kept > 0):
                return 1.0
            gain = float(np.clip(gain * np.sqrt(given / kept), *_GAINS))
        return float(np.clip(_MIXED * gain, *_GAINS))


def can_pool(prediction: Prediction) -> bool:
    """Tell whether a network gives enough: a distribution, how it becomes a colour, and features."""
    evidence = prediction.evidence
    return evidence is not None and evidence.features is not None and evidence.temperature is not None


def _detail(ab: F32, shape: tuple[int, ...]) -> Gathered:
    """Return the detail of ``ab`` (2, h, w) finer than a grid of ``shape`` (rows, columns, ...)."""
    planes = np.ascontiguousarray(np.moveaxis(ab, 0, -1))
    own = _resized(_resized(planes, shape), planes.shape)
    return Gathered.mean_of(planes - own, np.ones((*planes.shape[:2], 1), np.float32))


def _behind(own: Sequence[Gathered], steps: Sequence[Step | None], count: int) -> list[Gathered | None]:
    """Return the sums of later frames for each of the first ``count``; ``steps`` lead to each from the one before."""
    later: list[Gathered | None] = [None]
    for current, step in zip(reversed(own[1:]), reversed(steps[1:]), strict=True):
        known = _joined(current, later[-1])
        later.append(None if step is None else known.carried(step.future))
    return later[::-1][:count]


def _joined(first: Gathered, second: Gathered | None) -> Gathered:
    return first if second is None else first + second


def _resized(planes: F32, shape: tuple[int, ...]) -> F32:
    """Resize planes (h, w, 2): by area averaging if they shrink, linearly if they grow."""
    kind = cv2.INTER_AREA if shape[0] < planes.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(planes, (shape[1], shape[0]), interpolation=kind), np.float32)
