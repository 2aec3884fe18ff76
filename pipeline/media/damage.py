"""Damage of a source: an error, or concealed and reported."""

from __future__ import annotations

import logging
from collections import defaultdict
from enum import Enum
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from pipeline.errors import InputError
from pipeline.options import OnDamage
from pipeline.results import Note, NoteKind

logger = logging.getLogger(__name__)

ADVICE = "Restore it from another copy, or recover what is left of it with --on-damage conceal."
_LISTED = 12


class Remedy(Enum):
    """How damaged frames were treated."""

    KEPT = "damaged and kept as the decoder conceals them"
    REPEATED = "not decodable and replaced by the one before, at their own times"
    FRONTED = "not decodable and replaced by the first that is, at their own times"
    RETIMED = "without a usable time and shown between their neighbours"


class Damage:
    """Collects damage of the source ``path``; under `OnDamage.FAIL` the first found is an error."""

    def __init__(self, path: Path, policy: OnDamage) -> None:
        self._path = path
        self._policy = policy
        self._frames = defaultdict[Remedy, list[tuple[int, Fraction]]](list)
        self._places: dict[str, int] = {}
        self._remarks: list[Note] = []

    @property
    def conceals(self) -> bool:
        """True if damage is to be concealed."""
        return self._policy is OnDamage.CONCEAL

    def met(self, what: str) -> None:
        """Note ``what``, once however often it occurs. Raises `InputError` under FAIL."""
        if not self.conceals:
            raise InputError(f"{self._path}: {what}", advice=ADVICE)
        if what not in self._places:
            logger.warning("%s: damaged: %s", self._path, what)
        self._places[what] = self._places.get(what, 0) + 1

    def remedied(self, remedy: Remedy, frame: int, time: Fraction) -> None:
        """Note that the frame with this number, shown at ``time`` seconds, was concealed."""
        logger.debug("%s: frame %d at %.3f s: %s", self._path, frame, time, remedy.name)
        self._frames[remedy].append((frame, time))

    def remark(self, kind: NoteKind, text: str) -> None:
        """Note what is not certainly damage, but must be reported."""
        self._remarks.append(Note(kind, text))

    def notes(self) -> tuple[Note, ...]:
        """Return all notes, with lists cut to a readable length."""
        places = list(self._places.items())
        texts = [what + (f" ({count} times)" if count > 1 else "") for what, count in places[:_LISTED]]
        if len(places) > _LISTED:
            texts.append(f"and damage in {len(places) - _LISTED} more places")
        texts += [_described(remedy, found) for remedy, found in self._frames.items()]
        return (*(Note(NoteKind.CONCEALED, text) for text in texts), *self._remarks)


def _described(remedy: Remedy, found: list[tuple[int, Fraction]]) -> str:
    numbers = sorted(number for number, _ in found)
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    named = [f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs[:_LISTED]]
    if len(runs) > _LISTED:
        named.append(f"{sum(map(len, runs[_LISTED:]))} more")
    times = [float(time) for _, time in found]
    span = f"at {times[0]:.3f} s" if len(found) == 1 else f"between {min(times):.3f} s and {max(times):.3f} s"
    subject = "1 frame is" if len(found) == 1 else f"{len(found):,} frames are"
    return f"{subject} {remedy.value}: {', '.join(named)}, {span}"


def copy_picture(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a copy of ``picture``, planar YUV or grey, with all its samples and properties, in new memory."""
    # PyAV has no copy; converting a picture twice makes a new one with the same properties, but not the samples.
    detour = "yuv444p" if picture.format.name == "gray" else "gray"
    copy = picture.reformat(format=detour, threads=1).reformat(format=picture.format.name, threads=1)
    for old, new in zip(picture.planes, copy.planes, strict=True):
        before, after = _rows(old), _rows(new)
        width = min(before.shape[1], after.shape[1])
        after[:, :width] = before[:, :width]
    copy.pts, copy.time_base, copy.duration = picture.pts, picture.time_base, picture.duration
    return copy


def _rows(plane: av.video.plane.VideoPlane) -> npt.NDArray[np.uint8]:
    flat: npt.NDArray[np.uint8] = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]  # planes are buffers
    rows = flat.reshape(plane.height, abs(plane.line_size))
    return rows[::-1] if plane.line_size < 0 else rows
