"""Where the shots of a film lie in it, for those who look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pipeline.media.probe import probe

_USUAL_RATE = 25


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
        film: Path, labels: Sequence[str], starts: Sequence[float], ends: Sequence[float], *, rate: Fraction | None
    ) -> Shots:
        """Return those of ``film``; ends beyond its own are that. Raises `InputError` for a film that is not there."""
        info = probe(film, rate=rate)
        duration = float(info.duration or 0)
        shots = (
            Shot(label=label, start=start, end=min(end, duration))
            for label, start, end in zip(labels, starts, ends, strict=False)
        )
        return Shots(frame=float(1 / (info.average_rate or _USUAL_RATE)), shots=tuple(shots))
