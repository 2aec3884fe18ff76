from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pipeline.archive.fingerprints import FileStat
from pipeline.archive.ledger import Ledger, Planned, RunEnd, RunOutcome, State, open_ledger, read_ledger
from pipeline.archive.ledger.file import VERSION
from pipeline.archive.run_options import Shard
from pipeline.documents import to_json
from pipeline.errors import OutputError
from pipeline.results import (
    Failure,
    LumaCheck,
    Note,
    NoteKind,
    PhotoResult,
    Preview,
    Proof,
    SourceTone,
    Treatment,
    Verification,
)
from tests.commands import python

HASH = "ab" * 32


def planned(path: str, **changes: object) -> Planned:
    values: dict[str, object] = {
        "path": path, "kind": "photo", "output": path, "source": FileStat(100, 5), "recipe": HASH,
        "attempts": 0, "deaths": 0, "weight": 0, "replaces": False,
    }  # fmt: skip
    return Planned(**(values | changes))  # type: ignore[arg-type]


def result_of(path: str, *, previews: tuple[Preview, ...] = ()) -> PhotoResult:
    return PhotoResult(
        source=Path("in") / path,
        output=Path("out") / path,
        width=4,
        height=3,
        bits=8,
        engine="onnxruntime",
        model="tiny",
        weights_sha256=HASH,
        notes=(Note(NoteKind.ASSUMED, f"something about {path}"),),
        tones=(SourceTone.MONOCHROME,),
        treatment=Treatment.COLOURED,
        verification=Verification(
            checks={}, not_checked={}, luma=LumaCheck(proof=Proof.EXACT, frames=1, bits=8), seconds=0.1
        ),
        previews=previews,
    )


def finish(ledger: Ledger, path: str, *, previews: tuple[Preview, ...] = ()) -> PhotoResult:
    result = result_of(path, previews=previews)
    ledger.claim([path])
    ledger.done(
        path,
        result,
        source=FileStat(100, 5),
        result=FileStat(90, 7),
        started=1000.0,
        seconds=2.0,
    )
    ledger.seal(path, source_sha256=HASH, result_sha256=HASH[::-1])
    return result


def fail(ledger: Ledger, path: str, *, quarantine_after: int | None = 3) -> State:
    failure = Failure(source=Path(path), error=f"{path}: is damaged", advice="Copy it again.", exit_code=4)
    return ledger.failed(path, failure, seconds=1.0, quarantine_after=quarantine_after)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as opened:
        yield opened


def test_an_item_waits_runs_and_is_done_with_its_result_and_previews(ledger: Ledger) -> None:
    run = ledger.begin_run(version="1", options={})
    ledger.plan(run, [planned("a.png")])
    record = ledger.get("a.png")
    assert record is not None
    assert (record.state, record.result, record.result_stat) == (State.WAITING, None, None)
    ledger.claim(["a.png"])
    assert [one.state for one in ledger.records()] == [State.RUNNING]
    preview = Preview(label="", before=b"grey", after=b"coloured")
    result = finish(ledger, "a.png", previews=(preview,))
    record = ledger.get("a.png")
    assert record is not None
    assert (record.state, record.engine, record.seconds) == (State.DONE, "onnxruntime", 2.0)
    assert record.result == to_json(result)
    assert (record.source_stat, record.result_stat) == (FileStat(100, 5), FileStat(90, 7))
    assert (record.source_sha256, record.result_sha256) == (HASH, HASH[::-1])
    assert record.previews == ("",)


def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.plan(ledger.begin_run(version="1", options={"codec": "auto"}), [planned("a.png")])
        finish(ledger, "a.png")
        before = list(ledger.records()), ledger.runs()
    with open_ledger(tmp_path) as ledger:
        assert (list(ledger.records()), ledger.runs()) == before
    read = read_ledger(tmp_path)
    assert read is not None
    with read:
        assert (list(read.records()), read.runs()) == before


def test_records_come_in_order_of_path_however_many(ledger: Ledger) -> None:
    names = [f"{number:04}.png" for number in range(700)]
    ledger.plan(1, map(planned, reversed(names)))
    assert [record.path for record in ledger.records()] == names
    finish(ledger, names[3])
    assert [record.path for record in ledger.records(State.DONE)] == [names[3]]
    assert ledger.counts()[State.WAITING] == 699
    assert sum(ledger.counts().values()) == 700


def test_names_that_are_no_text_are_kept_as_they_are(ledger: Ledger) -> None:
    name = os.fsdecode(b"caf\xe9/\xff.png")
    ledger.plan(1, [planned(name), planned("caf\u00e9.png"), planned("z.png")])
    finish(ledger, name, previews=(Preview(label=name, before=b"b", after=b"a"),))
    assert [record.path for record in ledger.records()] == ["caf\u00e9.png", "z.png", name]
    record = ledger.get(name)
    assert record is not None
    assert record.output == name
    assert record.result is not None
    assert record.result["source"] == f"in/{name}"
    assert record.previews == (name,)
    fail(ledger, name)
    assert ledger.get(name).error == f"{name}: is damaged"  # type: ignore[union-attr]


def test_a_new_plan_keeps_the_last_result_and_forgets_the_fingerprint_of_the_source(ledger: Ledger) -> None:
    ledger.plan(1, [planned("a.png")])
    result = finish(ledger, "a.png")
    ledger.plan(2, [planned("a.png", source=FileStat(101, 9), replaces=True)])
    record = ledger.get("a.png")
    assert record is not None
    assert (record.state, record.source_stat, record.source_sha256) == (State.WAITING, FileStat(101, 9), "")
    assert (record.result, record.result_stat) == (to_json(result), FileStat(90, 7))


def test_what_a_dead_run_left_running_stays_running_until_it_has_an_outcome(ledger: Ledger) -> None:
    ledger.plan(1, [planned("a.png")])
    ledger.claim(["a.png"])
    ledger.plan(2, [planned("a.png")])
    assert [record.state for record in ledger.queue(2, "photo", replaces=False)] == [State.RUNNING]
    finish(ledger, "a.png")
    assert not list(ledger.queue(2, "photo", replaces=False))


def test_the_queue_holds_what_this_run_planned_and_has_no_outcome(ledger: Ledger) -> None:
    ledger.plan(1, [planned("old.png")])
    ledger.plan(2, [planned("b.png"), planned("a.png"), planned("c.png", replaces=True), planned("f.mp4", kind="film")])
    finish(ledger, "b.png")
    assert [record.path for record in ledger.queue(2, "photo", replaces=False)] == ["a.png"]
    assert [record.path for record in ledger.queue(2, "photo", replaces=True)] == ["c.png"]


def test_the_longest_films_come_first(ledger: Ledger) -> None:
    weights = {"a.mp4": 10, "b.mp4": 3000, "c.mp4": 200}
    ledger.plan(1, [planned(name, kind="film", weight=weight) for name, weight in weights.items()])
    assert ledger.heaviest(1, "film") == [("b.mp4", False), ("c.mp4", False), ("a.mp4", False)]


def test_an_item_that_failed_in_so_many_runs_is_quarantined(ledger: Ledger) -> None:
    ledger.plan(1, [planned("a.png")])
    assert [fail(ledger, "a.png") for _ in range(3)] == [State.FAILED, State.FAILED, State.QUARANTINED]
    record = ledger.get("a.png")
    assert record is not None
    assert (record.attempts, record.error, record.exit_code) == (3, "a.png: is damaged", 4)
    ledger.plan(4, [planned("a.png", source=FileStat(3, 3))])
    record = ledger.get("a.png")
    assert record is not None
    assert (record.state, record.attempts, record.error, record.exit_code) == (State.WAITING, 0, "", 0)


def test_failures_that_are_none_of_an_items_own_do_not_count(ledger: Ledger) -> None:
    ledger.plan(1, [planned("a.png")])
    assert [fail(ledger, "a.png", quarantine_after=None) for _ in range(5)] == [State.FAILED] * 5
    record = ledger.get("a.png")
    assert record is not None
    assert (record.attempts, record.error) == (0, "a.png: is damaged")


def test_what_is_done_and_not_sealed_is_known(ledger: Ledger) -> None:
    ledger.plan(1, map(planned, ["a.png", "b.png"]))
    finish(ledger, "a.png")
    ledger.done("b.png", result_of("b.png"), source=FileStat(1, 1), result=FileStat(1, 1), started=0.0, seconds=0.0)
    (record,) = ledger.unsealed()
    assert (record.path, record.state, record.source_sha256, record.result_sha256) == ("b.png", State.DONE, "", None)


def test_released_items_wait_again_and_finished_ones_stay_done(ledger: Ledger) -> None:
    ledger.plan(1, map(planned, ["a.png", "b.png"]))
    ledger.claim(["a.png"])
    finish(ledger, "b.png")
    ledger.release(["a.png", "b.png"])
    assert [record.state for record in ledger.records()] == [State.WAITING, State.DONE]


def test_unfinished_items_that_a_run_did_not_meet_are_named_and_can_be_forgotten(ledger: Ledger) -> None:
    ledger.plan(1, map(planned, ["there.png", "gone.png", "done.png"]))
    finish(ledger, "done.png")
    ledger.plan(2, [planned("new.png")])
    assert [record.path for record in ledger.not_met(2)] == ["gone.png", "there.png"]
    ledger.forget(["gone.png"])
    assert [record.path for record in ledger.records()] == ["done.png", "new.png", "there.png"]


def test_runs_are_numbered_and_one_that_died_has_no_end(ledger: Ledger) -> None:
    first = ledger.begin_run(version="0.1.0", options={"every": 2})
    second = ledger.begin_run(version="0.1.0", options={})
    end = RunEnd(outcome=RunOutcome.FINISHED, exit_code=3)
    ledger.end_run(second, end, done=3, kept=1, failed=1, skipped=2, left_out={"hidden": 1})
    died, ended = ledger.runs()
    assert (died.number, died.ended, died.options) == (first, None, {"every": 2})
    assert (ended.outcome, ended.exit_code, ended.left_out) == ("finished", 3, {"hidden": 1})
    assert (ended.done, ended.kept, ended.failed, ended.skipped) == (3, 1, 1, 2)
    assert ended.ended is not None
    assert ended.ended >= ended.started


def test_the_error_that_ended_a_run_is_named_and_is_no_outcome(ledger: Ledger) -> None:
    run = ledger.begin_run(version="0.1.0", options={})
    end = RunEnd(outcome=None, error="EngineError", exit_code=6)
    ledger.end_run(run, end, done=0, kept=0, failed=0, skipped=0, left_out={})
    assert [(run.outcome, run.error, run.exit_code) for run in ledger.runs()] == [(None, "EngineError", 6)]


def test_a_process_that_is_killed_loses_nothing_it_was_told_is_written(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from pipeline.archive.ledger import open_ledger
from tests.pipeline.archive.test_ledger import finish, planned
ledger = open_ledger(Path(sys.argv[1]))
ledger.plan(1, [planned("a.png"), planned("b.png"), planned("c.png")])
finish(ledger, "a.png")
ledger.claim(["b.png"])
ledger._connection.execute("BEGIN IMMEDIATE")
ledger._connection.execute("DELETE FROM items")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert python(code, tmp_path).returncode == -signal.SIGKILL
    with open_ledger(tmp_path) as ledger:
        states = {record.path: record.state for record in ledger.records()}
    assert states == {"a.png": State.DONE, "b.png": State.RUNNING, "c.png": State.WAITING}


def test_an_interruption_between_a_begin_and_its_block_costs_nothing(ledger: Ledger) -> None:
    ledger._connection.execute("BEGIN IMMEDIATE")
    ledger.plan(1, [planned("a.png")])
    assert ledger.get("a.png") is not None


def test_reading_writes_nothing(tmp_path: Path) -> None:
    assert read_ledger(tmp_path) is None
    with open_ledger(tmp_path) as ledger:
        ledger.plan(1, [planned("a.png")])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    read = read_ledger(tmp_path)
    assert read is not None
    with read:
        assert [record.path for record in read.records()] == ["a.png"]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            read._connection.execute("UPDATE items SET state = 'done'")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_it_can_be_read_while_a_run_writes(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.plan(1, [planned("a.png")])
        read = read_ledger(tmp_path)
        assert read is not None
        with read:
            assert [record.state for record in read.records()] == [State.WAITING]
        ledger.claim(["a.png"])
        again = read_ledger(tmp_path)
        assert again is not None
        with again:
            assert [record.state for record in again.records()] == [State.RUNNING]


def test_every_shard_has_a_ledger_of_its_own(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as whole, open_ledger(tmp_path, shard=Shard(index=2, count=8)) as one:
        one.plan(1, [planned("a.png")])
        assert whole.get("a.png") is None
        assert one.path == tmp_path / ".autochrome" / "shard-2-of-8" / "ledger.sqlite3"


@pytest.mark.parametrize(
    ("change", "message", "advice"),
    [
        (f"PRAGMA user_version = {VERSION + 1}", "newer Autochrome", "Update"),
        ("PRAGMA user_version = 0", "of version 0", "move it elsewhere"),
        ("PRAGMA application_id = 7", "not a ledger", "move it elsewhere"),
    ],
)
def test_ledgers_of_other_versions_and_programs_are_refused(
    tmp_path: Path, change: str, message: str, advice: str
) -> None:
    with open_ledger(tmp_path) as ledger:
        path = ledger.path
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
    before = path.read_bytes()
    for opening in (open_ledger, read_ledger):
        with pytest.raises(OutputError, match=message) as caught:
            opening(tmp_path)
        assert str(path) in str(caught.value)
        assert advice in caught.value.advice
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["overwritten", "cut", "no database"])
def test_a_damaged_ledger_is_refused_with_advice_and_left_as_it_is(tmp_path: Path, damage: str) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.plan(1, (planned(f"{number:05}.png") for number in range(2000)))
        path = ledger.path
    content = bytearray(path.read_bytes())
    if damage == "overwritten":
        content[4096 * 3 : 4096 * 40] = bytes(4096 * 37)
    elif damage == "cut":
        del content[len(content) // 2 :]
    else:
        content = bytearray(b"shoe box, attic" * 1000)
    path.write_bytes(content)
    with pytest.raises(OutputError, match="damaged") as caught, open_ledger(tmp_path) as ledger:
        # What is overwritten in the middle is met when it is read, or looked for.
        ledger.check()
    assert str(path) in str(caught.value)
    assert "move it elsewhere" in caught.value.advice
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    with pytest.raises(OutputError, match="out"):
        open_ledger(tmp_path / "out")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on open files")
def test_a_ledger_that_cannot_be_opened_to_the_end_is_let_go_of(tmp_path: Path) -> None:
    open_ledger(tmp_path).close()
    errors = list[str]()
    for spare in range(20):
        try:
            with open_files_at_most(spare):
                open_ledger(tmp_path).close()
        except OutputError as error:
            errors.append(str(error))
        else:
            break
        with closing(sqlite3.connect(tmp_path / ".autochrome" / "ledger.sqlite3", timeout=0)) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert other.execute("SELECT count(*) FROM items").fetchone() == (0,)
    assert 2 < len(errors) < 20
    assert all("ledger.sqlite3: " in error for error in errors)
    assert "Too many open files" in errors[-1]


@contextmanager
def open_files_at_most(spare: int) -> Iterator[None]:
    """Let this process open only ``spare`` more files."""
    import resource

    free = [os.open(os.devnull, os.O_RDONLY) for _ in range(spare + 1)]
    for handle in free:
        os.close(handle)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_where_locks_keep_others_from_reading_a_large_ledger_its_snapshot_is_whole(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows beyond 1 GiB; the file is closed here, so to read it fails as well."""
    ledger.plan(ledger.begin_run(version="1", options={}), [planned("a.png")])
    ledger.publish_snapshot()
    ledger.plan(1, [planned("b.png")])
    ledger._whole.close()
    with pytest.raises(ValueError, match="closed file"):
        ledger.publish_snapshot()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("pipeline.archive.ledger.file._LOCK_BYTES", 0)
    ledger.publish_snapshot()
    monkeypatch.undo()
    with closing(sqlite3.connect(tmp_path / ".autochrome" / "ledger-snapshot.sqlite3")) as snapshot:
        assert snapshot.execute("SELECT path FROM items").fetchall() == [("a.png",), ("b.png",)]


def test_the_schema_in_the_manual_is_the_one_that_is_made(ledger: Ledger) -> None:
    manual = (Path(__file__).parents[3] / "docs" / "ledger.md").read_text(encoding="utf-8")
    rows = ledger._connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for (table,) in rows:
        section = manual.partition(f"## `{table}`")[2].partition("\n## ")[0]
        told = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
        made = {column[1] for column in ledger._connection.execute(f"PRAGMA table_info({table})")}
        assert told == made
