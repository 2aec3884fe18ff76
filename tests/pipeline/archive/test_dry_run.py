from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.archive.dry_run import (
    Forecast,
    Pace,
    Survey,
    film_pace,
    forecast,
    measured,
    photo_pace,
    samples,
    survey_archive,
)
from pipeline.archive.ledger import open_ledger
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.color.colorizer import open_colorizer
from pipeline.options import Options
from pipeline.progress import Silent
from tests.engines.tiny import write_tiny_model
from tests.films import make_film
from tests.photos import save, scene

PHOTOS = Pace(items=20, per_item=0.5, per_byte=0.001, growth=1.5)
FILMS = Pace(items=2, per_item=60.0, per_byte=0.01, growth=0.5)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    return Options(engine="onnxruntime", model=str(write_tiny_model(tmp_path_factory.mktemp("weights"))))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for number in range(24):
        save(root / f"{number:02}.png", scene(width=64 + number % 3))
    (root / "films").mkdir()
    make_film(root / "films" / "reel.mp4", codec="libx264", times=range(30))
    (root / "notes.txt").write_text("attic", encoding="utf-8")
    return root


def survey(**counts: int) -> Survey:
    numbers = dict.fromkeys(
        (
            "photos",
            "films",
            "skipped",
            "unknown",
            "quarantined",
            "refused",
            "ignored",
            "hidden",
            "photo_bytes",
            "film_bytes",
            "film_pixels",
        ),
        0,
    )
    return Survey(
        source=Path("a"),
        output=Path("b"),
        links=(),
        ignored_suffixes={},
        failed=0,
        failures=(),
        quarantined_sources=(),
        film_notes=(),
        **{**numbers, **counts},
    )


def test_photographs_count_by_number_and_films_by_size() -> None:
    work = survey(photos=1000, photo_bytes=2_000_000, films=10, film_bytes=100_000)
    expected = Forecast(seconds=500.0 + 1000.0, size=3_000_000 + 50_000, photos=20, films=2)
    assert forecast(work, photos=PHOTOS, films=FILMS) == expected


def test_films_count_by_pixels_where_these_are_known() -> None:
    paced = Pace(items=1, per_item=60.0, per_byte=0.01, growth=0.5, per_pixel=1e-6)
    assert forecast(survey(films=1, film_bytes=100, film_pixels=3_000_000), photos=None, films=paced).seconds == 3.0
    assert forecast(survey(films=1, film_bytes=100), photos=None, films=paced).seconds == 1.0


def test_what_there_is_nothing_to_judge_by_is_not_guessed() -> None:
    unknown = forecast(survey(photos=1, films=1), photos=PHOTOS, films=None)
    assert (unknown.seconds, unknown.size) == (None, None)
    assert forecast(survey(), photos=None, films=None) == Forecast(seconds=0.0, size=0, photos=0, films=0)


@pytest.mark.slow
def test_earlier_runs_tell_the_pace(tree: Path, tmp_path: Path, options: Options) -> None:
    done = colorize_archive(tree, tmp_path / "out", options, run_options=RunOptions(keep_free=0))
    assert (done.photos, done.films, done.failed) == (24, 1, 0)
    with open_ledger(tmp_path / "out") as ledger:
        photos, films = measured(ledger)
    assert photos is not None
    assert films is not None
    sources, results = sorted(tree.glob("*.png")), sorted((tmp_path / "out").glob("*.png"))
    assert photos.items == 24
    assert photos.growth == pytest.approx(
        sum(path.stat().st_size for path in results) / sum(path.stat().st_size for path in sources)
    )
    # Many are worked on at a time: what each took would add up to more than the run did.
    assert 0 < photos.per_item * 24 < done.seconds
    assert films.items == 1
    assert 0 < films.per_item < done.seconds


def test_too_few_photographs_tell_no_pace(tmp_path: Path, options: Options) -> None:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / "a.png", scene())
    colorize_archive(tmp_path / "in", tmp_path / "out", options, run_options=RunOptions(keep_free=0))
    with open_ledger(tmp_path / "out") as ledger:
        assert measured(ledger) == (None, None)


def test_samples_are_drawn_from_what_the_orders_take(tree: Path) -> None:
    photos, films = samples(tree, RunOptions())
    assert len(set(photos)) == len(photos) == 7
    assert [path.name for path in films] == ["reel.mp4"]
    photos, films = samples(tree, RunOptions(include=("0*.png",), exclude=("00.png",)))
    assert {path.name for path in photos} <= {f"0{number}.png" for number in range(1, 10)}
    assert (len(photos), films) == (7, [])


@pytest.mark.slow
def test_a_few_sources_are_coloured_to_nowhere(tree: Path, tmp_path: Path, options: Options) -> None:
    before = sorted(tree.rglob("*"))
    broken = tmp_path / "broken.png"
    broken.write_text("no picture", encoding="utf-8")
    with open_colorizer(options) as colorizer:
        photos = photo_pace([*sorted(tree.glob("0*.png")), broken], options, colorizer=colorizer)
        films = film_pace([tree / "films" / "reel.mp4"], options, colorizer=colorizer)
        brief = film_pace([tree / "films" / "reel.mp4"], options, colorizer=colorizer, seconds=0.0)
        assert photo_pace([broken], options, colorizer=colorizer) is None
        assert film_pace([broken], options, colorizer=colorizer) is None
    assert photos is not None
    assert films is not None
    assert brief is not None
    assert photos.items == 10
    assert photos.per_item > 0
    assert photos.growth > 1
    assert films.items == brief.items == 1
    assert films.growth > 0
    assert films.per_pixel is not None
    assert films.per_pixel * 30 * 96 * 64 == pytest.approx(films.per_item)
    assert sorted(tree.rglob("*")) == before


def test_a_survey_and_its_forecast_fit_together(tree: Path, tmp_path: Path, options: Options) -> None:
    counted = survey_archive(tree, tmp_path / "out", options)
    assert (counted.photos, counted.films) == (24, 1)
    assert counted.film_pixels == 30 * 96 * 64
    assert forecast(counted, photos=PHOTOS, films=FILMS).seconds == pytest.approx(
        12 + counted.film_bytes * 0.01, abs=0.1
    )


class Counted(Silent):
    """How many films were read."""

    read = 0

    def advance(self, item: str, count: int = 1) -> None:
        self.read += count


def test_a_survey_reads_the_films_and_tells_what_they_lose_or_why_they_are_refused(
    tmp_path: Path, options: Options
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    make_film(source / "a.avi", codec="mpeg4", times=range(10))
    whole = make_film(tmp_path / "b.mkv", times=range(30)).read_bytes()
    (source / "b.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    with av.open(str(source / "c.mkv"), "w") as song:
        voice = song.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="stereo")
        frame.sample_rate = 8000
        song.mux(voice.encode(frame))
    films = Counted()
    found = survey_archive(source, tmp_path / "out", options, progress=films)
    assert films.read == 2  # c.mkv is known for a sound file before any film is read
    ((film, notes),) = [(noted.source, noted.notes) for noted in found.film_notes]
    assert film == source / "a.avi"
    assert [note.text for note in notes] == ["the result is .mkv, not .avi"]
    assert (found.films, found.failed, found.refused) == (1, 1, 1)
    assert found.failures[0].source == source / "b.mkv"
