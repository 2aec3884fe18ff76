from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive import books as bookkeeping
from pipeline.archive import shift
from pipeline.archive.ledger import Record, State, read_ledger
from pipeline.archive.lock import locked
from pipeline.archive.orders import Orders, Shard
from pipeline.archive.revival import revived
from pipeline.archive.run import ArchiveResult, colorize_archive, survey_archive
from pipeline.color.painter import Painter
from pipeline.errors import EngineError, LockedError, OutputError, UsageError, WeightsError
from pipeline.interruption import Interruption
from pipeline.media.publish import PARTIAL_PREFIX
from pipeline.options import Codec, Options, Quality, Tone
from pipeline.progress import Silent
from pipeline.results import Failure, FilmResult
from pipeline.video import colorize_video
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


def results(output: Path) -> list[str]:
    """Name the results under ``output``: what is ours beside them left out."""
    return [
        name
        for name in files(output)
        if not name.startswith(".autochrome/") and not name.endswith(".autochrome.json") and name != "report.html"
    ]


def run(archive: Path, painter: Painter, *, orders: Orders | None = None, **options: Any) -> ArchiveResult:
    return colorize_archive(archive, None, Options(**options), orders=orders, painter=painter)


def counts(result: ArchiveResult) -> tuple[int, int, int]:
    """Return how many were done, skipped, failed."""
    return result.photos + result.films, result.skipped, result.failed


def records(output: Path, *, shard: Shard | None = None) -> dict[str, Record]:
    ledger = read_ledger(output, shard=shard)
    assert ledger is not None
    with ledger:
        return {record.path: record for record in ledger.records()}


def states(output: Path) -> dict[str, State]:
    return {path: record.state for path, record in records(output).items()}


def change_ledger(output: Path, query: str, *values: object) -> None:
    with closing(sqlite3.connect(output / ".autochrome" / "ledger.sqlite3")) as connection:
        connection.execute(query, values)
        connection.commit()


def test_a_tree_of_photos_and_films_is_coloured_into_the_same_tree(archive: Path, painter: Painter) -> None:
    before = {name: (archive / name).read_bytes() for name in files(archive)}
    result = run(archive, painter)
    output = archive.with_name("scans-colorized")
    assert results(output) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "reels/d.mp4"]
    assert (result.photos, result.films, result.failures, result.skipped, result.ignored) == (3, 1, (), 0, 1)
    assert {name: (archive / name).read_bytes() for name in files(archive)} == before


def test_the_ledger_tells_what_became_of_every_item(archive: Path, painter: Painter) -> None:
    run(archive, painter)
    output = archive.with_name("scans-colorized")
    found = records(output)
    assert sorted(found) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "reels/d.mp4"]
    for path, record in found.items():
        assert (record.state, record.output, record.engine) == (State.DONE, path, "onnxruntime")
        assert record.source_sha256 == sha256((archive / path).read_bytes()).hexdigest()
        assert record.result_sha256 == sha256((output / path).read_bytes()).hexdigest()
        assert record.result is not None
        assert record.result["source"] == str(archive / path)
        assert record.seconds is not None
        assert record.seconds > 0
    film = found["reels/d.mp4"].result
    assert film is not None
    assert isinstance(revived(film), FilmResult)


def test_every_result_has_a_sidecar_unless_none_are_wanted(archive: Path, painter: Painter) -> None:
    run(archive, painter)
    output = archive.with_name("scans-colorized")
    sidecar = json.loads((output / "people" / "a.jpg.autochrome.json").read_bytes())
    assert sidecar["source"]["name"] == "people/a.jpg"
    assert sidecar["result"]["sha256"] == sha256((output / "people" / "a.jpg").read_bytes()).hexdigest()
    shutil.rmtree(output)
    run(archive, painter, orders=Orders(sidecars=False))
    assert not [name for name in files(output) if name.endswith(".autochrome.json")]


def test_what_is_done_is_skipped_and_what_is_missing_is_made(archive: Path, painter: Painter) -> None:
    run(archive, painter)
    output = archive.with_name("scans-colorized")
    kept = {name: (output / name).stat().st_mtime_ns for name in results(output)}
    (output / "people" / "b.png").unlink()
    assert counts(run(archive, painter)) == (1, 3, 0)
    del kept["people/b.png"]
    assert {name: (output / name).stat().st_mtime_ns for name in kept} == kept
    assert (output / "people" / "b.png").exists()


def test_overwrite_makes_everything_again(archive: Path, painter: Painter) -> None:
    run(archive, painter)
    output = archive.with_name("scans-colorized")
    (output / "people" / "a.jpg").write_bytes(b"old")
    assert counts(run(archive, painter, overwrite=True)) == (4, 0, 0)
    assert (output / "people" / "a.jpg").read_bytes() != b"old"


def test_a_file_that_is_not_known_to_be_ours_is_kept_and_said(archive: Path, painter: Painter) -> None:
    output = archive.with_name("scans-colorized")
    (output / "people").mkdir(parents=True)
    (output / "people" / "a.jpg").write_bytes(b"retouched by hand")
    listener = Listener()
    result = colorize_archive(archive, None, Options(), painter=painter, progress=listener)
    assert (counts(result), result.unknown) == ((3, 1, 0), 1)
    assert (output / "people" / "a.jpg").read_bytes() == b"retouched by hand"
    assert any("not known to be ours" in line for line in listener.said)


def test_a_changed_source_is_done_again(archive: Path, painter: Painter) -> None:
    run(archive, painter)
    output = archive.with_name("scans-colorized")
    before = (output / "people" / "b.png").read_bytes()
    save(archive / "people" / "b.png", scene(width=180))
    assert counts(run(archive, painter)) == (1, 3, 0)
    assert (output / "people" / "b.png").read_bytes() != before
    assert counts(run(archive, painter)) == (0, 4, 0)


def test_a_copied_tree_with_new_times_is_not_done_again(archive: Path, painter: Painter) -> None:
    run(archive, painter)
    output = archive.with_name("scans-colorized")
    for path in (*archive.rglob("*"), *output.rglob("*.*")):
        if path.is_file() and ".autochrome" not in path.parts:
            os.utime(path, (1000, 1000))
    assert counts(run(archive, painter)) == (0, 4, 0)
    record = records(output)["people/a.jpg"]
    assert (record.source_mtime_ns, record.result_mtime_ns) == (1000 * 10**9, 1000 * 10**9)


def test_an_option_for_films_makes_only_films_again(archive: Path, painter: Painter) -> None:
    run(archive, painter)
    output = archive.with_name("scans-colorized")
    photos = {name: (output / name).stat().st_ino for name in results(output) if not name.startswith("reels")}
    result = run(archive, painter, codec=Codec.HEVC)
    assert (result.photos, result.films, result.skipped) == (0, 1, 3)
    assert {name: (output / name).stat().st_ino for name in photos} == photos
    assert run(archive, painter, codec=Codec.HEVC, tone=Tone.KEEP).photos == 3


def test_an_old_result_stays_until_the_new_one_is_there(archive: Path, painter: Painter) -> None:
    run(archive, painter)
    output = archive.with_name("scans-colorized")
    old = (output / "reels" / "d.mp4").read_bytes()
    whole = (archive / "reels" / "d.mp4").read_bytes()
    (archive / "reels" / "d.mp4").write_bytes(whole[: len(whole) // 2])
    assert counts(run(archive, painter)) == (0, 3, 1)
    assert (output / "reels" / "d.mp4").read_bytes() == old
    (archive / "reels" / "d.mp4").write_bytes(whole + bytes(8))
    assert counts(run(archive, painter)) == (1, 3, 0)


def test_bad_files_are_named_with_reason_and_advice_and_stop_nothing(archive: Path, painter: Painter) -> None:
    (archive / "people" / "bad.jpg").write_text("no picture", encoding="utf-8")
    (archive / "people" / "gone.png").symlink_to(archive / "nowhere.png")
    (archive / "reels" / "cut.mp4").write_bytes((archive / "reels" / "d.mp4").read_bytes()[:600])
    whole = (archive / "reels" / "d.mp4").read_bytes()
    (archive / "reels" / "a-half.mp4").write_bytes(whole[: len(whole) // 2])
    listener = Listener()
    result = colorize_archive(archive, None, Options(), painter=painter, progress=listener)
    assert (result.photos, result.films) == (3, 1)
    bad = {failed.source.name: failed for failed in result.failures}
    assert sorted(bad) == ["a-half.mp4", "bad.jpg", "cut.mp4", "gone.png"]
    for name, failed in bad.items():
        assert name in failed.error
        assert failed.advice
        assert failed.exit_code == 4
    assert not listener.open
    assert not [name for name in results(result.output) if Path(name).name.startswith(".")]
    kept = {path: record for path, record in records(result.output).items() if record.state is State.FAILED}
    assert {Path(path).name: record.error for path, record in kept.items()} == {
        name: failed.error for name, failed in bad.items()
    }


def test_a_film_that_breaks_half_way_leaves_nothing_and_stops_nothing(archive: Path, painter: Painter) -> None:
    blocked = archive.with_name("scans-colorized") / "reels"
    blocked.parent.mkdir()
    blocked.write_text("a file where a folder should be", encoding="utf-8")
    result = run(archive, painter)
    assert result.photos == 3
    (failed,) = result.failures
    assert (failed.source.name, failed.exit_code) == ("d.mp4", 5)
    assert results(blocked.parent) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "reels"]


def test_the_count_of_the_whole_is_reached(archive: Path, painter: Painter) -> None:
    (archive / "people" / "bad.jpg").write_text("no picture", encoding="utf-8")
    listener = Listener()
    colorize_archive(archive, None, Options(), painter=painter, progress=listener)
    assert listener.counts["archive"] == [5, 5]
    assert listener.counts["photos"] == [4, 4]
    assert listener.counts[str(archive / "reels" / "d.mp4")][0] == 12
    assert not listener.open
    assert any("bad.jpg" in line for line in listener.said)


def test_a_survey_counts_and_writes_nothing(archive: Path, painter: Painter, tiny: Path) -> None:
    before = files(archive.parent)
    survey = survey_archive(archive, None, Options())
    assert (survey.photos, survey.films, survey.skipped, survey.ignored) == (3, 1, 0, 1)
    assert files(archive.parent) == before
    assert not survey.output.exists()
    run(archive, painter)
    survey = survey_archive(archive, None, Options(model=str(tiny)))
    assert (survey.photos, survey.films, survey.skipped, survey.ignored) == (0, 0, 4, 1)


def test_a_dry_run_beside_a_ledger_changes_nothing(archive: Path, painter: Painter, tiny: Path) -> None:
    run(archive, painter)
    (archive / "people" / "b.png").write_bytes(b"changed")
    before = {name: (archive.parent / name).stat().st_mtime_ns for name in files(archive.parent)}
    survey = survey_archive(archive, None, Options(model=str(tiny)))
    assert (survey.photos, survey.films, survey.skipped, survey.photo_bytes) == (1, 0, 3, 7)
    assert {name: (archive.parent / name).stat().st_mtime_ns for name in files(archive.parent)} == before


def test_no_engine_is_opened_when_there_is_nothing_to_do(archive: Path, painter: Painter, tiny: Path) -> None:
    run(archive, painter)
    nothing = Options(model=str(tiny), engine="no-such-engine")
    assert counts(colorize_archive(archive, None, nothing)) == (0, 4, 0)
    (archive.with_name("scans-colorized") / "people" / "a.jpg").unlink()
    with pytest.raises(EngineError):
        colorize_archive(archive, None, nothing)
    with pytest.raises(WeightsError):
        colorize_archive(archive, None, Options(model="no-such-weights"))


def test_an_empty_folder_is_no_error(tmp_path: Path, painter: Painter) -> None:
    (tmp_path / "empty").mkdir()
    result = colorize_archive(tmp_path / "empty", None, Options(), painter=painter)
    assert (counts(result), result.failures) == ((0, 0, 0), ())


def test_names_that_are_no_text_are_coloured_too(tmp_path: Path, painter: Painter) -> None:
    source = tmp_path / "in"
    source.mkdir()
    whole = save(source / "a.png", scene())
    strange = Path(str(source) + "/caf\udce9 \u00e9.png")
    shutil.copyfile(whole, strange)
    result = colorize_archive(source, None, Options(), painter=painter)
    assert results(result.output) == sorted(["a.png", strange.name])
    assert counts(colorize_archive(source, None, Options(), painter=painter)) == (0, 2, 0)


def test_a_bag_holds_the_results_under_data_and_goes_on_as_one(archive: Path, painter: Painter) -> None:
    result = run(archive, painter, orders=Orders(bag=True))
    data = result.output / "data"
    assert (data / "people" / "a.jpg").exists()
    listed = (result.output / "manifest-sha256.txt").read_text(encoding="utf-8").splitlines()
    assert f"{sha256((data / 'people' / 'a.jpg').read_bytes()).hexdigest()}  data/people/a.jpg" in listed
    assert records(result.output)["people/a.jpg"].output == "data/people/a.jpg"
    assert counts(run(archive, painter, orders=Orders(bag=True))) == (0, 4, 0)
    with pytest.raises(UsageError, match="bag"):
        run(archive, painter)


def test_a_report_is_written_whatever_happened_unless_none_is_wanted(
    archive: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shift, "colorize_video", failing(1, Interruption(2)))
    with pytest.raises(Interruption):
        run(archive, painter)
    page = archive.with_name("scans-colorized") / "report.html"
    assert "people/a.jpg" in page.read_text(encoding="utf-8")
    page.unlink()
    assert run(archive, painter, orders=Orders(report=False)).report is None
    assert not page.exists()
    assert run(archive, painter).report == page
    assert page.exists()


def test_a_second_run_on_the_same_output_is_refused(archive: Path, painter: Painter) -> None:
    with locked(archive.with_name("scans-colorized")), pytest.raises(LockedError):
        run(archive, painter)


def test_when_time_is_up_the_rest_is_left_for_the_next_run(archive: Path, painter: Painter) -> None:
    past = datetime.now(UTC) - timedelta(minutes=1)
    result = run(archive, painter, orders=Orders(until=past))
    assert (counts(result), result.waiting) == ((0, 0, 0), 4)
    assert set(states(result.output).values()) == {State.WAITING}
    result = run(archive, painter, orders=Orders(until=datetime.now(UTC) + timedelta(hours=1)))
    assert (counts(result), result.waiting) == ((4, 0, 0), 0)


def test_time_that_runs_out_on_the_way_ends_the_run_between_two_items(
    archive: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        looks = 0

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            cls.looks += 1
            return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=cls.looks)

    monkeypatch.setattr(shift, "datetime", Clock)
    result = run(archive, painter, orders=Orders(until=datetime(2024, 1, 1, 3, 30, tzinfo=UTC)))
    # One look before the photographs are claimed, one before each of them.
    assert (result.photos, result.films, result.waiting) == (2, 0, 2)
    assert sorted(states(result.output).values()) == [State.DONE, State.DONE, State.WAITING, State.WAITING]
    monkeypatch.undo()
    assert counts(run(archive, painter)) == (2, 2, 0)


def test_a_long_film_stops_when_time_is_up_and_goes_on_in_the_next_run(
    tmp_path: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, options = tmp_path / "in", Options(quality=Quality.MASTER)
    source.mkdir()
    film = make_film(source / "long.mp4", codec="libx264", times=range(40), sounds=[Sound()])
    monkeypatch.setattr(shift, "colorize_video", partial(colorize_video, reel_frames=5))
    whole = colorize_archive(source, tmp_path / "whole", options, painter=painter)
    now = datetime(2024, 1, 1, tzinfo=UTC)

    class Watch(Listener):
        def advance(self, item: str, count: int = 1) -> None:
            super().advance(item, count)
            if self.counts[item][0] == 18:
                Clock.hours = 8

    class Clock(datetime):
        hours = 0

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return now + timedelta(hours=cls.hours)

    listener = Watch()
    monkeypatch.setattr(shift, "datetime", Clock)
    orders = Orders(until=now + timedelta(hours=6))
    first = colorize_archive(source, tmp_path / "out", options, orders=orders, painter=painter, progress=listener)
    assert (counts(first), first.waiting) == ((0, 0, 0), 1)
    assert listener.counts[str(film)][0] == 18
    assert states(tmp_path / "out") == {"long.mp4": State.WAITING}
    assert results(tmp_path / "out") == [name for name in results(tmp_path / "out") if ".reels/" in name]
    Clock.hours = 0
    listener = Listener()
    again = colorize_archive(source, tmp_path / "out", options, painter=painter, progress=listener)
    assert counts(again) == (1, 0, 0)
    assert results(again.output) == ["long.mp4.mkv"]
    assert (again.output / "long.mp4.mkv").read_bytes() == (whole.output / "long.mp4.mkv").read_bytes()


def test_a_disk_that_is_too_full_ends_the_run_and_loses_nothing(archive: Path, painter: Painter) -> None:
    with pytest.raises(OutputError, match="free"):
        run(archive, painter, orders=Orders(keep_free=1 << 60))
    output = archive.with_name("scans-colorized")
    assert set(states(output).values()) == {State.WAITING}
    assert counts(run(archive, painter)) == (4, 0, 0)


def test_the_longest_film_comes_first(archive: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, length in (("a.mp4", 6), ("z.mp4", 24)):
        make_film(archive / "reels" / name, codec="libx264", times=range(length))
    order: list[str] = []

    def noted(source: Path, *arguments: Any, **options: Any) -> FilmResult:
        order.append(source.name)
        return colorize_video(source, *arguments, **options)

    monkeypatch.setattr(shift, "colorize_video", noted)
    run(archive, painter)
    assert order == ["z.mp4", "d.mp4", "a.mp4"]


def test_several_films_at_a_time_are_the_same_films(archive: Path, painter: Painter, tmp_path: Path) -> None:
    for number in range(4):
        make_film(archive / "reels" / f"{number}.mp4", codec="libx264", times=range(6 + number), sounds=[Sound()])
    # FFV1: the multithreaded encoder of H.264 does not always give the same bytes twice.
    options, listener = Options(quality=Quality.MASTER), Listener()
    one = colorize_archive(archive, tmp_path / "one", options, painter=painter)
    more = colorize_archive(
        archive, tmp_path / "more", options, orders=Orders(jobs=3), painter=painter, progress=listener
    )
    assert counts(more) == counts(one) == (8, 0, 0)
    assert listener.counts["archive"] == [8, 8]
    for name in results(one.output):
        assert (more.output / name).read_bytes() == (one.output / name).read_bytes()


def test_when_one_of_several_films_ends_the_run_the_others_stop(
    archive: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_film(archive / "reels" / "long.mp4", codec="libx264", times=range(1500))
    at_work = threading.Event()

    class Watching(Listener):
        def advance(self, item: str, count: int = 1) -> None:
            super().advance(item, count)
            if item.endswith("long.mp4"):
                at_work.set()

    def interrupted(source: Path, *arguments: Any, **options: Any) -> FilmResult:
        if source.name == "d.mp4":
            assert at_work.wait(timeout=60)
            raise Interruption(2)
        return colorize_video(source, *arguments, **options)

    monkeypatch.setattr(shift, "colorize_video", interrupted)
    listener = Watching()
    with pytest.raises(Interruption):
        colorize_archive(archive, None, Options(), orders=Orders(jobs=2), painter=painter, progress=listener)
    assert listener.counts[str(archive / "reels" / "long.mp4")][0] in range(1, 1500)
    output = archive.with_name("scans-colorized")
    assert results(output) == ["people/a.jpg", "people/b.png", "places/far/c.tif"]
    assert states(output)["reels/long.mp4"] is State.WAITING


def failing(times: int, error: BaseException) -> Callable[..., FilmResult]:
    left = [error] * times

    def film(*arguments: Any, **options: Any) -> FilmResult:
        if left:
            raise left.pop()
        return colorize_video(*arguments, **options)

    return film


def test_a_failure_that_may_pass_is_tried_again_in_the_same_run(
    archive: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shift, "colorize_video", failing(1, EngineError("the engine hiccuped")))
    listener = Listener()
    result = colorize_archive(archive, None, Options(), painter=painter, progress=listener)
    assert (result.films, result.failed) == (1, 0)
    assert listener.counts["archive"] == [4, 4]
    assert any("hiccuped" in line for line in listener.said)


def test_a_failure_that_stays_is_one_failure(archive: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift, "colorize_video", failing(3, EngineError("the engine hiccuped")))
    result = run(archive, painter, orders=Orders(retry=2))
    assert (result.films, result.failed) == (0, 1)
    record = records(result.output)["reels/d.mp4"]
    assert (record.state, record.attempts, record.exit_code) == (State.FAILED, 1, 6)


def test_a_failure_of_the_file_is_not_tried_twice_in_a_run_and_quarantined_after_three(
    archive: Path, painter: Painter
) -> None:
    (archive / "people" / "bad.jpg").write_text("no picture", encoding="utf-8")
    found = [run(archive, painter) for _ in range(4)]
    assert [result.failed for result in found] == [1, 1, 1, 0]
    assert [result.quarantined for result in found] == [0, 0, 0, 1]
    record = records(found[0].output)["people/bad.jpg"]
    assert (record.state, record.attempts) == (State.QUARANTINED, 3)
    save(archive / "people" / "bad.jpg", scene())
    assert counts(run(archive, painter)) == (1, 4, 0)


def test_a_film_that_cannot_be_opened_is_quarantined_too(archive: Path, painter: Painter) -> None:
    (archive / "reels" / "bad.mp4").write_text("no film", encoding="utf-8")
    found = [run(archive, painter) for _ in range(4)]
    assert [result.failed for result in found] == [1, 1, 1, 0]
    assert found[3].quarantined == 1


def test_faults_of_the_disk_never_quarantine(archive: Path, painter: Painter) -> None:
    blocked = archive.with_name("scans-colorized") / "reels"
    blocked.parent.mkdir()
    blocked.write_text("a file where a folder should be", encoding="utf-8")
    for _ in range(4):
        assert run(archive, painter).failed == 1
    blocked.unlink()
    assert counts(run(archive, painter)) == (1, 3, 0)


def meddling(*actions: Callable[[], object]) -> Callable[..., FilmResult]:
    """Return a colorize_video that does something to the source when it is nearly through."""

    def film(*arguments: Any, **options: Any) -> FilmResult:
        result = colorize_video(*arguments, **options)
        for action in actions:
            action()
        return result

    return film


def test_a_source_that_still_grows_gets_no_result_and_is_done_by_the_next_run(
    archive: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = archive / "reels" / "d.mp4"
    with source.open("ab") as file:
        monkeypatch.setattr(shift, "colorize_video", meddling(lambda: file.write(bytes(8)), file.flush))
        result = run(archive, painter)
    (failed,) = result.failures
    assert (failed.source, failed.exit_code) == (source, 4)
    assert "changed while it was read" in failed.error
    assert results(result.output) == ["people/a.jpg", "people/b.png", "places/far/c.tif"]
    monkeypatch.undo()
    assert counts(run(archive, painter)) == (1, 3, 0)


def test_a_source_that_vanishes_is_a_failure_and_forgotten_later(
    archive: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shift, "colorize_video", meddling((archive / "reels" / "d.mp4").unlink))
    result = run(archive, painter)
    (failed,) = result.failures
    assert "is gone" in failed.error
    monkeypatch.undo()
    assert counts(run(archive, painter)) == (0, 3, 0)
    assert "reels/d.mp4" not in records(result.output)


def test_a_photograph_that_vanishes_before_its_turn_is_a_failure(
    archive: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = bookkeeping.Books.begin

    def vanishing(self: bookkeeping.Books, record: Record, *, chance: int) -> None:
        (archive / "people" / "b.png").unlink(missing_ok=True)
        begin(self, record, chance=chance)

    monkeypatch.setattr(bookkeeping.Books, "begin", vanishing)
    result = run(archive, painter)
    assert (result.photos, result.films) == (2, 1)
    assert [failed.source.name for failed in result.failures] == ["b.png"]


def test_a_run_that_died_between_a_result_and_its_fingerprints_is_caught_up_with(
    archive: Path, painter: Painter
) -> None:
    run(archive, painter)
    output = archive.with_name("scans-colorized")
    before = records(output)
    sidecars = {path: path.read_bytes() for path in output.rglob("*.autochrome.json")}
    change_ledger(output, "UPDATE items SET source_sha256 = '', result_sha256 = NULL")
    for path in sidecars:
        path.unlink()
    assert counts(run(archive, painter)) == (0, 4, 0)
    assert {path: replace(record, source_sha256="") for path, record in records(output).items()} == {
        path: replace(record, source_sha256="") for path, record in before.items()
    }

    def timeless(content: bytes) -> Any:
        return {**json.loads(content), "made": ""}

    assert {path: timeless(path.read_bytes()) for path in sidecars} == {
        path: timeless(content) for path, content in sidecars.items()
    }


def test_an_item_left_running_by_a_dead_run_is_done_again(archive: Path, painter: Painter) -> None:
    run(archive, painter)
    output = archive.with_name("scans-colorized")
    before = (output / "people" / "a.jpg").read_bytes()
    (output / "people" / "a.jpg").write_bytes(b"published by the run that died")
    change_ledger(output, "UPDATE items SET state = 'running' WHERE path = 'people/a.jpg'")
    assert counts(run(archive, painter)) == (1, 3, 0)
    assert (output / "people" / "a.jpg").read_bytes() == before


def test_unfinished_files_of_a_dead_run_are_deleted_and_reels_kept(archive: Path, painter: Painter) -> None:
    output = archive.with_name("scans-colorized")
    partial = output / "people" / f"{PARTIAL_PREFIX}0123456789ab.jpg"
    reels = output / "reels" / f"{PARTIAL_PREFIX}e.mp4.reels"
    inner = output / ".autochrome" / f"{PARTIAL_PREFIX}0123456789ab.json"
    others = [output / "people" / f"{PARTIAL_PREFIX}notes.txt", reels / "000000.reel"]
    for path in (partial, inner, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    run(archive, painter)
    assert not partial.exists()
    assert not inner.exists()
    assert all(path.exists() for path in others)
    partial.write_bytes(b"half")
    run(archive, painter)
    assert not partial.exists()


def test_an_interruption_is_written_down_and_goes_on_being_one(
    archive: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_arguments: Any, **_options: Any) -> FilmResult:
        raise Interruption(15)

    monkeypatch.setattr(shift, "colorize_video", interrupted)
    log = tmp_path / "log.jsonl"
    with pytest.raises(Interruption):
        run(archive, painter, orders=Orders(log=log, metrics=tmp_path / "autochrome.prom"))
    output = archive.with_name("scans-colorized")
    assert states(output)["reels/d.mp4"] is State.WAITING
    last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    assert (last["event"], last["outcome"], last["exit_code"]) == ("run_ended", "interrupted", 143)
    assert (last["done"], last["waiting"]) == (3, 1)
    assert "autochrome_run_exit_code" in (tmp_path / "autochrome.prom").read_text(encoding="utf-8")
    monkeypatch.undo()
    assert counts(run(archive, painter)) == (1, 3, 0)


def test_the_log_tells_of_every_item(archive: Path, painter: Painter, tmp_path: Path) -> None:
    (archive / "people" / "bad.jpg").write_text("no picture", encoding="utf-8")
    log = tmp_path / "log.jsonl"
    run(archive, painter, orders=Orders(log=log, retry=0))
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert (events[0]["event"], events[-1]["event"]) == ("run_started", "run_ended")
    done = [event["path"] for event in events if event["event"] == "item_done"]
    assert sorted(done) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "reels/d.mp4"]
    (failed,) = (event for event in events if event["event"] == "item_failed")
    assert (failed["path"], failed["attempts"], failed["exit_code"]) == ("people/bad.jpg", 1, 4)
    assert {event["run"] for event in events} == {1}


def test_shards_share_an_output_and_together_do_everything_once(archive: Path, painter: Painter) -> None:
    found = [run(archive, painter, orders=Orders(shard=Shard(index=index, count=3))) for index in (1, 2, 3)]
    assert sum(result.photos + result.films for result in found) == 4
    assert results(found[0].output) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "reels/d.mp4"]
    known = [path for index in (1, 2, 3) for path in records(found[0].output, shard=Shard(index=index, count=3))]
    assert sorted(known) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "reels/d.mp4"]


@pytest.mark.usefixtures("bound_by_permissions")
def test_a_folder_that_cannot_be_entered_is_a_failure_every_time(archive: Path, painter: Painter) -> None:
    locked_folder = archive / "closed"
    locked_folder.mkdir()
    locked_folder.chmod(0)
    try:
        for _ in range(4):
            result = run(archive, painter)
            assert [failed.source for failed in result.failures] == [locked_folder]
    finally:
        locked_folder.chmod(0o700)
    assert run(archive, painter).failed == 0
    assert "closed" not in records(result.output)


@pytest.mark.usefixtures("bound_by_permissions")
def test_permissions_are_named_and_stop_nothing_else(archive: Path, painter: Painter) -> None:
    (archive / "people" / "a.jpg").chmod(0)
    output = archive.with_name("scans-colorized")
    (output / "places").mkdir(parents=True)
    (output / "places").chmod(0o500)
    result = run(archive, painter)
    bad = {failed.source.name: failed.exit_code for failed in result.failures}
    assert bad == {"a.jpg": 4, "c.tif": 5}
    assert counts(result) == (2, 0, 2)


@pytest.mark.usefixtures("bound_by_permissions")
def test_a_read_only_output_is_refused_at_once(archive: Path, painter: Painter) -> None:
    output = archive.with_name("scans-colorized")
    output.mkdir()
    output.chmod(0o500)
    with pytest.raises(OutputError, match="scans-colorized: cannot be written"):
        run(archive, painter)


def test_only_the_first_thousand_failures_are_kept_in_memory() -> None:
    from pipeline.archive.survey import MOST_FAILURES, Tally

    tally = Tally()
    for number in range(MOST_FAILURES + 5):
        tally.fail(Failure(source=Path(str(number)), error="", advice="", exit_code=4))
    assert (tally.failed, len(tally.failures)) == (MOST_FAILURES + 5, MOST_FAILURES)
