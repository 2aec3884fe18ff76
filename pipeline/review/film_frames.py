"""One frame of a film as it would be coloured in it, except for temporal filtering across neighbouring frames."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path

from pipeline.color.colorizer import Colorizer
from pipeline.color.hints import adjustments
from pipeline.color.statements import Statement, hinted, hints_in
from pipeline.color.temporal import predict_alone
from pipeline.film.reference_frames import FilmReferences
from pipeline.film.stated_frames import hints_by_time, reference_statement
from pipeline.options import Hint, Options
from pipeline.photo.screen import Rgb, ScreenPhoto
from pipeline.reference_files import size_and_time

_KEPT = 64

FrameAt = Callable[[float], ScreenPhoto]
"""Returns the frame of a film shown at a time in seconds."""


class FilmFrames:
    """Frames of films, coloured with all hints and references for the whole film. Not to be shared between threads."""

    def __init__(self, colorizer: Colorizer) -> None:
        self._colorizer = colorizer
        self._known = OrderedDict[Hashable, Statement]()

    def shown(self, film: Path, at: FrameAt, time: float, options: Options, references: FilmReferences) -> Rgb:
        """Return the result (h, w, 3) for the frame of ``film`` that ``at`` gives for ``time``.

        The frame is coloured like a film of a single frame: with its own hints in ``options``, and with hints for other
        frames and ``references`` as far as it resembles them. Raises the errors of `reference_statement`.
        """
        frame = at(time)
        seen = frame.picture.model_input
        timed = self._timed(film, at, options)
        referenced = [self._reference(path, seen.luma.shape) for path in references.numbered.values()]
        referenced += [self._reference(path, None) for path in references.anywhere]
        stated = (timed[time],) if time in timed else ()
        ab = predict_alone(
            seen,
            frame.prediction,
            self._colorizer.prediction_settings(options, (*timed.values(), *referenced)),
            stated=stated,
        )
        return frame.with_chroma(ab, hints_in(stated))

    def _timed(self, film: Path, at: FrameAt, options: Options) -> dict[float, Statement]:
        """Return the statements made from hints, by time; hints for photographs have none."""

        def stated(time: float, hints: list[Hint]) -> Statement:
            frame, wanted = at(time), adjustments(saturation=options.saturation, hints=hints)
            return hinted(frame.picture.model_input, frame.prediction, wanted, stride=self._colorizer.spec.stride)

        return {
            time: self._kept((film, time, tuple(hints), options.saturation), partial(stated, time, hints))
            for time, hints in hints_by_time(options.hints).items()
        }

    def _reference(self, path: Path, shape: tuple[int, ...] | None) -> Statement:
        key = path, *size_and_time(path), shape
        return self._kept(key, partial(reference_statement, path, self._colorizer, shape))

    def _kept(self, key: Hashable, make: Callable[[], Statement]) -> Statement:
        known = self._known.pop(key, None) or make()
        self._known[key] = known
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return known
