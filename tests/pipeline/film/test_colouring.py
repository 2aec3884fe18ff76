"""The frames of a film come out of its colouring one to one and in order, in one part or many."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from pipeline.color.colorizer import Colorizer
from pipeline.film.colouring import Colouring
from pipeline.film.frames import FilmFrame, FilmSource, film_source
from pipeline.film.shot_records import ShotLog
from pipeline.media.film_plan import plan_film
from pipeline.media.read_log import ReadLog
from pipeline.options import Options
from tests.films import make_film, moving_luma


@pytest.fixture
def film(tmp_path: Path) -> FilmSource:
    """Forty frames, and a cut after every ten."""
    source = make_film(
        tmp_path / "film.mkv",
        times=range(40),
        luma=lambda number: moving_luma(number + 1000 * (number // 10), width=96, height=64, grain=0.3),
    )
    options = Options()
    planned = plan_film(source, options)
    return film_source(planned.info, planned.video, options)


def coloured(film: FilmSource, colorizer: Colorizer, *, at_least: int | None) -> list[list[FilmFrame]]:
    """Return the frames of every part."""
    found = []
    colouring = Colouring(film, colorizer)
    with closing(colouring.parts(ReadLog(luma=False), at_least=at_least)) as parts:
        for part in parts:
            with closing(colouring.frames(part)) as frames:
                found.append(list(frames))
    return found


def test_every_frame_comes_once_and_in_order_in_one_part_or_many(film: FilmSource, opened: Colorizer) -> None:
    (whole,) = coloured(film, opened, at_least=None)
    parts = coloured(film, opened, at_least=5)
    assert len(parts) > 1
    for frames in (whole, [frame for part in parts for frame in part]):
        assert [frame.index for frame in frames] == list(range(40))
        assert [frame.frame.timestamp.pts for frame in frames] == [frame.frame.timestamp.pts for frame in whole]


def test_a_frame_that_was_dropped_or_reordered_on_the_way_is_refused(film: FilmSource, opened: Colorizer) -> None:
    ((first, second, third, *_),) = coloured(film, opened, at_least=None)
    for wrong in ([second], [first, third], [first, second, first], [first, first]):
        log = ShotLog(film)
        with pytest.raises(ValueError, match=r"frame \d comes where frame \d should"):
            for frame in wrong:
                log.add(frame)
    log = ShotLog(film)
    for frame in (first, second, third):
        log.add(frame)
    assert log.frames == 3
