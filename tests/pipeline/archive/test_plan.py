from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.archive.plan import Job, check_folders, default_output, ignores_case, plan
from pipeline.errors import InputError, UsageError
from pipeline.options import Options, Quality
from pipeline.results import Failure
from tests.films import make_film


def planned(source: Path, output: Path, **options: object) -> dict[str, str]:
    jobs = [item for item in plan(source, output, Options(**options)) if isinstance(item, Job)]  # type: ignore[arg-type]
    return {str(job.source.relative_to(source)): str(job.output.relative_to(output)) for job in jobs}


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
    items = list(plan(source, tmp_path / "out", Options(quality=Quality.MASTER)))
    assert [type(item) for item in items] == [Job, Failure]
    assert isinstance(items[1], Failure)
    assert "reel.mp4.mkv" in items[1].error
    assert "name of that of reel.mp4" in items[1].error


def test_a_film_that_cannot_be_planned_is_a_failure_and_the_plan_goes_on(tmp_path: Path) -> None:
    source = tmp_path / "in"
    touch(source / "broken.mp4")
    touch(source / "c.png")
    kinds = [type(item) for item in plan(source, tmp_path / "out", Options())]
    assert kinds == [Failure, Job]


def test_what_has_a_result_is_done_unless_it_is_to_be_overwritten(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a.png")
    touch(tmp_path / "out" / "a.png")
    for overwrite in (False, True):
        (job,) = plan(tmp_path / "in", tmp_path / "out", Options(overwrite=overwrite))
        assert isinstance(job, Job)
        assert job.done is not overwrite


def test_the_default_output_stands_beside_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_output(Path("scans/")) == Path("scans-colorized")
    monkeypatch.chdir(tmp_path)
    assert default_output(Path()) == tmp_path.with_name(f"{tmp_path.name}-colorized")


def test_source_and_output_must_not_lie_in_each_other(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "in", target_is_directory=True)
    for output in ("in", "in/out", "in/deep/out", ".", "link", "link/out", "in/../in/out"):
        with pytest.raises(UsageError, match="in each other"):
            check_folders(tmp_path / "in", tmp_path / output)
    check_folders(tmp_path / "in", tmp_path / "in-colorized")


def test_the_source_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        check_folders(tmp_path / "none", tmp_path / "out")
    with pytest.raises(UsageError, match="not a folder"):
        check_folders(touch(tmp_path / "a.jpg"), tmp_path / "out")
    with pytest.raises(UsageError, match="not a folder"):
        check_folders(tmp_path, touch(tmp_path.parent / "a.jpg"))


def test_whether_a_disk_folds_case_is_seen_without_writing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    expected = (tmp_path / "FOLDER").exists()
    before = sorted(tmp_path.rglob("*"))
    assert ignores_case(tmp_path / "folder" / "none" / "yet") is expected
    assert ignores_case(tmp_path) is expected
    assert sorted(tmp_path.rglob("*")) == before
