"""Where the shots of a film lie in it, for those who look at them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.film_time import time_text
from pipeline.media.probe import FilmInfo, open_picture
from pipeline.media.source import reporting


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A part of a film, from ``start`` to ``end``, in seconds; ``label`` is the time of its small picture."""

    label: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Shots:
    """The parts of a film that a review shows, in order, and how long one ``frame`` of it is shown, in seconds."""

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
        """Return those of the film ``info``. An end that is infinite is the film's.

        That is told by the film, or by the ``frames`` of the shot where it does not say how long it is.
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
        """Return ``parts`` of the film ``info`` that are equally long, with labels of their middles.

        A film that does not say how long it is is read through. Raises `InputError`.
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
    """Return when a film says that it ends, 0 if it does not: Matroska says when, other containers how long it is."""
    if not info.duration:
        return 0
    return float(info.duration if "matroska" in info.container else info.start + info.duration)


def _pictures(info: FilmInfo) -> int:
    with reporting(info.path), open_picture(info) as (container, stream):
        return sum(packet.size > 0 for packet in container.demux(stream))
