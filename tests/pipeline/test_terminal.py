from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.progress import Progress
from pipeline.results import Note, NoteKind
from pipeline.terminal import Bars, Lines, duration, shown
from pipeline.wording import count

ROOT = Path("scans")
ASSUMED = Note(NoteKind.ASSUMED, "limited range")


def paper() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=80, highlight=False), file


def screen() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=80, force_terminal=True, color_system=None, highlight=False, _environ={}), file


def run(progress: Progress) -> None:
    progress.begin("archive", 3, "items")
    progress.begin(str(ROOT / "segments" / "a [1].mp4"), 12, "frames")
    for _ in range(12):
        progress.advance(str(ROOT / "segments" / "a [1].mp4"))
    for name in "abc":
        progress.note(str(ROOT / name), ASSUMED)
    progress.end(str(ROOT / "segments" / "a [1].mp4"))
    progress.say("[not markup]")
    progress.advance("archive")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.4, "0:07"), (65, "1:05"), (600, "10:00"), (3600, "1:00:00"), (37800, "10:30:00")],
)
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_counts_have_a_plural() -> None:
    assert [count(number, "film") for number in (0, 1, 2000)] == ["0 films", "1 film", "2,000 films"]


def test_lines_say_what_starts_and_ends_with_its_pace() -> None:
    console, file = paper()
    with Lines(console, ROOT) as lines:
        run(lines)
    text = file.getvalue()
    assert "archive: 3 items\n" in text
    assert "segments/a [1].mp4: 12 frames\n" in text
    assert "segments/a [1].mp4: 12 frames in 0:00, " in text
    assert "[not markup]" in text
    assert "\x1b" not in text


def test_a_note_that_many_share_is_written_once_and_counted() -> None:
    for console, file in (paper(), screen()):
        with shown(console, quiet=False, root=ROOT) as progress:
            run(progress)
        assert file.getvalue().count("assumed: limited range (a)") == 1
        assert file.getvalue().count("assumed: limited range (as well for 2 more)") == 1
        assert file.getvalue().count("limited range") == 2


def test_bars_show_the_whole_and_the_film_and_leave_a_line() -> None:
    console, file = screen()
    with Bars(console, ROOT) as bars:
        bars.begin("scans/reel.mp4", 24, "frames")
        bars.advance("scans/reel.mp4", 6)
        bars._progress.refresh()
        bars.end("scans/reel.mp4")
        run(bars)
    text = file.getvalue()
    assert "reel.mp4   " in text
    assert " 6/24 frames" in text
    assert "1/3 items" in text
    assert "segments/a [1].mp4: 12 frames in 0:00" in text
    assert "[not markup]" in text


def test_a_film_that_ends_early_says_how_far_it_came() -> None:
    for console, file in (paper(), screen()):
        with shown(console, quiet=False) as progress:
            progress.begin("reel.mp4", 100, "frames")
            progress.advance("reel.mp4", 40)
            progress.end("reel.mp4")
            progress.end("reel.mp4")
        assert file.getvalue().count("reel.mp4: 40 of 100 frames in ") == 1


def test_quiet_draws_nothing() -> None:
    for console, file in (paper(), screen()):
        with shown(console, quiet=True) as progress:
            run(progress)
        assert file.getvalue() == ""


class Clock:
    """The time of the bars, set by hand."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def whole_left(bars: Bars) -> float | None:
    (whole,) = (task for task in bars._progress.tasks if task.fields["unit"] == "items")
    return bars._items_left(whole)


def test_what_is_left_of_an_archive_is_told_by_its_films_once_they_begin(clock: Clock) -> None:
    """Six photographs and four films: the pace of the photographs says nothing of the films."""
    with Bars(screen()[0], monotonic=clock.monotonic) as bars:
        bars.begin("archive", 10, "items")
        for _ in range(6):
            bars.advance("archive")
        assert whole_left(bars) is None
        clock.now += 60
        bars.begin("a.mp4", 100, "frames")
        assert whole_left(bars) is None
        clock.now += 100
        bars.advance("a.mp4", 50)
        # Half a film in 100 seconds, three and a half are left.
        assert whole_left(bars) == pytest.approx(700)
        bars.advance("a.mp4", 50)
        clock.now += 100
        bars.end("a.mp4")
        bars.advance("archive")
        assert whole_left(bars) == pytest.approx(600)


def test_films_side_by_side_count_together_and_those_of_unknown_length_when_they_are_done(clock: Clock) -> None:
    with Bars(screen()[0], monotonic=clock.monotonic) as bars:
        bars.begin("archive", 4, "items")
        bars.begin("a.mp4", 100, "frames")
        bars.begin("b.mp4", 200, "frames")
        bars.begin("c.mp4", None, "frames")
        clock.now += 30
        bars.advance("a.mp4", 50)
        bars.advance("b.mp4", 50)
        bars.advance("c.mp4", 1000)
        # Three quarters of a film in 30 seconds.
        assert whole_left(bars) == pytest.approx(3.25 * 30 / 0.75)
        bars.end("c.mp4")
        bars.advance("archive")
        assert whole_left(bars) == pytest.approx(2.25 * 30 / 1.75)


def test_what_is_left_is_not_told_before_a_hundredth_of_a_film_or_without_a_total(clock: Clock) -> None:
    with Bars(screen()[0], monotonic=clock.monotonic) as bars:
        bars.begin("archive", None, "items")
        bars.begin("a.mp4", 1000, "frames")
        clock.now += 5
        bars.advance("a.mp4", 9)
        assert whole_left(bars) is None
        bars.advance("a.mp4", 500)
        assert whole_left(bars) is None


def test_photographs_alone_leave_what_their_own_bar_says(clock: Clock) -> None:
    with Bars(screen()[0], monotonic=clock.monotonic) as bars:
        bars.begin("archive", 20, "items")
        bars.begin("photographs", 20, "photos")
        for _ in range(10):
            clock.now += 1
            bars.advance("photographs")
            bars.advance("archive")
        (photos,) = (task for task in bars._progress.tasks if task.fields["unit"] == "photos")
        assert whole_left(bars) == photos.time_remaining
