"""What a person states about the whole film, for the preview of a part of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from pipeline.film.excerpt import excerpt, frame_number, moved
from pipeline.options import Hint, Options, Span
from tests.films import make_film


def test_a_part_gets_the_hints_that_lie_in_it_at_their_times_there() -> None:
    hints = tuple(Hint(x=0.5, y=0.5, color="neutral", time=time) for time in (1.0, 12.5, 19.99, 30.0))
    part = moved(Options(hints=hints, reference=Path("refs")), Fraction(10), Fraction(20))
    assert [hint.time for hint in part.hints] == [2.5]
    assert part.reference is None


def test_a_part_counts_from_the_first_frame_whenever_that_is_shown(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(50, 98), options={"g": "1"})
    folder = tmp_path / "part"
    folder.mkdir()
    part = excerpt(film, Span(seconds=Fraction(1, 2), start=Fraction(1)), folder)
    assert (part.start, part.origin) == (1, 2)
    assert frame_number(film, part.start) == 25
