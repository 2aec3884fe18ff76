"""Coherence in time: the network's predictions are filtered along optical flow within each shot, never across a cut."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Generic

import numpy as np

from pipeline.color.frame_record import Link, Record
from pipeline.color.keyframes import KeyFrames
from pipeline.color.model_input import ModelInput
from pipeline.color.neutral_areas import neutral_weight
from pipeline.color.optical_flow import Follower, Step, View, view
from pipeline.color.spaces import F32
from pipeline.color.temporal_filter import FADING, FADING_SPARSE, Anchor, Estimate, from_behind, joined
from pipeline.options import Options
from pipeline.results import Treatment

logger = logging.getLogger(__name__)

Predict = Callable[[Sequence[ModelInput]], list[F32]]

LOOK_AHEAD = 8
_BATCH = 4
# Bytes of frames that may wait for those after them. Heavy frames see less far ahead.
_WEIGHT = 192 << 20
_BLEND_BELIEF = 0.3


def predict_chroma(frames: Iterable[Record], predict: Predict, options: Options, *, stride: int) -> Iterator[Record]:
    """Set ``ab`` of every frame that is to be coloured: `smoothed`, times saturation, none in neutral areas.

    The others pass with their own chroma.
    """
    for treatment, run in groupby(frames, key=lambda frame: frame.treatment):
        if treatment is not Treatment.COLOUR_IT:
            yield from run
            continue
        for frame in smoothed(run, predict, stride=stride, every=options.every):
            assert frame.ab is not None
            weight = neutral_weight(frame.model_input.luma, frame.ab.shape[1:])
            frame.ab = frame.ab * (weight * np.float32(options.saturation))
            yield frame


def smoothed(
    frames: Iterable[Record],
    predict: Predict,
    *,
    stride: int,
    every: int | None = 1,
    look_ahead: int = LOOK_AHEAD,
    weight: int = _WEIGHT,
) -> Iterator[Record]:
    """Set ``ab`` of every frame, filtered along the motion within each shot.

    ``predict`` gives the network's ab (2, h / stride, w / stride) for model inputs; it is called for every frame
    (``every`` 1), each N-th, or those that automatic choice finds necessary (None), and always before and after a cut.
    What a shot becomes depends on that shot alone, so a run that resumes at a cut gives the same bits. A change of
    shape counts as a cut.

    Reads some ``look_ahead`` + 4 frames ahead (``every`` + 4 if that is more), fewer where frames weigh more than
    ``weight`` bytes together.
    """
    frames = iter(frames)
    first = next(frames, None)
    while first is not None:
        shot = _Shot(first, frames)
        run = _Pass[Record](predict, stride=stride, every=every)
        most = _BATCH + max(1, min(max(look_ahead, every or 0), weight // max(first.weight, 1) - _BATCH))
        waiting: list[Record] = []
        of_shot = iter(shot)
        while batch := list(islice(of_shot, _BATCH)):
            run.predict(batch)
            waiting += (frame for frame, _ in batch)
            if len(waiting) >= most:
                done = len(waiting) - most + _BATCH
                yield from run.settled(waiting, done)
                del waiting[:done]
        yield from run.settled(waiting, len(waiting))
        logger.debug("a shot ends after %d frames, %d of them key frames", run.frames, run.keys)
        first = shot.following


class _Shot(Generic[Record]):
    """The frames from ``first`` on up to a cut, each with whether it is the last of them.

    Afterwards ``following`` is the first frame of the next shot, if there is one.
    """

    def __init__(self, first: Record, others: Iterator[Record]) -> None:
        self._first = first
        self._others = others
        self.following: Record | None = None

    def __iter__(self) -> Iterator[tuple[Record, bool]]:
        held = self._first
        for frame in self._others:
            if frame.link is Link.CUT or frame.model_input.luma.shape != held.model_input.luma.shape:
                self.following = frame
                break
            yield held, False
            held = frame
        yield held, True


class _Pass(Generic[Record]):
    """One shot on its way from model inputs to chroma."""

    def __init__(self, predict: Predict, *, stride: int, every: int | None) -> None:
        self._predict = predict
        self._follower = Follower()
        self._stride = stride
        self._fading = FADING if every == 1 else FADING_SPARSE
        self._keys = KeyFrames(every)
        self._anchor = Anchor()
        self._seen: View | None = None
        self._before: Estimate | None = None
        self.frames = self.keys = 0

    def predict(self, batch: list[tuple[Record, bool]]) -> None:
        """Set the flow to the next frames of the shot, the network's prediction of key frames, and their estimates."""
        keys = []
        for frame, last in batch:
            frame.step = self._step(frame)
            if self._keys.asks(frame.step, last=last, blending=frame.link is Link.BLEND):
                keys.append(frame)
        self.frames += len(batch)
        self.keys += len(keys)
        for frame, ab in zip(keys, self._predict([frame.model_input for frame in keys]) if keys else (), strict=True):
            frame.prediction = Estimate.answered(ab)
        for frame, _ in batch:
            earlier = None
            if self._before is not None and frame.step is not None:
                earlier = self._before.carried(frame.step.past, self._fading)
            known = joined(frame.prediction, earlier)
            assert known is not None, "the first frame of a shot is always a key frame"
            frame.estimate = self._before = known

    def settled(self, waiting: list[Record], count: int) -> Iterator[Record]:
        """Yield the first ``count`` of the waiting frames with their final chroma."""
        steps = [frame.step for frame in waiting[1:] if frame.step is not None]
        later = from_behind([frame.prediction for frame in waiting], steps, self._fading) if waiting else []
        for frame, behind in islice(zip(waiting, later, strict=True), count):
            chroma = self._anchor.hold(frame.estimate.joined(behind).chroma, frame.step)
            frame.ab = np.ascontiguousarray(chroma.transpose(2, 0, 1))
            yield frame

    def _step(self, frame: Record) -> Step | None:
        before, self._seen = self._seen, view(frame.model_input.luma, stride=self._stride)
        if before is None:
            return None
        belief = _BLEND_BELIEF if frame.link is Link.BLEND else 1.0
        return self._follower.step(before, self._seen, belief=belief)
