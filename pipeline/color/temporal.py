"""The door to colour that stays still: frames in, in order, each with chroma that agrees with its neighbours'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import numpy as np

from pipeline.color.batching import Coloured
from pipeline.color.keyframes import KeyFrames
from pipeline.color.model_input import ModelInput
from pipeline.color.optical_flow import Follower, Step, View, view
from pipeline.color.shots import Link, Placed
from pipeline.color.spaces import F32
from pipeline.color.temporal_filter import FADING, FADING_SPARSE, Anchor, Estimate, from_behind, joined

T = TypeVar("T")
Ask = Callable[[list[ModelInput[T]]], list[F32]]

LOOK_AHEAD = 8
_BATCH = 4
# Bytes of frames that may wait for those after them. Heavy frames see less far ahead.
_WEIGHT = 192 << 20
_BLEND_BELIEF = 0.3


def steadied(
    placed: Iterable[Placed[T]],
    ask: Ask[T],
    *,
    stride: int,
    every: int | None = 1,
    look_ahead: int = LOOK_AHEAD,
    weight: int = _WEIGHT,
) -> Iterator[Coloured[T]]:
    """Colour frames in order, smoothed along the motion within each shot, never across a cut.

    ``ask`` gives the network's ab (2, h / stride, w / stride) for model inputs of one shape; it is called for every
    frame (``every`` 1), each N-th, or those that automatic choice finds necessary (None), and always before and after a
    cut. What a shot becomes depends on that shot alone, so a run that resumes at a cut gives the same bits. A change of
    shape counts as a cut.

    Reads some ``look_ahead`` + 4 frames ahead (``every`` + 4 if that is more), fewer where their items weigh more than
    ``weight`` bytes together.
    """
    frames = iter(placed)
    first = next(frames, None)
    while first is not None:
        shot: _Shot[T] = _Shot(first, frames)
        run = _Pass(ask, stride=stride, every=every)
        most = _BATCH + max(1, min(max(look_ahead, every or 0), weight // max(first.model_input.weight, 1) - _BATCH))
        waiting: list[_Frame[T]] = []
        of_shot = iter(shot)
        while batch := list(islice(of_shot, _BATCH)):
            waiting += run.answered(batch)
            if len(waiting) >= most:
                done = len(waiting) - most + _BATCH
                yield from run.settled(waiting, done)
                del waiting[:done]
        yield from run.settled(waiting, len(waiting))
        first = shot.following


class _Shot(Generic[T]):
    """The frames from ``first`` on up to a cut, each with whether it is the last of them.

    Afterwards ``following`` is the first frame of the next shot, if there is one.
    """

    def __init__(self, first: Placed[T], others: Iterator[Placed[T]]) -> None:
        self._first = first
        self._others = others
        self.following: Placed[T] | None = None

    def __iter__(self) -> Iterator[tuple[Placed[T], bool]]:
        held = self._first
        for frame in self._others:
            if frame.link is Link.CUT or frame.model_input.luma.shape != held.model_input.luma.shape:
                self.following = frame
                break
            yield held, False
            held = frame
        yield held, True


@dataclass(frozen=True)
class _Frame(Generic[T]):
    """A frame that waits for later ones: the network's own answer, if it was asked, and what that and the past say."""

    model_input: ModelInput[T]
    step: Step | None
    answer: Estimate | None
    known: Estimate


class _Pass(Generic[T]):
    """One shot on its way from model inputs to chroma."""

    def __init__(self, ask: Ask[T], *, stride: int, every: int | None) -> None:
        self._ask = ask
        self._follower = Follower()
        self._stride = stride
        self._fading = FADING if every == 1 else FADING_SPARSE
        self._keys = KeyFrames(every)
        self._anchor = Anchor()
        self._seen: View | None = None
        self._last: _Frame[T] | None = None

    def answered(self, batch: list[tuple[Placed[T], bool]]) -> list[_Frame[T]]:
        """Return the next frames of the shot with what the network and the frames before say about them."""
        planned = []
        for frame, last in batch:
            step = self._step(frame)
            planned.append(
                (frame.model_input, step, self._keys.asks(step, last=last, blending=frame.link is Link.BLEND))
            )
        wanted = [model_input for model_input, _, asks in planned if asks]
        replies = iter(self._ask(wanted) if wanted else [])
        return [self._append(model_input, step, next(replies) if asks else None) for model_input, step, asks in planned]

    def settled(self, waiting: list[_Frame[T]], count: int) -> Iterator[Coloured[T]]:
        """Yield the first ``count`` of the waiting frames in their final colours."""
        steps = [frame.step for frame in waiting[1:] if frame.step is not None]
        later = from_behind([frame.answer for frame in waiting], steps, self._fading) if waiting else []
        for frame, behind in islice(zip(waiting, later, strict=True), count):
            chroma = self._anchor.hold(frame.known.joined(behind).chroma, frame.step)
            yield Coloured(frame.model_input, np.ascontiguousarray(chroma.transpose(2, 0, 1)))

    def _step(self, frame: Placed[T]) -> Step | None:
        before, self._seen = self._seen, view(frame.model_input.luma, stride=self._stride)
        if before is None:
            return None
        belief = _BLEND_BELIEF if frame.link is Link.BLEND else 1.0
        return self._follower.step(before, self._seen, belief=belief)

    def _append(self, model_input: ModelInput[T], step: Step | None, ab: F32 | None) -> _Frame[T]:
        answer = None if ab is None else Estimate.answered(ab)
        earlier = None
        if self._last is not None and step is not None:
            earlier = self._last.known.carried(step.past, self._fading)
        known = joined(answer, earlier)
        assert known is not None, "the first frame of a shot is always asked for"
        self._last = _Frame(model_input, step, answer, known)
        return self._last
