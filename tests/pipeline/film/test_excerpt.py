"""What a person states about the whole film, for the preview of a part of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from pipeline.film.excerpt import moved
from pipeline.options import Hint, Options


def test_a_part_gets_the_hints_that_lie_in_it_at_their_times_there() -> None:
    hints = tuple(Hint(x=0.5, y=0.5, color="neutral", time=time) for time in (1.0, 12.5, 19.99, 30.0))
    part = moved(Options(hints=hints, reference=Path("refs")), Fraction(10), Fraction(20))
    assert [hint.time for hint in part.hints] == [2.5]
    assert part.reference is None
