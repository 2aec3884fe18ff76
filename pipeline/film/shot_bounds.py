"""Positions of the shots in a film, for viewing them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from pipeline.color.frame_record import FrameRecord
from pipeline.color.model_input import ModelInput
from pipeline.color.shots import find_shots
from pipeline.errors import InputError
from pipeline.film.shot_records import previewed
from pipeline.film_time import time_text
from pipeline.interruption import StopRequest
from pipeline.media.probe import FilmInfo, open_picture
from pipeline.media.sampling import frames_from
from pipeline.media.source import reporting
from pipeline.progress import Progress, announced
from pipeline.sizes import size_within

_SIDE = 256


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A part of a film, from ``start`` to ``end``, in seconds; ``label`` is the time of its thumbnail."""

    label: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Shots:
    """The parts of a film shown in a review, in order, and the duration of one ``frame``, in seconds."""

    frame: float
    shots: tuple[Shot, ...]

    @staticmethod
    def of(
        info: FilmInfo,
        labels: Sequence[str],
        starts: Sequence[float],
        ends: Sequence[float],
        *,
        frames: int,
    ) -> Shots:
        """Return the shots of the film ``info``. An infinite end stands for the end of the film.

        That is taken from the film, or from the ``frames`` of the shot if the film states no duration.
        """
        frame = _frame(info)
        stated = _stated_end(info)

        def ended(start: float) -> float:
            return stated if stated - start >= frame else start + frames * frame

        shots = (
            Shot(label=label, start=start, end=ended(start) if math.isinf(end) else end)
            for label, start, end in zip(labels, starts, ends, strict=False)
        )
        return Shots(frame=frame, shots=tuple(shots))

    @staticmethod
    def found(info: FilmInfo, *, progress: Progress, stop: StopRequest) -> Shots:
        """Find the shots of the film ``info``, as colouring it does, with labels at their middles: decodes all of it.

        Of very many shots some are listed, each up to the next one that is. ``progress`` counts frames. Raises
        `InputError`, and `Cancelled` when ``stop`` is made.
        """
        with announced(progress, str(info.path), info.frame_count, "frames"):
            begins, end = _begins(info, progress, stop)
        bounds = [*begins, end]
        shown = previewed(len(begins))
        until = [*(bounds[number] for number in shown[1:]), end]
        shots = (
            Shot(label=time_text((bounds[number] + bounds[number + 1]) / 2), start=bounds[number], end=ended)
            for number, ended in zip(shown, until, strict=True)
        )
        return Shots(frame=_frame(info), shots=tuple(shots))

    @staticmethod
    def even(info: FilmInfo, parts: int) -> Shots:
        """Divide the film ``info`` into ``parts`` of equal length, with labels at their middles.

        A film that states no duration is read through. Raises `InputError`.
        """
        frame = _frame(info)
        begin = float(info.start)
        stated = _stated_end(info) - begin
        part = (stated if stated >= frame else _pictures(info) * frame) / parts
        shots = (
            Shot(
                label=time_text(begin + part * (number + 0.5)),
                start=begin + part * number,
                end=begin + part * (number + 1),
            )
            for number in range(parts)
        )
        return Shots(frame=frame, shots=tuple(shots))


def _begins(info: FilmInfo, progress: Progress, stop: StopRequest) -> tuple[list[float], float]:
    """Return the times at which the shots of a film begin, and its end, in seconds. Raises `InputError`."""
    begins: list[float] = []
    times: deque[float] = deque()
    end, shot = 0.0, -1

    def records() -> Iterator[FrameRecord]:
        nonlocal end
        with reporting(info.path), closing(frames_from(info, info.start)) as decoded:
            for frame in decoded:
                stop.check()
                progress.advance(str(info.path))
                width, height = size_within(_SIDE, frame.width, frame.height)
                small = frame.reformat(width=width, height=height, format="gray", interpolation="AREA")
                times.append(float((frame.pts or 0) * info.time_base))
                end = times[-1] + _frame(info)
                luma = np.asarray(small.to_ndarray(), np.float32) / np.float32(255)
                yield FrameRecord(index=len(times), model_input=ModelInput(luma))

    for record in find_shots(records()):
        time = times.popleft()
        if record.shot != shot:
            shot = record.shot
            begins.append(time)
    if not begins:
        raise InputError(f"{info.path}: no frame can be read", advice="Check that it plays.")
    return begins, end


def _frame(info: FilmInfo) -> float:
    return float(1 / info.usual_rate)


def _stated_end(info: FilmInfo) -> float:
    """Return the stated end of a film, 0 if there is none: Matroska states the end, other containers the duration."""
    if not info.duration:
        return 0
    return float(info.duration if "matroska" in info.container else info.start + info.duration)


def _pictures(info: FilmInfo) -> int:
    with reporting(info.path), open_picture(info) as (container, stream):
        return sum(packet.size > 0 for packet in container.demux(stream))
