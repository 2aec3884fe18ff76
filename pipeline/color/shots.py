"""Shot detection, in a single pass over the film.

Nothing from before a cut is used after it: each decision depends on frames of its own shot and on those ahead. So a run
that begins at a frame whose link is CUT finds the same links from there on, and the same numbers but for their start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, pairwise, takewhile
from statistics import median
from typing import Generic

from pipeline.color.frame_record import Link, Record
from pipeline.color.similarity import Thumbnail, mixture, thumbnail, unlike

# Frames read ahead; fewer if they are large, so that at most some 40 MB of them wait.
_LOOK_AHEAD = 24
_LEAST_LOOK_AHEAD = 12
_WEIGHT = 40 << 20

# Up to three frames of flash, splice or blot are not a cut if the picture is the same afterwards.
_FLASH = 3
_CUT_AHEAD = _FLASH + 1
# Two frames of one shot rarely differ more than this; first frames of shots nearly always do.
_CUT = 0.47
_MATCH = 0.43
_WIDE = 6
_CUT_WIDE = 0.5
# In fast motion, a cut must stand out from the steps around it.
_STANDS_OUT = 1.4
_AROUND = 3
# Distances from the middle of a dissolve at which its ends are searched, in frames.
_ENDS = 0.5
_CALM = 0.1
_REACHES = (3, 4, 6, 9)
# Share of the contrast left within four frames of a fade at its dark end.
_RAMP = 0.6
# A fade has begun when this part of the shot's contrast is left; the stored contrast decays per frame.
_FAINT = 0.3
_DARK = 0.2
_FORGET = 0.97


def find_shots(frames: Iterable[Record], *, look_ahead: int | None = None) -> Iterator[Record]:
    """Set every frame's ``shot`` and ``link``, reading at most ``look_ahead`` frames ahead.

    ``look_ahead`` is at least 12, by default 24, less if frames are large; with less than 24, long dissolves are
    found only in part. A change of the model inputs' shape is a cut.
    """
    if look_ahead is not None and look_ahead < _LEAST_LOOK_AHEAD:
        raise ValueError(f"look_ahead is {look_ahead}, must be at least {_LEAST_LOOK_AHEAD}")
    passes: list[_Pass[Record]] = []
    for frame in frames:
        passes = passes or _passes(frame, look_ahead)
        frame.thumbnail = thumbnail(frame.model_input.luma)
        if (decided := _pushed(passes, frame)) is not None:
            yield decided
    for number, one in enumerate(passes):
        while (left := one.pop()) is not None:
            if (decided := _pushed(passes[number + 1 :], left)) is not None:
                yield decided


def _passes(first: Record, look_ahead: int | None) -> list[_Pass[Record]]:
    """Return the passes over the frames of a film that begins with ``first``, each using the results before it."""
    look_ahead = look_ahead or max(_LEAST_LOOK_AHEAD, min(_LOOK_AHEAD, _WEIGHT // max(first.weight, 1)))
    # Look-ahead of each: 4 frames for cuts, one reach for blends, one reach and a frame for numbers.
    reaches = [reach for reach in _REACHES if reach <= (look_ahead - _CUT_AHEAD - 1) // 2]
    return [
        _Pass(_CUT_AHEAD - 1, _Cuts[Record]().mark),
        _Pass(max(reaches), _Blends[Record](reaches).mark),
        _Pass(max(reaches) + 1, _Numbers[Record](max(reaches)).mark),
    ]


class _Pass(Generic[Record]):
    """Makes a decision about every frame, in order, which may use up to ``most`` later frames."""

    def __init__(self, most: int, mark: Callable[[Record, Sequence[Record]], None]) -> None:
        self._most, self._mark = most, mark
        self._waiting: deque[Record] = deque()

    def push(self, frame: Record) -> Record | None:
        """Take the next frame; return the frame that can now be decided, if any, with its decision."""
        self._waiting.append(frame)
        return self.pop() if len(self._waiting) > self._most else None

    def pop(self) -> Record | None:
        """Return the first waiting frame, decided by the frames at hand; None if none waits."""
        if not self._waiting:
            return None
        frame = self._waiting.popleft()
        self._mark(frame, tuple(self._waiting))
        return frame


def _pushed(passes: Sequence[_Pass[Record]], frame: Record) -> Record | None:
    """Push ``frame`` through the passes, as far as frames come out; return the output of the last."""
    arrived: Record | None = frame
    for one in passes:
        if arrived is None:
            break
        arrived = one.push(arrived)
    return arrived


class _Cuts(Generic[Record]):
    """Marks the first frame of every shot."""

    def __init__(self) -> None:
        self._shot: deque[Thumbnail] = deque(maxlen=_CUT_AHEAD)
        self._steps: deque[float] = deque(maxlen=_AROUND)

    def mark(self, frame: Record, following: Sequence[Record]) -> None:
        shot, steps = self._shot, self._steps
        ahead = [frame.thumbnail, *(other.thumbnail for other in following)]
        is_cut, step = True, 0.0
        if shot and shot[-1].even.shape == frame.thumbnail.even.shape:
            step = unlike(shot[-1], frame.thumbnail)
            is_cut = step >= _CUT and _is_cut(step, steps, shot, _of_one_shape(ahead))
            steps.append(step)
        if is_cut:
            shot.clear()
            steps.clear()
        shot.append(frame.thumbnail)
        frame.link, frame.change = (Link.CUT, 0.0) if is_cut else (Link.SAME, step)


def _is_cut(step: float, steps: Iterable[float], shot: Sequence[Thumbnail], ahead: Sequence[Thumbnail]) -> bool:
    # A shot of one frame is a blot in the splice between two others: it joins the second.
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


def _fades(shot: Sequence[Thumbnail], ahead: Sequence[Thumbnail]) -> bool:
    """Tell whether contrast falls up to the end of ``shot`` and stays low, or is low and then rises, as in a fade."""
    last, first = shot[-1].contrast, ahead[0].contrast
    sinks = last < _RAMP * shot[0].contrast and first < last / _RAMP
    rises = first < _RAMP * ahead[-1].contrast and last < first / _RAMP
    return sinks or rises


def _of_one_shape(thumbnails: list[Thumbnail]) -> list[Thumbnail]:
    return list(takewhile(lambda other: other.even.shape == thumbnails[0].even.shape, thumbnails))


class _Blends(Generic[Record]):
    """Marks frames that look like the middle of a dissolve."""

    def __init__(self, reaches: Sequence[int]) -> None:
        self._reaches = reaches
        self._shot: deque[Record] = deque(maxlen=max(reaches))

    def mark(self, frame: Record, following: Sequence[Record]) -> None:
        if frame.link is Link.CUT:
            self._shot.clear()
        ahead = _of_one_shot(following)
        possible = [reach for reach in self._reaches if reach <= min(len(self._shot), len(ahead))]
        frame.blend_reach = _blend_reach(self._shot, frame, ahead, possible)
        self._shot.append(frame)


def _blend_reach(behind: Sequence[Record], frame: Record, ahead: Sequence[Record], reaches: Sequence[int]) -> int:
    """Return the distance to the ends of a dissolve of which ``frame`` looks like the middle; 0 if it does not."""
    if not reaches:
        return 0
    ends = {reach: (behind[-reach].thumbnail, ahead[reach - 1].thumbnail) for reach in reaches}
    evidence = {reach: mixture(before, frame.thumbnail, after) for reach, (before, after) in ends.items()}
    reach = max(evidence, key=evidence.__getitem__)
    haste = max(0.0, median((behind[-1].change, frame.change, ahead[0].change, ahead[1].change)) - _CALM)
    return reach if evidence[reach] > haste and unlike(*ends[reach]) > _ENDS else 0


def _of_one_shot(following: Sequence[Record]) -> list[Record]:
    return list(takewhile(lambda other: other.link is not Link.CUT, following))


class _Numbers(Generic[Record]):
    """Sets the shot and link of every frame; dissolves reach ``longest`` frames to either side of their middle."""

    def __init__(self, longest: int) -> None:
        self._longest, self._number = longest, -1
        self._shot = _Shot[Record](longest)

    def mark(self, frame: Record, following: Sequence[Record]) -> None:
        is_cut = frame.link is Link.CUT
        if is_cut:
            self._shot = _Shot(self._longest)
        blends, turns = self._shot.place(frame, _of_one_shot(following))
        self._number += is_cut or turns
        frame.shot = self._number
        if blends and not is_cut:
            frame.link = Link.BLEND


class _Shot(Generic[Record]):
    """State since the last cut."""

    def __init__(self, longest: int) -> None:
        self._behind: deque[Record] = deque(maxlen=longest + 1)
        self._contrast = 0.0
        self._has_content = False
        self._has_turned = False

    def place(self, frame: Record, ahead: Sequence[Record]) -> tuple[bool, bool]:
        """Tell whether ``frame`` is part of a blend, and whether the next shot's number begins with it."""
        around = [*self._behind, frame, *ahead]
        here = len(self._behind)
        middles = _middles(around)
        blends = self._is_faint(frame, ahead) or any(abs(here - m) <= around[m].blend_reach for m in middles)
        turns = False
        if not blends:
            self._has_turned = False
        elif not self._has_turned and (_is_central(here, middles) or self._goes_dark(frame, ahead)):
            turns = self._has_turned = True
            self._has_content = False
        self._has_content = self._has_content or not frame.thumbnail.is_empty
        self._behind.append(frame)
        return blends, turns

    def _is_faint(self, frame: Record, ahead: Sequence[Record]) -> bool:
        contrast = frame.thumbnail.contrast
        self._contrast = max(self._contrast * _FORGET, contrast)
        most = max([self._contrast, *(other.thumbnail.contrast for other in ahead)])
        return frame.thumbnail.is_empty or contrast < _FAINT * most

    def _goes_dark(self, frame: Record, ahead: Sequence[Record]) -> bool:
        # A few dark frames are taken for a flash.
        dark = [other.thumbnail.contrast for other in (frame, *ahead[:_FLASH])]
        return (
            self._has_content
            and len(dark) > _FLASH
            and max(dark) < _FAINT * self._contrast
            and min(dark) < _DARK * self._contrast
        )


def _middles(frames: Sequence[Record]) -> set[int]:
    """Return the middles of dissolves; a single frame that looks like one is chance."""
    return {
        n
        for n, frame in enumerate(frames)
        if frame.blend_reach
        and any(other.blend_reach for other in (*frames[max(n - 1, 0) : n], *frames[n + 1 : n + 2]))
    }


def _is_central(here: int, middles: set[int]) -> bool:
    """Tell whether ``here`` is the centre of a run of middles without gaps."""
    if here not in middles:
        return False
    behind = sum(1 for _ in takewhile(middles.__contains__, count(here - 1, -1)))
    ahead = sum(1 for _ in takewhile(middles.__contains__, count(here + 1)))
    return behind >= ahead
