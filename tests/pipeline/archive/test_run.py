from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.archive.run import ArchiveResult, colorize_archive, survey_archive
from pipeline.color.painter import Painter
from pipeline.errors import WeightsError
from pipeline.options import Options
from pipeline.progress import Silent
from pipeline.results import FilmResult, PhotoResult
from tests.films import Sound, make_film
from tests.photos import save, save_tiff, scene


class Listener(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.counts: dict[str, list[int | None]] = {}
        self.open: set[str] = set()

    def begin(self, item: str, total: int | None, unit: str) -> None:
        self.counts[item] = [0, total]
        self.open.add(item)

    def advance(self, item: str, count: int = 1) -> None:
        self.counts[item][0] = (self.counts[item][0] or 0) + count

    def end(self, item: str) -> None:
        self.open.discard(item)

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    root = tmp_path / "scans"
    for folder in ("people", "places/far", "reels"):
        (root / folder).mkdir(parents=True)
    save(root / "people" / "a.jpg", scene())
    save(root / "people" / "b.png", scene())
    save_tiff(root / "places" / "far" / "c.tif", scene(bits=16))
    make_film(root / "reels" / "d.mp4", codec="libx264", times=range(12), sounds=[Sound()])
    (root / "notes.txt").write_text("shoe box, attic", encoding="utf-8")
    (root / "Thumbs.db").write_bytes(b"junk")
    return root


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def run(archive: Path, painter: Painter, **options: bool) -> ArchiveResult:
    return colorize_archive(archive, None, Options(**options), painter=painter)  # type: ignore[arg-type]


def test_a_tree_of_photos_and_films_is_coloured_into_the_same_tree(archive: Path, painter: Painter) -> None:
    before = {name: (archive / name).read_bytes() for name in files(archive)}
    result = run(archive, painter)
    output = archive.with_name("scans-colorized")
    assert files(output) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "reels/d.mp4"]
    assert [type(one) for one in result.results].count(PhotoResult) == 3
    assert [type(one) for one in result.results].count(FilmResult) == 1
    assert (result.failures, result.skipped, result.ignored) == ((), 0, 1)
    assert {name: (archive / name).read_bytes() for name in files(archive)} == before


def test_what_is_done_is_skipped_and_what_is_missing_is_made(archive: Path, painter: Painter) -> None:
    run(archive, painter)
    output = archive.with_name("scans-colorized")
    kept = {name: (output / name).stat().st_mtime_ns for name in files(output)}
    (output / "people" / "b.png").unlink()
    result = run(archive, painter)
    assert [one.output for one in result.results] == [output / "people" / "b.png"]
    assert result.skipped == 3
    del kept["people/b.png"]
    assert {name: (output / name).stat().st_mtime_ns for name in kept} == kept


def test_overwrite_makes_everything_again(archive: Path, painter: Painter) -> None:
    run(archive, painter)
    output = archive.with_name("scans-colorized")
    (output / "people" / "a.jpg").write_bytes(b"old")
    result = run(archive, painter, overwrite=True)
    assert (len(result.results), result.skipped) == (4, 0)
    assert (output / "people" / "a.jpg").read_bytes() != b"old"


def test_bad_files_are_named_with_reason_and_advice_and_stop_nothing(archive: Path, painter: Painter) -> None:
    (archive / "people" / "bad.jpg").write_text("no picture", encoding="utf-8")
    (archive / "people" / "gone.png").symlink_to(archive / "nowhere.png")
    (archive / "reels" / "cut.mp4").write_bytes((archive / "reels" / "d.mp4").read_bytes()[:600])
    whole = (archive / "reels" / "d.mp4").read_bytes()
    (archive / "reels" / "a-half.mp4").write_bytes(whole[: len(whole) // 2])
    listener = Listener()
    result = colorize_archive(archive, None, Options(), painter=painter, progress=listener)
    assert len(result.results) == 4
    bad = {failed.source.name: failed for failed in result.failures}
    assert sorted(bad) == ["a-half.mp4", "bad.jpg", "cut.mp4", "gone.png"]
    for name, failed in bad.items():
        assert name in failed.error
        assert failed.advice
        assert failed.exit_code == 4
    assert not listener.open
    assert not [name for name in files(result.output) if Path(name).name.startswith(".")]


def test_a_film_that_breaks_half_way_leaves_nothing_and_stops_nothing(archive: Path, painter: Painter) -> None:
    blocked = archive.with_name("scans-colorized") / "reels"
    blocked.parent.mkdir()
    blocked.write_text("a file where a folder should be", encoding="utf-8")
    result = run(archive, painter)
    assert len(result.results) == 3
    (failed,) = result.failures
    assert (failed.source.name, failed.exit_code) == ("d.mp4", 5)
    assert files(blocked.parent) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "reels"]


def test_the_count_of_the_whole_is_reached(archive: Path, painter: Painter) -> None:
    (archive / "people" / "bad.jpg").write_text("no picture", encoding="utf-8")
    listener = Listener()
    colorize_archive(archive, None, Options(), painter=painter, progress=listener)
    assert listener.counts["archive"] == [5, 5]
    assert listener.counts["photos"] == [4, 4]
    assert listener.counts[str(archive / "reels" / "d.mp4")][0] == 12
    assert not listener.open
    assert any("bad.jpg" in line for line in listener.said)


def test_a_survey_counts_and_writes_nothing(archive: Path, painter: Painter) -> None:
    before = files(archive.parent)
    survey = survey_archive(archive, None, Options())
    assert (survey.photos, survey.films, survey.skipped, survey.ignored) == (3, 1, 0, 1)
    assert files(archive.parent) == before
    assert not survey.output.exists()
    run(archive, painter)
    survey = survey_archive(archive, None, Options())
    assert (survey.photos, survey.films, survey.skipped, survey.ignored) == (0, 0, 4, 1)


def test_no_engine_is_opened_when_there_is_nothing_to_do(archive: Path, painter: Painter) -> None:
    run(archive, painter)
    nothing = Options(model="no-such-weights")
    result = colorize_archive(archive, None, nothing)
    assert (len(result.results), result.skipped) == (0, 4)
    (archive.with_name("scans-colorized") / "people" / "a.jpg").unlink()
    with pytest.raises(WeightsError):
        colorize_archive(archive, None, nothing)


def test_an_empty_folder_is_no_error(tmp_path: Path, painter: Painter) -> None:
    (tmp_path / "empty").mkdir()
    result = colorize_archive(tmp_path / "empty", None, Options(), painter=painter)
    assert (result.results, result.failures) == ((), ())


def test_names_that_are_no_text_are_coloured_too(tmp_path: Path, painter: Painter) -> None:
    source = tmp_path / "in"
    source.mkdir()
    whole = save(source / "a.png", scene())
    strange = Path(str(source) + "/caf\udce9 \u00e9.png")
    shutil.copyfile(whole, strange)
    result = colorize_archive(source, None, Options(), painter=painter)
    assert sorted(one.output.name for one in result.results) == sorted(["a.png", strange.name])
