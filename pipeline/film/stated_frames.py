"""A person's statements about frames of a film, hints and references, evaluated before any frame is coloured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from pipeline.color.colorizer import Colorizer
from pipeline.color.evidence_pooling import can_pool
from pipeline.color.hints import adjustments
from pipeline.color.model_input import EXIF_TURNS, ModelInput
from pipeline.color.spaces import F32, Codes, RgbSpace, ab_of_rgb, rgb_of, still_spec
from pipeline.color.statements import Statement, hinted, statement
from pipeline.errors import InputError, UsageError
from pipeline.film.frames import FilmSource, film_source
from pipeline.film_time import moment
from pipeline.media.probe import FilmInfo
from pipeline.media.sampling import frame_at
from pipeline.media.stills import read_still, space_for_colour
from pipeline.media.video_plan import plan_video
from pipeline.options import Hint, Options


@dataclass(frozen=True, eq=False)
class StatedFrames:
    """Statements by frame number, counted from 0, and by a moment, in seconds, at which a frame is shown.

    Those in ``anywhere`` belong to no frame, those ``elsewhere`` to frames of other parts of the film.
    """

    numbered: Mapping[int, Statement]
    timed: tuple[tuple[Fraction, Statement], ...] = ()
    anywhere: tuple[Statement, ...] = ()
    elsewhere: tuple[Statement, ...] = ()

    def statements(self) -> tuple[Statement, ...]:
        """All statements."""
        return (*self.numbered.values(), *(made for _, made in self.timed), *self.anywhere, *self.elsewhere)

    def about(self, index: int, begin: Fraction, until: Fraction | None) -> tuple[Statement, ...]:
        """Return the statements about frame ``index``, shown from ``begin`` up to ``until``, in seconds, or the end."""
        # Statements about a time before the first frame apply to that frame.
        shown = (made for time, made in self.timed if (begin <= time or not index) and (until is None or time < until))
        numbered = self.numbered.get(index)
        return tuple(shown) if numbered is None else (numbered, *shown)


def stated_frames(film: FilmSource, colorizer: Colorizer) -> StatedFrames:
    """Return the statements from the film's options and references, each with the network's prediction there.

    Raises `UsageError` for hints without a time, `InputError` for times beyond the film and for references that cannot
    be used, `UsageError` for those of no frame if the network gives too little.
    """
    if any(hint.time is None for hint in film.options.hints):
        raise UsageError(
            f"{film.info.path}: a hint for a film needs the time of a frame",
            advice="Write --hint 0.4,0.6=#3A5FCD@12.5, in seconds or as 0:12.5.",
        )
    shape = film.model_shape(colorizer)
    timed = hints_by_time(film.options.hints)
    return StatedFrames(
        {number: reference_statement(path, colorizer, shape) for number, path in film.references.numbered.items()},
        tuple((moment(time), _hinted(time, hints, film, colorizer)) for time, hints in timed.items()),
        tuple(reference_statement(path, colorizer) for path in film.references.anywhere),
        film.elsewhere,
    )


def hints_elsewhere(
    info: FilmInfo, options: Options, colorizer: Colorizer, begin: Fraction, end: Fraction
) -> tuple[Statement, ...]:
    """Return the statements from hints about frames of the film ``info`` outside of its part from ``begin`` to ``end``.

    The times are in seconds; ``options`` are those of the whole film. Raises `InputError` for times beyond it.
    """
    timed = hints_by_time(options.hints)
    outside = {time: hints for time, hints in timed.items() if not begin <= moment(time) < end}
    if not outside:
        return ()
    film = film_source(info, plan_video(info, options.codec, options.quality), options)
    return tuple(_hinted(time, hints, film, colorizer) for time, hints in outside.items())


def hints_by_time(hints: Iterable[Hint]) -> dict[float, list[Hint]]:
    """Group ``hints`` that have a time by that time, in seconds, ascending."""
    found = defaultdict[float, list[Hint]](list)
    for hint in hints:
        if hint.time is not None:
            found[hint.time].append(hint)
    return dict(sorted(found.items()))


def _hinted(time: float, hints: Iterable[Hint], film: FilmSource, colorizer: Colorizer) -> Statement:
    frame = frame_at(film.info, film.plan.pixel_format, moment(time), luma_weights=film.color_spec.matrix.value)
    if frame is None:
        raise InputError(
            f"{film.info.path}: no frame can be read at {time:g} s, the time of a hint", advice="Check the hint's time."
        )
    seen = film.model_input(frame.luma, colorizer)
    wanted = adjustments(saturation=film.options.saturation, hints=hints)
    return hinted(seen, colorizer.examine(seen), wanted, stride=colorizer.spec.stride)


def reference_statement(path: Path, colorizer: Colorizer, shape: tuple[int, ...] | None = None) -> Statement:
    """Return the statement of the picture at ``path`` about a frame, in ``shape``; if None, in its own, of no frame.

    Raises `InputError` for pictures that cannot be references, `UsageError` for those of no frame if the network
    gives too little.
    """
    still = read_still(path)
    if still.chroma is None:
        raise InputError(
            f"{path}: cannot be a reference: it is grey", advice="Replace it with a coloured picture, or remove it."
        )
    turn = EXIF_TURNS[still.orientation]
    rows, columns = still.luma.shape[:: -1 if turn.quarters % 2 else 1]
    size = colorizer.spec.size
    wanted = shape or size.shape(size.film, width=columns, height=rows)
    stored = wanted[::-1] if turn.quarters % 2 else wanted
    spec = still_spec(8 * still.luma.dtype.itemsize)
    space = space_for_colour(still.metadata.profile)
    luma = turn.upright(spec.luma(_shrunk(still.luma, stored)))
    small = turn.upright(np.stack([_shrunk(plane, stored) for plane in still.chroma]))
    described = None if space is None else RgbSpace.of_profile(space.primaries, space.curve)
    ab = ab_of_rgb(rgb_of(luma, small, spec.matrix), described)
    seen = ModelInput(luma if described is None else described.seen(luma))
    prediction = colorizer.examine(seen)
    if shape is None and not can_pool(prediction):
        raise UsageError(
            f"{path}: {colorizer.spec.model} cannot use it: this network cannot find what in a film looks like it",
            advice="Use --model fast, or name the reference after its frame: 000123.png.",
        )
    share = np.ones(ab.shape[1:], np.float32)
    made = statement(seen, prediction, ab, share, stride=colorizer.spec.stride)
    return replace(made, is_of_no_frame=shape is None)


def _shrunk(plane: F32 | Codes, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(cv2.resize(plane, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), plane.dtype)
