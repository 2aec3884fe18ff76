from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive.context import archive_at, default_output
from pipeline.archive.fingerprints import FileStat, fingerprint
from pipeline.archive.ledger import Record, State
from pipeline.archive.plan import Job, Rejected, Status, ignores_case, plan
from pipeline.archive.run_options import RunOptions, Shard
from pipeline.archive.walk import Entry, Kind
from pipeline.errors import InputError, UsageError
from pipeline.options import Options, Quality
from tests.films import make_film

RECIPES = {Kind.PHOTO: "photos", Kind.FILM: "films"}


def nothing(_path: str) -> None:
    return None


def items(
    source: Path,
    output: Path,
    *,
    known: Callable[[str], Record | None] = nothing,
    run_options: RunOptions | None = None,
    **options: Any,
) -> list[Job | Rejected | Entry]:
    archive = archive_at(source, output, Options(**options), run_options)

    def lookup(paths: Sequence[str]) -> dict[str, Any]:
        return {path: record for path in paths if (record := known(path)) is not None}

    return list(plan(archive, recipes=RECIPES, known=lookup))


def jobs(source: Path, output: Path, **settings: Any) -> list[Job]:
    return [item for item in items(source, output, **settings) if isinstance(item, Job)]


def planned(source: Path, output: Path, **options: Any) -> dict[str, str]:
    found = jobs(source, output, **options)
    return {job.path: job.name for job in found}


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"-")
    return path


def test_results_stand_in_the_same_tree_under_the_same_name(tmp_path: Path) -> None:
    source = tmp_path / "in"
    touch(source / "1920" / "a.JPG")
    make_film(source / "b.mp4", codec="libx264", times=range(2))
    assert planned(source, tmp_path / "out") == {"b.mp4": "b.mp4", "1920/a.JPG": "1920/a.JPG"}


def test_a_new_container_is_added_to_the_whole_name_so_that_one_stem_never_collides(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in ("reel.avi", "reel.mp4", "reel.mkv"):
        make_film(source / name, codec="mpeg4" if name.endswith("avi") else "libx264", times=range(2))
    names = planned(source, tmp_path / "out", quality=Quality.MASTER)
    assert names["reel.mkv"] == "reel.mkv"
    assert names["reel.avi"] == "reel.avi.mkv"
    assert names["reel.mp4"] == "reel.mp4.mkv"


def test_a_source_whose_result_would_take_another_ones_name_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in ("reel.mp4", "reel.mp4.mkv"):
        make_film(source / name, codec="libx264", times=range(2))
    first, second = items(source, tmp_path / "out", quality=Quality.MASTER)
    assert isinstance(first, Job)
    assert isinstance(second, Rejected)
    assert "reel.mp4.mkv" in second.failure.error
    assert "same name as that of reel.mp4" in second.failure.error


def test_a_film_that_cannot_be_planned_is_a_failure_and_the_plan_goes_on(tmp_path: Path) -> None:
    source = tmp_path / "in"
    touch(source / "broken.mp4")
    touch(source / "c.png")
    assert [type(item) for item in items(source, tmp_path / "out")] == [Rejected, Job]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path, Record]:
    """A photograph that is done, its result, and what is known of the two."""
    source, result = touch(tmp_path / "in" / "a.png"), touch(tmp_path / "out" / "a.png")
    result.write_bytes(b"coloured")
    record = Record(
        path="a.png", kind="photo", output="a.png", state=State.DONE, attempts=0, deaths=0, progress=0,
        recipe="photos",
        source_size=1, source_mtime_ns=source.stat().st_mtime_ns, source_sha256=fingerprint(source),
        result_size=8, result_mtime_ns=result.stat().st_mtime_ns, result_sha256=fingerprint(result),
        engine="torch", started=0.0, seconds=1.0, result={}, previews=(), error="",
        pack=None, pack_offset=None, advice="", exit_code=0,
    )  # fmt: skip
    return source, result, record


def status(record: Record | None, tmp_path: Path, *, run_options: RunOptions | None = None, **options: Any) -> Status:
    (job,) = jobs(tmp_path / "in", tmp_path / "out", known=lambda _path: record, run_options=run_options, **options)
    return job.status


def test_a_result_that_fits_its_source_is_done(pair: tuple[Path, Path, Record], tmp_path: Path) -> None:
    _, result, record = pair
    assert status(record, tmp_path) is Status.DONE
    assert status(record, tmp_path, overwrite=True) is Status.STALE
    result.unlink()
    assert status(record, tmp_path) is Status.DUE


def test_a_changed_source_or_recipe_makes_a_result_stale(pair: tuple[Path, Path, Record], tmp_path: Path) -> None:
    source, _, record = pair
    assert status(record._replace(recipe="others"), tmp_path) is Status.STALE
    source.write_bytes(b"+")
    assert status(record, tmp_path) is Status.STALE
    source.write_bytes(b"longer")
    assert status(record, tmp_path) is Status.STALE


def test_a_new_time_without_a_new_content_changes_nothing(pair: tuple[Path, Path, Record], tmp_path: Path) -> None:
    source, result, record = pair
    touch(source)
    result.write_bytes(b"coloured")
    old = record._replace(source_mtime_ns=1, result_mtime_ns=2)
    assert status(old, tmp_path) is Status.DONE
    assert status(old._replace(source_sha256=""), tmp_path) is Status.STALE


def test_a_file_that_is_not_known_to_be_ours_is_kept(pair: tuple[Path, Path, Record], tmp_path: Path) -> None:
    _, result, record = pair
    assert status(None, tmp_path) is Status.FOREIGN
    result.write_bytes(b"retouched by hand")
    for known in (record, record._replace(recipe="others"), record._replace(state=State.FAILED)):
        assert status(known, tmp_path) is Status.FOREIGN
        assert status(known, tmp_path, overwrite=True) is Status.STALE


def test_what_stands_under_the_name_of_an_item_left_running_is_replaced(
    pair: tuple[Path, Path, Record], tmp_path: Path
) -> None:
    _, result, record = pair
    result.write_bytes(b"published just before the end")
    assert status(record._replace(state=State.RUNNING), tmp_path) is Status.STALE


def test_damage_behind_an_unchanged_time_is_found_when_all_is_verified(
    pair: tuple[Path, Path, Record], tmp_path: Path
) -> None:
    source, result, record = pair
    for path, content in ((source, b"+"), (result, b"damaged!")):
        before, whole = path.stat(), path.read_bytes()
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert status(record, tmp_path) is Status.DONE
        assert status(record, tmp_path, run_options=RunOptions(verify_all=True)) is Status.STALE
        path.write_bytes(whole)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert status(record, tmp_path, run_options=RunOptions(verify_all=True)) is Status.DONE


def test_quarantine_lasts_until_the_source_or_recipe_changes(pair: tuple[Path, Path, Record], tmp_path: Path) -> None:
    source, result, record = pair
    result.unlink()
    known = record._replace(state=State.QUARANTINED, attempts=3)
    assert status(known, tmp_path) is Status.QUARANTINED
    assert status(known, tmp_path, run_options=RunOptions(quarantine_after=4)) is Status.DUE
    assert status(known._replace(recipe="others"), tmp_path) is Status.DUE
    source.write_bytes(b"longer")
    assert status(known, tmp_path) is Status.DUE


def test_attempts_count_for_one_source_and_one_recipe(pair: tuple[Path, Path, Record], tmp_path: Path) -> None:
    known = pair[2]._replace(state=State.FAILED, attempts=2)
    for record, attempts in ((known, 2), (known._replace(recipe="others"), 0), (known._replace(source_size=7), 0)):
        (job,) = jobs(tmp_path / "in", tmp_path / "out", known=lambda _path, record=record: record)
        assert job.attempts == attempts


def test_a_finished_film_is_not_opened(tmp_path: Path) -> None:
    source = touch(tmp_path / "in" / "no-film.avi")
    result = touch(tmp_path / "out" / "no-film.avi.mkv")
    record = Record(
        path="no-film.avi", kind="film", output="no-film.avi.mkv", state=State.DONE, attempts=0, deaths=0, progress=0,
        recipe="films",
        source_size=1, source_mtime_ns=source.stat().st_mtime_ns, source_sha256="",
        result_size=1, result_mtime_ns=result.stat().st_mtime_ns, result_sha256=None,
        engine="torch", started=0.0, seconds=1.0, result={}, previews=(), error="",
        pack=None, pack_offset=None, advice="", exit_code=0,
    )  # fmt: skip
    (job,) = jobs(tmp_path / "in", tmp_path / "out", known=lambda _path: record)
    assert (job.status, job.name) == (Status.DONE, "no-film.avi.mkv")


def test_films_weigh_their_frames_times_their_pixels(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_film(tmp_path / "in" / "a.mp4", codec="libx264", times=range(5))
    (job,) = jobs(tmp_path / "in", tmp_path / "out")
    assert job.weight == 5 * 96 * 64


def test_sources_that_the_orders_leave_out_are_not_mentioned(tmp_path: Path) -> None:
    for name in ("a.png", "b/c.png", "b/d.jpg", "e.txt"):
        touch(tmp_path / "in" / name)
    os.utime(tmp_path / "in" / "a.png", (1000, 1000))

    def taken(**run_options: Any) -> list[str]:
        return [job.path for job in jobs(tmp_path / "in", tmp_path / "out", run_options=RunOptions(**run_options))]

    assert taken(include=("*.png",)) == ["a.png", "b/c.png"]
    assert taken(exclude=("b",)) == ["a.png"]
    assert taken(since=datetime(2001, 1, 1, tzinfo=UTC)) == ["b/c.png", "b/d.jpg"]
    shards = [taken(shard=Shard(index=index, count=3)) for index in (1, 2, 3)]
    assert sorted(name for shard in shards for name in shard) == ["a.png", "b/c.png", "b/d.jpg"]


def test_a_link_that_leads_nowhere_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (item,) = items(tmp_path / "in", tmp_path / "out")
    assert isinstance(item, Rejected)
    assert (item.failure.exit_code, item.stat) == (4, FileStat(0, 0))
    assert "gone.png" in item.failure.error


def test_the_default_output_stands_beside_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_output(Path("scans/")) == Path("scans-colorized")
    monkeypatch.chdir(tmp_path)
    assert default_output(Path()) == tmp_path.with_name(f"{tmp_path.name}-colorized")


def test_source_and_output_must_not_lie_in_each_other(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "in", target_is_directory=True)
    for output in ("in", "in/out", "in/deep/out", ".", "link", "link/out", "in/../in/out"):
        with pytest.raises(UsageError, match="is inside the other"):
            archive_at(tmp_path / "in", tmp_path / output).check()
    archive_at(tmp_path / "in", tmp_path / "in-colorized").check()


def test_the_source_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        archive_at(tmp_path / "none", tmp_path / "out").check()
    with pytest.raises(UsageError, match="not a folder"):
        archive_at(touch(tmp_path / "a.jpg"), tmp_path / "out").check()
    with pytest.raises(UsageError, match="not a folder"):
        archive_at(tmp_path, touch(tmp_path.parent / "a.jpg")).check()


def test_whether_a_disk_folds_case_is_seen_without_writing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    expected = (tmp_path / "FOLDER").exists()
    before = sorted(tmp_path.rglob("*"))
    assert ignores_case(tmp_path / "folder" / "none" / "yet") is expected
    assert ignores_case(tmp_path) is expected
    assert sorted(tmp_path.rglob("*")) == before


def test_a_source_whose_result_would_have_too_long_a_name_is_told_so_before_any_work(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    touch(source / f"{'n' * 247}.bmp")
    touch(source / f"{'n' * 248}.bmp")
    fits, refused = items(source, output)
    assert isinstance(fits, Job)
    assert isinstance(refused, Rejected)
    assert refused.failure.exit_code == UsageError.exit_code
    assert "Shorten the name" in refused.failure.advice
