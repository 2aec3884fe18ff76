"""Records of how a film's shots were judged and treated, collected frame by frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.color.measures import averaged, doubt, measured
from pipeline.color.previews import preview
from pipeline.color.spaces import F32
from pipeline.documents import from_json, to_json
from pipeline.film.frames import FilmFrame, FilmSource
from pipeline.film_time import time_text
from pipeline.results import Doubt, Measures, Note, NoteKind, Preview, ShotRecord, SourceTone, Treatment, has_new_colour
from pipeline.wording import count

# Each shot is shown and measured by one frame: the last of these that it has.
_LOOKED_AT = {0, 12, 48, 192, 768}
# With more previews there would be no overview.
_PREVIEWS = 60
_DESCRIPTIONS = {
    Treatment.KEPT: "are taken for coloured already: their colours are the source's own",
    Treatment.TINT_KEPT: "are taken for tinted: the tint was kept",
}
_REPLACED = {Treatment.COLOURED: "colour", Treatment.GREY: "grey"}
# Doubt from which a shot's tone is reported as doubtful; it is 1 for black, white and flat shots, where it means
# nothing.
_UNSURE = 0.5
_IN_DOUBT = {
    Treatment.COLOURED: ("may have had colours of their own, which were replaced", SourceTone.COLOUR),
    Treatment.KEPT: ("may be toned, not coloured yet", SourceTone.TINTED),
}


@dataclass(frozen=True)
class _Shot:
    record: ShotRecord
    preview: Preview
    measures: Measures
    changes: int = 0
    change: float = 0.0


def previewed(shots: int) -> range:
    """Return which of ``shots`` shots have previews: at most 60, spread evenly."""
    return range(0, shots, -(-shots // _PREVIEWS) or 1)


class ShotLog:
    """The shots of ``film``, or of a part of it, in order; ``first_frame`` is the number of its first frame."""

    def __init__(self, film: FilmSource, first_frame: int = 0) -> None:
        self._film = film
        self._first = self._next = first_frame
        self._shots: list[_Shot] = []
        self._current: tuple[int, SourceTone, Treatment] | None = None
        self._last: F32 | None = None

    @staticmethod
    def joined(film: FilmSource, summaries: Iterable[Mapping[str, Any]]) -> ShotLog:
        """Return the log of a whole film from the summaries of its parts."""
        log = ShotLog(film)
        for summary in summaries:
            log._shots += (from_json(_Shot, shot) for shot in summary["shots"])
        log._next = sum(shot.record.frames for shot in log._shots)
        return log

    def summary(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {"shots": to_json(self._shots)}

    def add(self, record: FilmFrame) -> None:
        """Add the next frame. If the judgement changes within a shot, a new record begins.

        Raises `ValueError` for any other frame: some stage has dropped, repeated or reordered frames.
        """
        if record.index != self._next:
            raise ValueError(f"frame {record.index} comes where frame {self._next} should")
        verdict, treatment = record.verdict, record.treatment
        seen = record.shot, verdict.tone, treatment
        if seen != self._current:
            self._current, self._last = seen, None
            seconds = round(float(record.frame.timestamp.seconds), 3)
            begun = ShotRecord(
                first_frame=self._next, frames=0, start_seconds=seconds, tone=verdict.tone, treatment=treatment
            )
            self._shots.append(_Shot(begun, *self._look(record)))
        shot = self._shots[-1]
        if shot.record.frames in _LOOKED_AT - {0}:
            looks, measures = self._look(record)
            shot = replace(shot, preview=looks, measures=measures)
        ab = record.ab
        if ab is not None and self._last is not None and ab.shape == self._last.shape:
            shot = replace(shot, changes=shot.changes + 1, change=shot.change + float(np.abs(ab - self._last).mean()))
        self._last = ab
        self._shots[-1] = replace(shot, record=replace(shot.record, frames=shot.record.frames + 1))
        self._next += 1

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self._next - self._first

    @property
    def shots(self) -> tuple[ShotRecord, ...]:
        """A record of every shot."""
        return tuple(shot.record for shot in self._shots)

    @property
    def has_new_colour(self) -> bool:
        """Whether any shot got new colour."""
        return has_new_colour(shot.record.treatment for shot in self._shots)

    @property
    def previews(self) -> tuple[Preview, ...]:
        """Pictures of at most 60 of the shots, spread evenly."""
        return tuple(self._shots[number].preview for number in previewed(len(self._shots)))

    @property
    def measures(self) -> Measures | None:
        """Mean over the shots; None without shots."""
        if not self._shots:
            return None
        changes = sum(shot.changes for shot in self._shots)
        flicker = round(sum(shot.change for shot in self._shots) / changes, 4) if changes else None
        return averaged([shot.measures for shot in self._shots], flicker=flicker)

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """Doubtful judgements, with their share of the film and where they begin."""
        found = []
        for treatment, (text, instead) in _IN_DOUBT.items():
            shots = [shot for shot in self._shots if shot.record.treatment is treatment]
            unsure = [shot.record for shot in shots if _UNSURE < shot.measures.doubt < 1]
            if unsure:
                number, first = sum(record.frames for record in unsure), time_text(unsure[0].start_seconds)
                all_frames = count(self._next, "frame")
                found.append(Doubt(reason=f"{number:,} of {all_frames}, from {first}, {text}", instead=instead))
        return tuple(found)

    def notes(self) -> tuple[Note, ...]:
        """Return a note for each judgement that is not plain black and white, and for each doubtful one."""
        frames = Counter[tuple[Treatment, SourceTone]]()
        for shot in self._shots:
            frames[shot.record.treatment, shot.record.tone] += shot.record.frames
        notes = []
        for (treatment, tone), number in sorted(frames.items()):
            text = _DESCRIPTIONS.get(treatment, "")
            if treatment in _REPLACED and tone is SourceTone.TINTED:
                text = f"are taken for tinted: {_REPLACED[treatment]} replaced the tint"
            if text:
                notes.append(Note(NoteKind.ASSUMED, f"{number:,} of {count(self._next, 'frame')} {text}"))
        notes += (
            Note(NoteKind.ASSUMED, f"in doubt ({doubt.reason}): {doubt.reverse} reverses this for the whole film")
            for doubt in self.doubts
        )
        return tuple(notes)

    def _look(self, record: FilmFrame) -> tuple[Preview, Measures]:
        spec, frame = self._film.color_spec, record.frame
        model_input, verdict = record.model_input, record.verdict
        luma = model_input.turn.stored(model_input.luma)
        if record.upsampled is None:
            after = np.stack(self._film.small_chroma(frame))
            before, clipped = after, 0.0
        else:
            after, clipped = record.upsampled.small(luma, spec.matrix), record.upsampled.clipped
            before = np.full((2, 1, 1), 0, np.float32)
            if verdict.tone is SourceTone.TINTED:
                before[:] = np.reshape([verdict.cb, verdict.cr], (2, 1, 1))
        label = time_text(frame.timestamp.seconds)
        sure = doubt(verdict, self._film.options.treat_as)
        look = preview(label, luma, before=before, after=after, matrix=spec.matrix, turn=model_input.turn)
        return look, measured(luma, after, spec.matrix, clipped=clipped, doubt=sure)
