"""Key frames of a shot: their choice, and their predictions, pooled; others get their chroma by optical flow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np

from engines.network import Prediction
from pipeline.color.evidence_pooling import EvidencePool, Key, can_pool
from pipeline.color.frame_record import Link, Record
from pipeline.color.model_input import ModelInput
from pipeline.color.optical_flow import Follower, Step, View, view
from pipeline.color.prototypes import keys
from pipeline.color.scene_memory import Recalled, SceneMemory
from pipeline.color.spaces import F32
from pipeline.color.statements import Statement
from pipeline.color.temporal_filter import Estimate

Predict = Callable[[Sequence[ModelInput]], list[Prediction]]
"""The network: returns a prediction for each model input, as batches of one."""


@dataclass(frozen=True, kw_only=True)
class PredictionSettings:
    """Settings for predicting a film's chroma, shared by all its shots.

    ``predict`` is the network, whose chroma is ``stride`` times smaller than its input. It is run on every frame
    (``every`` 1), on each N-th, or on those that are found necessary (None), and always before and after a cut.
    ``saturation`` multiplies its chroma, but not that of ``statements``, which are those about the whole film.
    """

    predict: Predict
    stride: int
    every: int | None = 1
    statements: Sequence[Statement] = ()
    saturation: float = 1.0


BATCH = 4
BLOCK = 8
"""Number of frames that leave the look-ahead together, so that later frames are gathered once for all of them."""
_BLEND_BELIEF = 0.3
# Automatic choice: run the network again when less than this part of the last prediction can still be followed, or
# after so many frames.
_FOLLOWED = 0.75
_LONGEST = 8
# With a fixed distance: run it in between only if next to nothing is left to carry.
_LOST = 0.2


class KeyFrames:
    """Decides frame by frame, from the start of a shot; ``every`` is a distance in frames, or None for automatic."""

    def __init__(self, every: int | None) -> None:
        self._distance = every or _LONGEST
        self._least = _FOLLOWED if every is None else _LOST
        self._since = 0
        # How much of the last prediction is left, per chroma pixel; None: all of it.
        self._followed: F32 | None = None

    def is_next(self, step: Step | None, *, last: bool = False, blending: bool = False) -> bool:
        """Tell whether the next frame, to which ``step`` leads (None: the first), is a key frame.

        The first and the ``last`` frame of a shot always are, so that all others lie between two predictions, and so
        are frames inside a dissolve (``blending``).
        """
        self._since += 1
        is_key = step is None or last or blending or self._since >= self._distance
        if not is_key and step is not None:
            path = step.past
            self._followed = path.trust if self._followed is None else path.carried(self._followed)
            is_key = float(self._followed.mean()) < self._least
        if is_key:
            self._since, self._followed = 0, None
        return is_key


class KeyFramePredictions(Generic[Record]):
    """Turns one shot's model inputs into the network's pooled chroma of its key frames.

    If a network gives no evidence, its chroma is used without pooling.
    """

    def __init__(self, settings: PredictionSettings, *, look_ahead: int, memory: SceneMemory) -> None:
        """Begin a shot; ``memory`` holds the earlier scenes.

        With evidence, ``look_ahead`` frames and a few more are seen before one is finished.
        """
        self._settings = settings
        self._saturation = np.float32(settings.saturation)
        self._follower = Follower()
        self._keys = KeyFrames(settings.every)
        self._memory = memory
        self._look_ahead = look_ahead
        self._batch: list[tuple[Record, bool]] = []
        self._unsettled: list[Record] = []
        self._unpooled: list[tuple[Record, Key]] = []
        self._was_blend = False
        self.count = self.predicted = 0
        self.seen: View | None = None
        self.pool: EvidencePool | None = None
        self.recalled: Recalled | None = None

    def push(self, frame: Record, *, last: bool) -> list[Record]:
        """Take the next frame of the shot, ``last`` if it ends the shot; return finished frames, in order.

        Sets their ``step``, and ``prediction`` of key frames. Up to ``look_ahead`` + 12 frames wait; without evidence,
        none waits longer than its batch.
        """
        self._batch.append((frame, last))
        if len(self._batch) < BATCH and not last:
            return []
        self._predict(self._batch)
        self._unsettled += (frame for frame, _ in self._batch)
        self._batch.clear()
        if self.pool is None:
            ready, self._unsettled = self._unsettled, []
            return ready
        ready = self._settled(self.pool, BLOCK) if len(self._unsettled) >= self._look_ahead + BLOCK else []
        return ready + self._settled(self.pool, len(self._unsettled)) if last else ready

    def _predict(self, batch: list[tuple[Record, bool]]) -> None:
        """Set the flow, run the network on key frames, and add its predictions to the pool."""
        key_frames = []
        for frame, last in batch:
            frame.step = self._step(frame)
            must = last or bool(frame.statements)
            if self._keys.is_next(frame.step, last=must, blending=frame.link is Link.BLEND):
                key_frames.append(frame)
        self.count, self.predicted = self.count + len(batch), self.predicted + len(key_frames)
        predictions = iter(self._settings.predict([frame.model_input for frame in key_frames]) if key_frames else ())
        are_keys = {frame.index for frame in key_frames}
        for frame, _ in batch:
            prediction = next(predictions) if frame.index in are_keys else None
            if prediction is not None and frame.step is None and can_pool(prediction):
                self._begin(frame, prediction)
            if self.pool is not None:
                self._pool(self.pool, frame, prediction)
            elif prediction is not None:
                frame.prediction = _estimate(frame, prediction.ab[0] * self._saturation)

    def _begin(self, frame: Record, prediction: Prediction) -> None:
        """Begin the pool of a shot, starting from its remembered scene, if any."""
        evidence, luma = prediction.evidence, frame.model_input.luma
        assert evidence is not None
        assert evidence.features is not None
        places = keys(evidence.features[0].transpose(1, 2, 0), luma)
        seen = view(luma, stride=self._settings.stride)
        self.recalled = self._memory.recall(seen, places, frame=frame.index, follower=self._follower)
        self.pool = EvidencePool(evidence, self.recalled, saturation=self._saturation)
        self.pool.statements += (one for one in self._settings.statements if one.is_of(seen, places, self._follower))
        if self.recalled is not None:
            frame.step = self.recalled.step

    def _pool(self, pool: EvidencePool, frame: Record, prediction: Prediction | None) -> None:
        is_blend = frame.link is Link.BLEND
        if self._was_blend and not is_blend:
            pool.forget_prototypes()
        self._was_blend = is_blend
        if frame.step is not None:
            pool.follow(frame.step)
        pool.statements += (one for one in frame.statements if one not in pool.statements)
        if prediction is not None:
            self._unpooled.append((frame, pool.add(prediction, frame.model_input.luma, is_blend=is_blend)))

    def _settled(self, pool: EvidencePool, count: int) -> list[Record]:
        """Set the prediction of the key frames among the first ``count`` waiting frames, and return these frames."""
        ready = self._unsettled[:count]
        del self._unsettled[:count]
        if ready:
            number = sum(frame.index <= ready[-1].index for frame, _ in self._unpooled)
            pooled = pool.pooled([key for _, key in self._unpooled], number)
            for (frame, _), ab in zip(self._unpooled, pooled, strict=False):
                frame.prediction = _estimate(frame, ab)
            del self._unpooled[:number]
        return ready

    def _step(self, frame: Record) -> Step | None:
        before, self.seen = self.seen, view(frame.model_input.luma, stride=self._settings.stride)
        if before is None:
            return None
        belief = _BLEND_BELIEF if frame.link is Link.BLEND else 1.0
        return self._follower.step(before, self.seen, belief=belief)


def _estimate(frame: Record, ab: F32) -> Estimate:
    """Return the estimate for a key frame: the network's chroma ``ab`` (2, h, w), with its statements applied."""
    weight = None
    for one in frame.statements:
        ab = one.applied(ab)
        weight = one.weight() if weight is None else np.maximum(weight, one.weight())
    return Estimate.of(ab, weight)
