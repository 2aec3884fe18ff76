"""On Windows, nobody deletes or replaces a file that is open, whoever has it open."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import open_files
from pipeline.archive.executors.fence import FOLDER, FencedError, behind, close_all_fences, close_fence, raise_fence
from pipeline.archive.ledger import open_ledger, read_ledger
from pipeline.color.colorizer import Colorizer
from pipeline.errors import OutputError
from pipeline.film.job import colorize_video
from pipeline.film.segment_folder import SegmentFolder, segment_folder
from pipeline.interruption import Cancelled
from pipeline.options import Options
from pipeline.originals import NO_ORIGINALS
from tests.films import make_film
from tests.open_files import refuse_open_files
from tests.pipeline.archive.runs import run

SNAPSHOT = "ledger-snapshot.sqlite3"


@pytest.fixture(autouse=True)
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_open_files(monkeypatch)
    monkeypatch.setattr(open_files, "_PATIENCE", 0.0)
    monkeypatch.setattr("pipeline.archive.run.network_file_system", lambda _: None)


def test_a_fence_closes_before_its_worker_though_that_has_it_open(tmp_path: Path) -> None:
    fence = raise_fence(tmp_path)
    with fence.open("rb"):
        assert close_fence(fence)
        with pytest.raises(FencedError), behind(fence):
            pytest.fail("it was let in")
    assert close_all_fences(tmp_path)
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_the_fences_of_a_run_are_gone_when_it_is_over(tmp_path: Path) -> None:
    fence = raise_fence(tmp_path)
    with behind(fence):
        pass
    assert close_fence(fence)
    assert not fence.exists()


@pytest.mark.slow
def test_a_run_over_an_archive_ends_well_while_others_read_it(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer)
    output = archive.with_name("scans-colorized")
    with read_ledger(output) as before:
        (archive / "people" / "a.jpg").unlink()
        assert run(archive, colorizer).exit_code == 0
        assert len(list(before.records())) == 4
    with read_ledger(output) as after:
        assert len([record for record in after.records() if record.state == "gone"]) == 1


def test_a_snapshot_waits_while_something_else_has_the_last_one_open(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.begin_run(version="1", options={})
        ledger.publish_snapshot()
        ledger.begin_run(version="2", options={})
        ledger._next_snapshot = 0.0
        with (tmp_path / ".autochrome" / SNAPSHOT).open("rb"):
            ledger.publish_snapshot(if_due=True)
            with pytest.raises(OutputError, match=SNAPSHOT):
                ledger.publish_snapshot()
        ledger.publish_snapshot()
    with read_ledger(tmp_path) as found:
        assert [one.version for one in found.runs()] == ["1", "2"]


@pytest.mark.few(1)
@pytest.mark.parametrize("segment_frames", [4, 100])
def test_nothing_is_left_beside_a_film(tmp_path: Path, colorizer: Colorizer, segment_frames: int) -> None:
    film = make_film(tmp_path / "film.mkv", codec="ffv1", times=range(12))
    output = tmp_path / "out" / "film.mkv"
    colorize_video(film, output, Options(), colorizer=colorizer, segment_frames=segment_frames)
    assert list(output.parent.iterdir()) == [output]


def test_a_claim_of_segments_that_were_removed_meanwhile_is_deleted(tmp_path: Path) -> None:
    segments = segments_of(tmp_path)
    segments.prepare()
    segments.remove()
    with segments.claimed(0, first=0, is_owner=False) as writer:
        assert writer is None
    assert list(segment_folder(segments.final).iterdir()) == []


def test_who_helps_sweeps_away_what_the_owner_could_not_delete(tmp_path: Path) -> None:
    owner, helper = segments_of(tmp_path), segments_of(tmp_path)
    owner.prepare()
    folder = segment_folder(owner.final)
    with pytest.raises(Cancelled), helper.claimed(0, first=0, is_owner=False) as writer:
        assert writer is not None
        owner.remove()
        assert list(folder.iterdir())
        helper.sweep()
        assert list(folder.iterdir())
        raise Cancelled
    helper.sweep()
    assert list(folder.iterdir()) == []


def segments_of(folder: Path) -> SegmentFolder:
    final = folder / "film.mkv"
    return SegmentFolder(segment_folder(final), final, {"source": "film"}, originals=NO_ORIGINALS)
