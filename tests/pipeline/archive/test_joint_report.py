from __future__ import annotations

import json
from pathlib import Path

import bagit
import pytest

from pipeline.archive.closing import JointReport, report_archive
from pipeline.archive.ledger import RunEnd, RunOutcome, as_ranges, open_ledger
from pipeline.archive.output_folder import locked
from pipeline.archive.run_options import RunOptions, Shard
from pipeline.color.colorizer import Colorizer
from pipeline.errors import InputError, OutputError, UsageError
from tests.pipeline.archive.runs import run
from tests.pipeline.archive.test_report import Reader

SHARDS = 3


def shard(index: int) -> Shard:
    return Shard(index=index, count=SHARDS)


def run_parts(archive: Path, colorizer: Colorizer, *indexes: int, bag: bool = False) -> Path:
    for index in indexes:
        run(archive, colorizer, run_options=RunOptions(shard=shard(index), report=False, bag=bag))
    return archive.with_name("scans-colorized")


def rows(found: JointReport) -> list[str]:
    return sorted(row["path"] for row in Reader(found.report.read_text(encoding="utf-8")).rows())


def figure(metrics: Path, name: str) -> float:
    lines = [line for line in metrics.read_text(encoding="utf-8").splitlines() if line.startswith(f"autochrome_{name}")]
    assert len(lines) == 1, name
    return float(lines[0].rpartition(" ")[2])


def test_one_report_is_about_all_parts_and_counts_each_source_once(
    archive: Path, colorizer: Colorizer, tmp_path: Path
) -> None:
    output = run_parts(archive, colorizer, 1, 2, 3)
    assert not (output / "report.html").exists()
    metrics, log = tmp_path / "all.prom", tmp_path / "log.jsonl"
    found = report_archive(archive, run_options=RunOptions(metrics=metrics, log=log))
    assert rows(found) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "segments/d.mp4"]
    assert (found.items["done"], found.exit_code, found.again) == (4, 0, "")
    assert figure(metrics, 'items{archive="' + str(output) + '",state="done"}') == 4
    assert figure(metrics, 'shards{archive="' + str(output) + '",status="finished"}') == 3
    assert figure(metrics, "run_done") == 4
    assert figure(metrics, "last_success_timestamp_seconds") > 0
    last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    assert (last["event"], last["exit_code"], last["items"]["done"]) == ("reported", 0, 4)


def test_parts_that_are_missing_died_or_at_work_are_named_with_what_to_run_again(
    archive: Path, colorizer: Colorizer, tmp_path: Path
) -> None:
    output = run_parts(archive, colorizer, 2)
    with locked(output, shard=shard(1)), open_ledger(output, shard=shard(1)) as ledger:
        ledger.begin_run(version="0", options={"run_options": {}})
        ledger.publish_snapshot()
        found = report_archive(archive, run_options=RunOptions(metrics=tmp_path / "all.prom"))
        assert (found.running, found.missing, found.died, found.again) == ((1,), (3,), (), "3")
        assert found.exit_code == 3
        assert "last_success" not in (tmp_path / "all.prom").read_text(encoding="utf-8")
    found = report_archive(archive)
    assert (found.running, found.missing, found.died, found.again) == ((), (3,), (1,), "1,3")
    text = Reader(found.report.read_text(encoding="utf-8")).text
    assert "--array=1,3" in text
    assert "Shard 3 of 3: no run yet" in text
    assert "Shard 1 of 3: its last run died" in text


@pytest.mark.slow
@pytest.mark.few(1)
@pytest.mark.parametrize(("start", "kept"), [(0, 0), (100, 0), (0, 5000)], ids=["header", "tables", "end"])
def test_a_ledger_that_is_damaged_is_named_and_the_others_are_reported(
    archive: Path, colorizer: Colorizer, start: int, kept: int
) -> None:
    output = run_parts(archive, colorizer, 1, 2, 3, bag=True)
    before = report_archive(archive, run_options=RunOptions(bag=True))
    home = output / ".autochrome" / "shard-2-of-3"
    for path in home.glob("*.sqlite3"):
        content = path.read_bytes()
        path.write_bytes(content[:kept] if kept else content[:start] + bytes(2 << 16)[start:])
    found = report_archive(archive, run_options=RunOptions(bag=True))
    assert (found.damaged, found.again, found.exit_code, found.bag) == ((2,), "2", 3, False)
    assert 0 < found.items["done"] <= before.items["done"]
    assert str(home) in found.failures[0].error
    assert "move it elsewhere" in found.failures[0].advice
    text = Reader(found.report.read_text(encoding="utf-8")).text
    assert "Shard 2 of 3: its items are missing from this page" in text


@pytest.mark.slow
def test_where_no_ledger_can_be_read_nothing_is_reported(archive: Path, colorizer: Colorizer, tmp_path: Path) -> None:
    output = run_parts(archive, colorizer, 1)
    before = report_archive(archive).report.read_bytes()
    for path in (output / ".autochrome" / "shard-1-of-3").glob("*.sqlite3"):
        path.write_bytes(bytes(5000))
    with pytest.raises(OutputError, match=r"ledger.*\.sqlite3: is "):
        report_archive(archive, run_options=RunOptions(metrics=tmp_path / "all.prom"))
    assert (output / "report.html").read_bytes() == before
    assert figure(tmp_path / "all.prom", "run_exit_code") == 5


@pytest.mark.slow
def test_a_run_names_the_shard_whose_ledger_is_damaged(archive: Path, colorizer: Colorizer, tmp_path: Path) -> None:
    output = run_parts(archive, colorizer, 1, 2)
    for path in (output / ".autochrome" / "shard-2-of-3").glob("*.sqlite3"):
        path.write_bytes(bytes(5000))
    log = tmp_path / "log.jsonl"
    run(archive, colorizer, run_options=RunOptions(shard=shard(3), log=log))
    said = [json.loads(line).get("text", "") for line in log.read_text(encoding="utf-8").splitlines()]
    assert [line for line in said if line.startswith("not in the report: ") and "shard-2-of-3" in line]


@pytest.mark.slow
def test_shards_that_were_stopped_failed_or_died_are_told_apart(archive: Path, colorizer: Colorizer) -> None:
    output = run_parts(archive, colorizer, 1, 2, 3)
    until = RunEnd(outcome=RunOutcome.UNTIL, exit_code=0)
    failed = RunEnd(outcome=None, error="OutputError", exit_code=5)
    for index, end in ((1, until), (2, failed)):
        with open_ledger(output, shard=shard(index)) as ledger:
            number = ledger.begin_run(version="0", options={"run_options": {}})
            ledger.end_run(number, end, done=0, kept=0, failed=0, skipped=0, left_out={})
            ledger.publish_snapshot()
    with open_ledger(output, shard=shard(3)) as ledger:
        ledger.begin_run(version="0", options={"run_options": {}})
        ledger.publish_snapshot()
    found = report_archive(archive)
    assert (found.stopped, found.failed, found.died, found.again) == ((1,), (2,), (3,), "1-3")


@pytest.mark.slow
def test_sources_that_failed_or_are_gone_are_in_the_numbers(archive: Path, colorizer: Colorizer) -> None:
    run_parts(archive, colorizer, 1, 2, 3)
    (archive / "people" / "a.jpg").unlink()
    (archive / "people" / "bad.jpg").write_text("no picture", encoding="utf-8")
    run_parts(archive, colorizer, 1, 2, 3)
    found = report_archive(archive)
    assert {state: count for state, count in found.items.items() if count} == {"done": 3, "failed": 1, "gone": 1}
    assert (found.exit_code, found.again) == (3, "")


@pytest.mark.slow
def test_a_report_that_cannot_be_written_is_said_by_process_log_and_metrics_alike(
    archive: Path, colorizer: Colorizer, tmp_path: Path
) -> None:
    output = run_parts(archive, colorizer, 1, 2, 3)
    (output / "report.html").mkdir()
    metrics, log = tmp_path / "all.prom", tmp_path / "log.jsonl"
    with pytest.raises(OutputError):
        report_archive(archive, run_options=RunOptions(metrics=metrics, log=log))
    assert figure(metrics, "run_exit_code") == 5
    assert json.loads(log.read_text(encoding="utf-8").splitlines()[-1])["exit_code"] == 5


@pytest.mark.slow
def test_metrics_that_cannot_be_written_are_said_by_the_log(
    archive: Path, colorizer: Colorizer, tmp_path: Path
) -> None:
    run_parts(archive, colorizer, 1, 2, 3)
    (tmp_path / "file").write_text("", encoding="utf-8")
    log = tmp_path / "log.jsonl"
    with pytest.raises(OutputError):
        report_archive(archive, run_options=RunOptions(metrics=tmp_path / "file" / "all.prom", log=log))
    assert json.loads(log.read_text(encoding="utf-8").splitlines()[-1])["exit_code"] == 5


@pytest.mark.slow
def test_the_manifests_of_a_bag_are_those_of_all_parts(archive: Path, colorizer: Colorizer) -> None:
    output = run_parts(archive, colorizer, 1, 2, 3, bag=True)
    (output / "manifest-sha256.txt").unlink()
    assert report_archive(archive, run_options=RunOptions(bag=True)).bag
    assert bagit.Bag(str(output)).is_valid()


def test_what_cannot_be_reported_on_is_refused(archive: Path, colorizer: Colorizer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run was made yet"):
        report_archive(archive, run_options=RunOptions(metrics=tmp_path / "all.prom"))
    assert figure(tmp_path / "all.prom", "run_exit_code") == 4
    with pytest.raises(UsageError, match="all shards"):
        report_archive(archive, run_options=RunOptions(shard=shard(1)))


@pytest.mark.slow
def test_the_whole_is_reported_on_alike(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer, run_options=RunOptions(report=False))
    found = report_archive(archive)
    assert (len(rows(found)), found.shards, found.exit_code) == (4, 1, 0)


@pytest.mark.parametrize(("numbers", "text"), [([], ""), ([3], "3"), ([1, 2, 3, 7, 9, 10], "1-3,7,9-10")])
def test_parts_are_written_as_slurm_takes_them(numbers: list[int], text: str) -> None:
    assert as_ranges(numbers) == text
