"""Shots: where one picture of the camera ends and the next begins, found while the film goes by.

Nothing is known after a cut of what was before it: each decision rests on frames of its own shot and on those ahead.
So a run that begins at a frame whose link is CUT finds the same links from there on, and the same numbers but for
their start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import count, pairwise, takewhile
from statistics import median
from typing import Generic, TypeVar

from pipeline.color.model_input import ModelInput
from pipeline.color.similarity import Glance, glance, mixture, unlike

T = TypeVar("T")

# Three frames of flash, splice or blot are no cut if what was there before is there afterwards.
_FLASH = 3
_CUT_AHEAD = _FLASH + 1
# Two frames of one shot are rarely less alike than this; first frames of shots are nearly always.
_CUT = 0.47
_MATCH = 0.43
_WIDE = 6
_CUT_WIDE = 0.5
# In fast motion, a cut is what stands out from the steps around it.
_STANDS_OUT = 1.4
_AROUND = 3
# Distances from the middle of a dissolve at which its ends are looked for, in frames.
_ENDS = 0.5
_CALM = 0.1
_SPANS = (3, 4, 6, 9)
# What is left of the contrast within four frames of a fade at its dark end.
_RAMP = 0.6
# A fade has begun when this part of the shot's contrast is left; the memory of that contrast fades, per frame.
_FAINT = 0.3
_DARK = 0.2
_FORGET = 0.97


class Link(Enum):
    """How a frame hangs together with the frame before it."""

    CUT = "cut"
    """First frame of the film, or first frame after a cut."""
    SAME = "same"
    """Same shot."""
    BLEND = "blend"
    """Inside a dissolve or a fade: both shots are visible, or neither."""


@dataclass(frozen=True)
class Placed(Generic[T]):
    """A model input in its ``shot``, numbered from 0; in a dissolve or fade the number changes once, at the middle."""

    model_input: ModelInput[T]
    shot: int
    link: Link


def in_shots(model_inputs: Iterable[ModelInput[T]], *, look_ahead: int = 24) -> Iterator[Placed[T]]:
    """Yield every model input of a film, in order, with its place in a shot, at most ``look_ahead`` read ahead.

    ``look_ahead`` is at least 12; with less than 24, long dissolves are found in part. A change of the model inputs'
    shape is a cut.
    """
    if look_ahead < 12:
        raise ValueError(f"look_ahead is {look_ahead}, must be at least 12")
    # Each stage looks ahead: the cuts 4 frames, the spans one span, the numbers one span and a frame.
    spans = [span for span in _SPANS if span <= (look_ahead - _CUT_AHEAD - 1) // 2]
    seen = (_Seen(model_input, glance(model_input.luma)) for model_input in model_inputs)
    return _numbered(_with_spans(_with_cuts(seen), spans), max(spans))


@dataclass(frozen=True)
class _Seen(Generic[T]):
    """A model input on its way, ``step`` unlike the one before it in its shot.

    ``span`` > 0 where it looks like the middle of a dissolve with ends that far away.
    """

    model_input: ModelInput[T]
    glance: Glance
    is_cut: bool = False
    step: float = 0.0
    span: int = 0


def _with_cuts(frames: Iterable[_Seen[T]]) -> Iterator[_Seen[T]]:
    """Mark the first frame of every shot."""
    shot: deque[Glance] = deque(maxlen=_CUT_AHEAD)
    steps: deque[float] = deque(maxlen=_AROUND)
    for frame, following in _looking_ahead(frames, _CUT_AHEAD - 1):
        ahead = [frame.glance, *(other.glance for other in following)]
        is_cut, step = True, 0.0
        if shot and shot[-1].even.shape == frame.glance.even.shape:
            step = unlike(shot[-1], frame.glance)
            is_cut = step >= _CUT and _is_cut(step, steps, shot, _of_one_shape(ahead))
            steps.append(step)
        if is_cut:
            shot.clear()
            steps.clear()
        shot.append(frame.glance)
        yield replace(frame, is_cut=is_cut, step=0.0 if is_cut else step)


def _is_cut(step: float, steps: Iterable[float], shot: Sequence[Glance], ahead: Sequence[Glance]) -> bool:
    # A shot of one frame is the blot in the splice between two others: it goes with the second.
    if len(shot) == 1:
        return False
    if unlike(shot[-1], ahead[0], reach=_WIDE) < _CUT_WIDE or _fades(shot, ahead):
        return False
    around = [*steps, *(unlike(a, b) for a, b in pairwise(ahead))]
    if around and step < _STANDS_OUT * median(around):
        return False
    return not any(
        unlike(past, future) < _MATCH
        for back, past in enumerate(reversed(shot), 1)
        for forth, future in enumerate(ahead)
        if 1 < back + forth <= _CUT_AHEAD
    )


def _fades(shot: Sequence[Glance], ahead: Sequence[Glance]) -> bool:
    """Say whether contrast sinks up to the end of ``shot`` and stays low, or is low and then rises, as in a fade."""
    last, first = shot[-1].contrast, ahead[0].contrast
    sinks = last < _RAMP * shot[0].contrast and first < last / _RAMP
    rises = first < _RAMP * ahead[-1].contrast and last < first / _RAMP
    return sinks or rises


def _of_one_shape(glances: list[Glance]) -> list[Glance]:
    return list(takewhile(lambda other: other.even.shape == glances[0].even.shape, glances))


def _with_spans(frames: Iterable[_Seen[T]], spans: Sequence[int]) -> Iterator[_Seen[T]]:
    """Mark what looks like the middle of a dissolve."""
    longest = max(spans)
    shot: deque[_Seen[T]] = deque(maxlen=longest)
    for frame, following in _looking_ahead(frames, longest):
        if frame.is_cut:
            shot.clear()
        ahead = _of_one_shot(following)
        span = _span(shot, frame, ahead, [span for span in spans if span <= min(len(shot), len(ahead))])
        shot.append(frame)
        yield replace(frame, span=span)


def _span(behind: Sequence[_Seen[T]], frame: _Seen[T], ahead: Sequence[_Seen[T]], spans: Sequence[int]) -> int:
    """Return where the ends of the dissolve are of which ``frame`` seems to be the middle; 0 if it does not."""
    if not spans:
        return 0
    ends = {span: (behind[-span].glance, ahead[span - 1].glance) for span in spans}
    evidence = {span: mixture(before, frame.glance, after) for span, (before, after) in ends.items()}
    span = max(evidence, key=evidence.__getitem__)
    haste = max(0.0, median((behind[-1].step, frame.step, ahead[0].step, ahead[1].step)) - _CALM)
    return span if evidence[span] > haste and unlike(*ends[span]) > _ENDS else 0


def _of_one_shot(following: Sequence[_Seen[T]]) -> list[_Seen[T]]:
    return list(takewhile(lambda other: not other.is_cut, following))


def _numbered(frames: Iterable[_Seen[T]], longest: int) -> Iterator[Placed[T]]:
    """Give every frame its shot and link; dissolves reach ``longest`` frames to either side of their middle."""
    number = -1
    shot = _Shot[T](longest)
    for frame, following in _looking_ahead(frames, longest + 1):
        if frame.is_cut:
            shot = _Shot(longest)
        blends, turns = shot.place(frame, _of_one_shot(following))
        number += frame.is_cut or turns
        link = Link.CUT if frame.is_cut else Link.BLEND if blends else Link.SAME
        yield Placed(frame.model_input, number, link)


class _Shot(Generic[T]):
    """What has been seen since the last cut."""

    def __init__(self, longest: int) -> None:
        self._behind: deque[_Seen[T]] = deque(maxlen=longest + 1)
        self._contrast = 0.0
        self._has_content = False
        self._has_turned = False

    def place(self, frame: _Seen[T], ahead: Sequence[_Seen[T]]) -> tuple[bool, bool]:
        """Say whether ``frame`` is part of a blend, and whether the next shot's number begins with it."""
        around = [*self._behind, frame, *ahead]
        here = len(self._behind)
        middles = _middles(around)
        blends = self._is_faint(frame, ahead) or any(abs(here - m) <= around[m].span for m in middles)
        turns = False
        if not blends:
            self._has_turned = False
        elif not self._has_turned and (_is_central(here, middles) or self._goes_dark(frame, ahead)):
            turns = self._has_turned = True
            self._has_content = False
        self._has_content = self._has_content or not frame.glance.is_empty
        self._behind.append(frame)
        return blends, turns

    def _is_faint(self, frame: _Seen[T], ahead: Sequence[_Seen[T]]) -> bool:
        contrast = frame.glance.contrast
        self._contrast = max(self._contrast * _FORGET, contrast)
        most = max([self._contrast, *(other.glance.contrast for other in ahead)])
        return frame.glance.is_empty or contrast < _FAINT * most

    def _goes_dark(self, frame: _Seen[T], ahead: Sequence[_Seen[T]]) -> bool:
        # A few dark frames are a flash.
        dark = [other.glance.contrast for other in (frame, *ahead[:_FLASH])]
        return (
            self._has_content
            and len(dark) > _FLASH
            and max(dark) < _FAINT * self._contrast
            and min(dark) < _DARK * self._contrast
        )


def _middles(frames: Sequence[_Seen[T]]) -> set[int]:
    """Return where dissolves have their middles: one frame alone that looks like it is chance."""
    return {
        n
        for n, frame in enumerate(frames)
        if frame.span and any(other.span for other in (*frames[max(n - 1, 0) : n], *frames[n + 1 : n + 2]))
    }


def _is_central(here: int, middles: set[int]) -> bool:
    """Say whether as many middles lie behind as ahead, without a gap: the middle of the middles."""
    if here not in middles:
        return False
    behind = sum(1 for _ in takewhile(middles.__contains__, count(here - 1, -1)))
    ahead = sum(1 for _ in takewhile(middles.__contains__, count(here + 1)))
    return behind >= ahead


def _looking_ahead(frames: Iterable[_Seen[T]], most: int) -> Iterator[tuple[_Seen[T], Sequence[_Seen[T]]]]:
    """Yield each frame with up to ``most`` that follow it."""
    window: deque[_Seen[T]] = deque()
    for frame in frames:
        window.append(frame)
        if len(window) > most:
            yield window.popleft(), tuple(window)
    while window:
        yield window.popleft(), tuple(window)
