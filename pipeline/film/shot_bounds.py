"""Positions of the shots in a film, for viewing them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.film_time import time_text
from pipeline.media.probe import FilmInfo, open_picture
from pipeline.media.source import reporting


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
