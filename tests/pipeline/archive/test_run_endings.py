from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bagit
import pytest

from pipeline.archive.ledger import State
from pipeline.archive.output_folder import filling_bag
from pipeline.archive.run_options import RunOptions, Shard
from pipeline.color.colorizer import Colorizer
from pipeline.errors import OutputError
from pipeline.interruption import Interruption
from pipeline.publish import PARTIAL_PREFIX
from tests.pipeline.archive.runs import (
    Listener,
    change_ledger,
    counts,
    raising,
    records,
    results,
    run,
    states,
)

pytestmark = pytest.mark.slow


def test_a_run_that_died_between_a_result_and_its_fingerprints_is_caught_up_with(
    archive: Path, colorizer: Colorizer
) -> None:
    run(archive, colorizer)
    output = archive.with_name("scans-colorized")
    before = records(output)
    sidecars = {path: path.read_bytes() for path in output.rglob("*.autochrome.json")}
    change_ledger(output, "UPDATE items SET source_sha256 = '', result_sha256 = NULL")
    for path in sidecars:
        path.unlink()
    assert counts(run(archive, colorizer)) == (0, 4, 0)
    assert {path: record._replace(source_sha256="") for path, record in records(output).items()} == {
        path: record._replace(source_sha256="") for path, record in before.items()
    }

    def timeless(content: bytes) -> Any:
        return {**json.loads(content), "made": ""}

    assert {path: timeless(path.read_bytes()) for path in sidecars} == {
        path: timeless(content) for path, content in sidecars.items()
    }


def test_an_item_left_running_by_a_dead_run_is_done_again(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer)
    output = archive.with_name("scans-colorized")
    before = (output / "people" / "a.jpg").read_bytes()
    (output / "people" / "a.jpg").write_bytes(b"published by the run that died")
    change_ledger(output, "UPDATE items SET state = 'running' WHERE path = 'people/a.jpg'")
    assert counts(run(archive, colorizer)) == (1, 3, 0)
    assert (output / "people" / "a.jpg").read_bytes() == before


def test_unfinished_files_of_a_dead_run_are_deleted_and_segments_kept(archive: Path, colorizer: Colorizer) -> None:
    output = archive.with_name("scans-colorized")
    run(archive, colorizer)
    partial = output / "people" / f"{PARTIAL_PREFIX}0123456789ab.jpg"
    segments = output / "segments" / f"{PARTIAL_PREFIX}e.mp4.segments"
    inner = output / ".autochrome" / f"{PARTIAL_PREFIX}0123456789ab.json"
    others = [output / "people" / f"{PARTIAL_PREFIX}notes.txt", segments / "000000.segment"]
    for path in (partial, inner, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    change_ledger(output, "UPDATE items SET state = 'running' WHERE path = 'people/a.jpg'")
    run(archive, colorizer)
    assert not partial.exists()
    assert not inner.exists()
    assert all(path.exists() for path in others)
    # Where no run that the ledger knows of was at work, only a thorough one looks.
    partial.write_bytes(b"half")
    run(archive, colorizer, run_options=RunOptions(verify_all=True))
    assert not partial.exists()


def test_an_interruption_is_written_down_and_goes_on_being_one(
    archive: Path, colorizer: Colorizer, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    run_options = RunOptions(log=log, metrics=tmp_path / "autochrome.prom")
    with pytest.raises(Interruption):
        run(
            archive,
            colorizer,
            run_options=run_options,
            progress=Listener("d.mp4", "begin", raising(Interruption(15))),
        )
    output = archive.with_name("scans-colorized")
    assert states(output)["segments/d.mp4"] is State.WAITING
    last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    assert (last["event"], last["outcome"], last["exit_code"]) == ("run_ended", "interrupted", 143)
    assert (last["done"], last["waiting"]) == (3, 1)
    assert "autochrome_run_exit_code" in (tmp_path / "autochrome.prom").read_text(encoding="utf-8")
    assert counts(run(archive, colorizer)) == (1, 3, 0)


def test_the_log_tells_of_every_item(archive: Path, colorizer: Colorizer, tmp_path: Path) -> None:
    (archive / "people" / "bad.jpg").write_text("no picture", encoding="utf-8")
    log = tmp_path / "log.jsonl"
    run(archive, colorizer, run_options=RunOptions(log=log, retry=0))
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert (events[0]["event"], events[-1]["event"]) == ("run_started", "run_ended")
    done = [event["path"] for event in events if event["event"] == "item_done"]
    assert sorted(done) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "segments/d.mp4"]
    (failed,) = (event for event in events if event["event"] == "item_failed")
    assert (failed["path"], failed["attempts"], failed["exit_code"]) == ("people/bad.jpg", 1, 4)
    assert {event["run"] for event in events} == {1}


def test_shards_share_an_output_and_together_do_everything_once(archive: Path, colorizer: Colorizer) -> None:
    found = [run(archive, colorizer, run_options=RunOptions(shard=Shard(index=index, count=3))) for index in (1, 2, 3)]
    assert sum(result.photos + result.films for result in found) == 4
    assert results(found[0].output) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "segments/d.mp4"]
    known = [path for index in (1, 2, 3) for path in records(found[0].output, shard=Shard(index=index, count=3))]
    assert sorted(known) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "segments/d.mp4"]


def test_shards_fill_one_bag_and_the_last_of_them_makes_it_valid(archive: Path, colorizer: Colorizer) -> None:
    output = archive.with_name("scans-colorized")
    shards = [RunOptions(bag=True, shard=Shard(index=index, count=3)) for index in (1, 2, 3)]
    with filling_bag(output) as is_last:
        for run_options in shards[:2]:
            run(archive, colorizer, run_options=run_options)
        assert not (output / "manifest-sha256.txt").exists()
        assert is_last()
    run(archive, colorizer, run_options=shards[2])
    bag = bagit.Bag(str(output))
    assert bag.is_valid()
    assert len(bag.payload_entries()) == 8


@pytest.mark.usefixtures("bound_by_permissions")
def test_a_folder_that_cannot_be_entered_is_a_failure_every_time(archive: Path, colorizer: Colorizer) -> None:
    locked_folder = archive / "closed"
    locked_folder.mkdir()
    locked_folder.chmod(0)
    try:
        for _ in range(4):
            result = run(archive, colorizer)
            assert [failed.source for failed in result.failures] == [locked_folder]
    finally:
        locked_folder.chmod(0o700)
    assert run(archive, colorizer).failed == 0
    assert "closed" not in records(result.output)


@pytest.mark.usefixtures("bound_by_permissions")
def test_permissions_are_named_and_stop_nothing_else(archive: Path, colorizer: Colorizer) -> None:
    (archive / "people" / "a.jpg").chmod(0)
    output = archive.with_name("scans-colorized")
    (output / "places").mkdir(parents=True)
    (output / "places").chmod(0o500)
    result = run(archive, colorizer)
    bad = {failed.source.name: failed.exit_code for failed in result.failures}
    assert bad == {"a.jpg": 4, "c.tif": 5}
    assert counts(result) == (2, 0, 2)


@pytest.mark.usefixtures("bound_by_permissions")
def test_a_read_only_output_is_refused_at_once(archive: Path, colorizer: Colorizer) -> None:
    output = archive.with_name("scans-colorized")
    output.mkdir()
    output.chmod(0o500)
    with pytest.raises(OutputError, match="scans-colorized: cannot be written"):
        run(archive, colorizer)
