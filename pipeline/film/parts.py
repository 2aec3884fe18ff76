"""Division of a film into parts that are coloured independently: in turn by one process, or in parallel by many.

A part begins at a cut. Of the film before it, it depends only on the last frames of the six preceding shots, which
every process has read, not on how these were coloured. So parts need not wait for each other, and the result is the
same whichever process colours which part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from engines.network import Prediction
from pipeline.color.evidence_pooling import can_pool
from pipeline.color.frame_record import FrameRecord, Link
from pipeline.color.key_frame_predictions import PredictionSettings
from pipeline.color.model_input import ModelInput
from pipeline.color.scene_memory import SceneMemory
from pipeline.color.temporal import Scenes, smoothed
from pipeline.film.frames import FilmFrame

# docs/temporal.md shows the effect of the number. With large model inputs, so many bytes per shot.
_SHOTS, _FRAMES = 6, 24
_BYTES = 4 << 20


class Part:
    """One part of a film: ``frames``, which can be read once, and the model inputs at the ends of the shots ``before``.

    ``first`` is the number of its first frame; ``count`` is how many frames have been read.
    """

    def __init__(
        self,
        number: int,
        first: FilmFrame,
        others: Iterator[FilmFrame],
        *,
        before: Sequence[FrameRecord],
        is_over: Callable[[int, FilmFrame], bool],
    ) -> None:
        self.number, self.first, self.before = number, first.index, before
        self.count = 0
        self.following: FilmFrame | None = None
        self._is_over = is_over
        self.frames = self._until_over(first, others)

    def _until_over(self, first: FilmFrame, others: Iterator[FilmFrame]) -> Generator[FilmFrame, None, None]:
        for record in chain([first], others):
            if self._is_over(self.count, record):
                self.following = record
                return
            self.count += 1
            yield record


def in_parts(frames: Iterator[FilmFrame], *, at_least: int | None) -> Generator[Part, None, None]:
    """Yield a film's frames, whose shots are known, in parts; frames of a part that are not read are skipped.

    Each part ends at the first cut after ``at_least`` frames; with None, the film is one part.
    """
    ends = _ShotEnds()
    others = map(ends.seen, frames)
    following, number = next(others, None), 0

    def is_over(count: int, record: FilmFrame) -> bool:
        return at_least is not None and count >= at_least and record.begins_shot

    while following is not None:
        part = Part(number, following, others, before=ends.before(), is_over=is_over)
        yield part
        for _ in part.frames:
            pass
        following, number = part.following, number + 1


class _ShotEnds:
    """Keeps the last frames of the latest shots, without their pictures."""

    def __init__(self) -> None:
        self._shots: deque[deque[FrameRecord]] = deque(maxlen=_SHOTS + 1)

    def seen(self, frame: FilmFrame) -> FilmFrame:
        if frame.begins_shot or not self._shots:
            room = _BYTES // frame.model_input.luma.nbytes
            self._shots.append(deque(maxlen=max(1, min(_FRAMES, room))))
        self._shots[-1].append(_without_picture(frame))
        return frame

    def before(self) -> tuple[FrameRecord, ...]:
        """Return the ends of the shots before the one that has just begun, each as a separate shot."""
        found = []
        for shot in list(self._shots)[:-1]:
            for number, frame in enumerate(shot):
                found.append(_without_picture(frame))
                if number == 0:
                    found[-1].link = Link.CUT
        return tuple(found)


def _without_picture(frame: FrameRecord) -> FrameRecord:
    bare = FrameRecord(index=frame.index, model_input=frame.model_input, statements=frame.statements)
    bare.link = frame.link
    return bare


def known_before(before: Sequence[FrameRecord], settings: PredictionSettings) -> SceneMemory:
    """Return the memory of scenes at the start of a part, from the ends of the shots ``before`` it.

    Runs the network on two or three frames of each; on one if it gives no evidence.
    """
    scenes = Scenes()
    if not before:
        return scenes.memory
    first = before[0].model_input
    prediction = settings.predict([first])[0]

    def predict_others(pictures: Sequence[ModelInput]) -> list[Prediction]:
        others = [picture for picture in pictures if picture is not first]
        predictions = iter(settings.predict(others) if others else ())
        return [prediction if picture is first else next(predictions) for picture in pictures]

    if can_pool(prediction):
        for _ in smoothed(before, replace(settings, predict=predict_others), scenes=scenes):
            pass
    return scenes.memory
