"""Coherence in time: predictions are pooled and filtered along optical flow within each shot, never across a cut.

Scenes are remembered (`scene_memory`), so that a scene that returns gets the colours it had before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby, islice, pairwise
from typing import Generic

import numpy as np

from engines.network import Prediction
from pipeline.color.frame_record import FrameRecord, Link, Record
from pipeline.color.hints import ColorHint
from pipeline.color.key_frame_predictions import BATCH, BLOCK, KeyFramePredictions, PredictionSettings
from pipeline.color.model_input import ModelInput
from pipeline.color.neutral_areas import neutral_weight
from pipeline.color.scene_memory import Scene, SceneMemory
from pipeline.color.spaces import F32
from pipeline.color.statements import Statement, carried, hints_in
from pipeline.color.temporal_filter import FADING, FADING_SPARSE, Anchor, Estimate, from_behind, joined
from pipeline.results import Treatment

logger = logging.getLogger(__name__)

# How many later frames the filter uses, and how many the evidence of a key frame uses.
_LOOK_AHEAD = 8
_EVIDENCE_AHEAD = 48
# Limit in bytes on the frames held back for look-ahead; large frames get a shorter look-ahead.
_WEIGHT = 192 << 20
# When a scene continues, its last estimate outweighs new predictions by this factor at first, and hardly after two
# seconds. The power limits this to places where the flow is fully trusted, so that nothing remains of what has moved
# since.
_HELD, _HELD_POWER = 1000.0, 3


def predict_chroma(
    frames: Iterable[Record], settings: PredictionSettings, *, memory: SceneMemory | None = None
) -> Iterator[Record]:
    """Set ``ab`` of every frame to be coloured: `smoothed`, zero in neutral areas, with its statements applied.

    Other frames pass with their own chroma. ``memory`` holds the shots before the first of ``frames``.
    """
    scenes = Scenes(memory)
    for treatment, run in groupby(frames, key=lambda frame: frame.treatment):
        if not treatment.is_new:
            yield from run
            continue
        for frame in smoothed(run, settings, scenes=scenes):
            frame.ab = _as_stated(frame)
            yield frame


def _as_stated(frame: FrameRecord) -> F32:
    """Return the chroma of a frame, set to zero in neutral areas, with its statements applied."""
    assert frame.ab is not None
    ab = frame.ab * neutral_weight(frame.model_input.luma, frame.ab.shape[1:])
    for one in frame.statements:
        ab = one.applied(ab)
    return ab


def predict_alone(
    seen: ModelInput, prediction: Prediction, settings: PredictionSettings, *, stated: Sequence[Statement] = ()
) -> F32:
    """Return the chroma ab (2, h, w) of a film of one frame for which the network gives ``prediction``.

    ``stated`` are the statements about this frame. The network of ``settings`` is not run.
    """
    record = FrameRecord(index=0, model_input=seen, statements=tuple(stated))
    record.link, record.treatment = Link.CUT, Treatment.COLOURED
    (made,) = predict_chroma([record], replace(settings, predict=lambda _: [prediction]))
    assert made.ab is not None
    return made.ab


class Scenes:
    """The current memory of scenes, handed from one shot to the next."""

    def __init__(self, memory: SceneMemory | None = None) -> None:
        """Start from ``memory``, or from an empty one."""
        self.memory = memory or SceneMemory()


def smoothed(
    frames: Iterable[Record], settings: PredictionSettings, *, scenes: Scenes | None = None
) -> Iterator[Record]:
    """Set ``ab`` of every frame, pooled and filtered along the motion within each shot.

    The result for a shot depends only on that shot and the memory in ``scenes``, so a run that resumes at a cut with
    that memory gives the same bits. If the network gives evidence, every shot updates ``scenes``. A change of shape
    counts as a cut.

    Reads some 12 frames ahead (``every`` + 4 if that is more), and 56 more if the network gives evidence; fewer if the
    frames exceed 192 MiB together.
    """
    scenes = scenes or Scenes()
    shot: _Shot[Record] | None = None
    for frame, following in pairwise(chain(frames, (None,))):
        assert frame is not None
        if shot is None:
            room = _WEIGHT // max(frame.weight, 1) - BATCH
            ahead = max(1, min(max(_LOOK_AHEAD, settings.every or 0), room))
            evidence_ahead = max(0, min(_EVIDENCE_AHEAD, room - ahead - BLOCK))
            predictions = KeyFramePredictions[Record](settings, look_ahead=evidence_ahead, memory=scenes.memory)
            shot = _Shot(predictions, FADING if settings.every == 1 else FADING_SPARSE, ahead=ahead)
        is_last = following is None or following.link is Link.CUT or _shape(following) != _shape(frame)
        yield from shot.push(frame, last=is_last)
        if is_last:
            scenes.memory = shot.remembered(scenes.memory)
            shot = None


def _shape(frame: FrameRecord) -> tuple[int, ...]:
    return frame.model_input.luma.shape


class _Shot(Generic[Record]):
    """Turns one shot's model inputs into the chroma of all its frames, from ``predictions`` for its key frames."""

    def __init__(self, predictions: KeyFramePredictions[Record], fading: float, *, ahead: int) -> None:
        self._predictions = predictions
        self._fading = fading
        self._ahead = ahead
        self._anchor = Anchor()
        self._before: Estimate | None = None
        self._held: F32 | None = None
        self._last = 0
        self._hints: tuple[ColorHint, ...] = ()
        self._waiting: list[Record] = []

    def push(self, frame: Record, *, last: bool) -> list[Record]:
        """Take the next frame, ``last`` if it ends the shot; return finished frames, in order, with final chroma.

        Up to ``ahead`` + 4 finished frames wait.
        """
        ready: list[Record] = []
        finished = iter(self._predictions.push(frame, last=last))
        while batch := list(islice(finished, BATCH)):
            for one in batch:
                self._estimate(one)
                self._waiting.append(one)
                self._hold_hints()
            if len(self._waiting) >= self._ahead + BATCH:
                ready += self._settled(len(self._waiting) - self._ahead)
        return ready + self._settled(len(self._waiting)) if last else ready

    def _recall(self) -> None:
        """Start from the remembered scene, if there is one."""
        if (recalled := self._predictions.recalled) is not None and recalled.step is not None:
            scene = recalled.scene
            self._before, self._anchor = scene.estimate, Anchor(scene.anchor)
            self._held = 1 + recalled.step.past.trust**_HELD_POWER * np.float32(_HELD * recalled.fading)

    def remembered(self, memory: SceneMemory) -> SceneMemory:
        """Return ``memory`` with this shot added, once all its frames have passed."""
        predictions = self._predictions
        logger.debug(
            "a shot ends after %d frames, %d of them key frames%s",
            predictions.count,
            predictions.predicted,
            "" if predictions.recalled is None else "; its scene was known",
        )
        pool, seen = predictions.pool, predictions.seen
        if pool is None or pool.so_far is None or pool.fine_so_far is None or pool.gain is None:
            return memory
        assert seen is not None
        assert self._before is not None
        assert self._anchor.sum is not None
        scene = Scene(
            frame=self._last,
            gain=pool.gain,
            view=seen,
            evidence=pool.left(),
            # Copies, so that the memory does not keep all the sums alive.
            weight=pool.so_far.weight.copy(),
            fine=pool.fine_so_far.mean(2),
            fine_weight=pool.fine_so_far.weight.copy(),
            estimate=self._before,
            anchor=self._anchor.sum,
            prototypes=pool.prototypes,
        )
        return memory.filed(scene, replacing=predictions.recalled)

    def _estimate(self, frame: Record) -> None:
        if self._before is None:
            self._recall()
        earlier = None
        if self._before is not None and frame.step is not None:
            earlier = self._before.carried(frame.step.past, self._fading)
            if self._held is not None:
                earlier, self._held = Estimate(earlier.chroma, earlier.weight * self._held), None
        known = joined(frame.prediction, earlier)
        assert known is not None, "the first frame of a shot is always a key frame"
        frame.estimate = self._before = known
        self._last = frame.index

    def _hold_hints(self) -> None:
        """Carry hints to the latest frame from the one before it, and its own to the frames that wait before it."""
        frame = self._waiting[-1]
        own = hints_in(frame.statements)
        frame.hints = own
        if frame.step is not None:
            frame.hints += carried(self._hints, frame.step.future)
        self._hints = frame.hints
        for later, earlier in pairwise(reversed(self._waiting)):
            if not own:
                break
            assert later.step is not None
            own = carried(own, later.step.past)
            earlier.hints += own

    def _settled(self, count: int) -> list[Record]:
        """Remove and return the first ``count`` waiting frames, with their final chroma."""
        steps = [frame.step for frame in self._waiting[1:] if frame.step is not None]
        later = from_behind([frame.prediction for frame in self._waiting], steps, self._fading)
        ready = self._waiting[:count]
        for frame, behind in zip(ready, later, strict=False):
            chroma = self._anchor.hold(frame.estimate.joined(behind).chroma, frame.step)
            frame.ab = np.ascontiguousarray(chroma.transpose(2, 0, 1))
        del self._waiting[:count]
        return ready
