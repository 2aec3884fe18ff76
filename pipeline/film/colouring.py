"""Turns a film's decoded frames into coloured ones, whole or in parts: the stages of docs/architecture.md in a row."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain, pairwise

from pipeline.color.colorizer import Colorizer
from pipeline.color.shots import find_shots
from pipeline.color.temporal import predict_chroma
from pipeline.color.triage import judge_shots
from pipeline.film.frames import FilmFrame, FilmSource, paint
from pipeline.film.parts import Part, in_parts, known_before
from pipeline.film.stated_frames import StatedFrames, stated_frames
from pipeline.media.frames import Frame
from pipeline.media.read_log import ReadLog
from pipeline.stages import ahead

# Length of the queue of frames between two threads.
_DEPTH = 4


class Colouring:
    """Colours ``film``, after evaluating a person's statements about its frames."""

    def __init__(self, film: FilmSource, colorizer: Colorizer) -> None:
        """Raise the errors of `stated_frames`."""
        self._film, self._colorizer = film, colorizer
        self._stated = stated_frames(film, colorizer)

    def parts(self, read_log: ReadLog, *, at_least: int | None) -> Generator[Part, None, None]:
        """Read the film from the start and yield its parts, see `in_parts`; a thread decodes ahead.

        ``read_log`` counts the frames.
        """
        film = self._film
        decoded = ahead(film.decode(read_log), depth=_DEPTH, name="decode", threads=film.options.threads)
        with closing(decoded):
            frames = find_shots(records(decoded, film, self._colorizer, self._stated))
            yield from in_parts(frames, at_least=at_least)

    def frames(self, part: Part) -> Generator[FilmFrame, None, None]:
        """Yield the frames of a part with their final chroma; a thread colours ahead."""
        return ahead(self._coloured(part), depth=_DEPTH, name="colour", threads=self._film.options.threads)

    def _coloured(self, part: Part) -> Generator[FilmFrame, None, None]:
        film, options = self._film, self._film.options
        settings = self._colorizer.prediction_settings(options, self._stated.statements())
        memory = known_before(part.before, settings)
        has_references = bool(film.references.paths)
        frames = judge_shots(
            part.frames, film.tone_evidence, options, usual=lambda: film.usual_tone, has_references=has_references
        )
        for record in predict_chroma(frames, settings, memory=memory):
            paint(record, film.color_spec)
            yield record


def records(
    decoded: Iterable[Frame], film: FilmSource, colorizer: Colorizer, stated: StatedFrames
) -> Iterator[FilmFrame]:
    """Yield a record of every decoded frame, with its model input and the statements about it.

    Reads one frame ahead, as a frame is shown until the next one.
    """
    for index, (frame, following) in enumerate(pairwise(chain(decoded, (None,)))):
        assert frame is not None
        record = film.record(index, frame, colorizer)
        until = None if following is None else following.timestamp.seconds
        record.statements = stated.about(index, frame.timestamp.seconds, until)
        yield record
