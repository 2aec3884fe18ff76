"""Judgement of each shot of a source (monochrome, tinted, coloured), and its resulting treatment."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Generic

from pipeline.color.frame_record import Link, Record
from pipeline.color.tone import ToneEvidence, Verdict, judge, treatment
from pipeline.options import Options
from pipeline.results import SourceTone

logger = logging.getLogger(__name__)

# A shot judged with less confidence than this gets the tone of most of the film.
_SURE = 0.5
# Most means this part of the pictures that can be judged, of at least so many.
_MOST = 0.75
_FEWEST = 4
# The first pictures of a shot, by which it is judged. If they are black or flat, the next that is not decides.
_JUDGED = 8


def usual_tone(pictures: Iterable[ToneEvidence]) -> SourceTone | None:
    """Return the tone of most of a film, by pictures from all over it; None if it is unclear."""
    sure = [verdict.tone for picture in pictures if (verdict := judge([picture])).confidence >= _SURE]
    tone, count = Counter(sure).most_common(1)[0] if sure else (None, 0)
    return tone if len(sure) >= _FEWEST and count >= _MOST * len(sure) else None


def judge_shots(
    frames: Iterable[Record],
    evidence: Callable[[Record], ToneEvidence],
    options: Options,
    *,
    usual: Callable[[], SourceTone | None] = lambda: None,
    has_references: bool = False,
) -> Iterator[Record]:
    """Set every frame's ``verdict`` and ``treatment``: each shot is judged by the ``evidence`` of its first frames.

    At most 8 frames wait for the verdict. It applies to the whole shot, but a shot that begins without evidence (a
    fade-in from black) is judged again as soon as there is some. The verdict depends only on the shot and on the
    ``usual`` tone of the film, which is requested, and decides, if the shot itself is in doubt. ``has_references`` as
    for `treatment`.
    """
    shot = _Shot[Record](options, usual, has_references)
    for frame in frames:
        if frame.link is Link.CUT or frame.shot != shot.number:
            yield from shot.rest()
            shot = _Shot(options, usual, has_references, frame.shot)
        yield from shot.push(frame, evidence)
    yield from shot.rest()


class _Shot(Generic[Record]):
    def __init__(
        self, options: Options, usual: Callable[[], SourceTone | None], has_references: bool, number: int = -1
    ) -> None:
        self.number = number
        self._options, self._has_references = options, has_references
        self._usual = usual
        self._waiting: list[Record] = []
        self._seen: list[ToneEvidence] = []
        self._verdict: Verdict | None = None
        self._is_logged = False

    def push(self, frame: Record, evidence: Callable[[Record], ToneEvidence]) -> list[Record]:
        """Take the next frame; return those that need not wait, with the verdict on the frames so far."""
        self._waiting.append(frame)
        if self._verdict is None or self._verdict.confidence == 0:
            self._seen = [*self._seen[-_JUDGED + 1 :], evidence(frame)]
            if self._verdict is not None:
                self._verdict = self._judged()
        return self.rest() if self._verdict is not None or len(self._waiting) >= _JUDGED else []

    def rest(self) -> list[Record]:
        """Return the waiting frames, with the verdict on the frames so far."""
        if not self._waiting:
            return []
        if self._verdict is None:
            self._verdict = self._judged()
        what = treatment(self._verdict, self._options, has_references=self._has_references)
        if not self._is_logged:
            self._is_logged = True
            verdict = self._verdict
            logger.debug(
                "shot %d, from frame %d: %s, confidence %.2f (%s); %s",
                self.number,
                self._waiting[0].index,
                verdict.tone,
                verdict.confidence,
                verdict.reason,
                what,
            )
        released, self._waiting = self._waiting, []
        for frame in released:
            frame.verdict, frame.treatment = self._verdict, what
        return released

    def _judged(self) -> Verdict:
        verdict = judge(self._seen)
        if verdict.confidence >= _SURE or (usual := self._usual()) is None:
            return verdict
        if verdict.tone is usual:
            # The rest of the film agrees. If the shot shows nothing yet, more of it must still be seen.
            return replace(verdict, confidence=_SURE if verdict.confidence else 0.0)
        return replace(verdict, tone=usual, reason="in doubt, so what most of the film is")
