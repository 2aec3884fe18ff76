from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive.run_log import FIELDS, Event, RunLog
from pipeline.archive.run_options import RunOptions, Shard
from pipeline.errors import OutputError
from pipeline.originals import Originals
from pipeline.results import Note, NoteKind

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations.md"
FAILED: dict[str, Any] = {
    "run": 3,
    "path": "a\n\u00e9\udcff.jpg",
    "kind": "photo",
    "error": "no picture",
    "advice": "",
    "exit_code": 4,
    "attempts": 1,
}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def test_every_event_is_one_line_with_its_time(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "night.jsonl"
    before = datetime.now(UTC)
    with RunLog(log, originals=Originals()) as journal:
        journal.write(Event.ITEM_FAILED, **FAILED)
        journal.write("message", run=3, text="hello")
    first, second = lines(log)
    assert first == {"ts": first["ts"], "event": "item_failed", **FAILED}
    assert (second["event"], second["text"]) == ("message", "hello")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["ts"])
    assert abs(datetime.fromisoformat(first["ts"]) - before) < timedelta(minutes=1)


def test_a_line_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with RunLog(log, originals=Originals()) as journal:
        journal.write(Event.MESSAGE, run=1, text="now")
        assert len(lines(log)) == 1


def test_nights_are_appended_to_each_other(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for run in (1, 2):
        with RunLog(log, originals=Originals()) as journal:
            journal.write(Event.MESSAGE, run=run, text="")
    assert [line["run"] for line in lines(log)] == [1, 2]


def test_values_of_ours_become_plain(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run_options = RunOptions(until=datetime(2026, 1, 31, 6, tzinfo=UTC), shard=Shard(index=3, count=16), log=log)
    notes = (Note(NoteKind.ASSUMED, "matrix bt601"),)
    with RunLog(log, originals=Originals()) as journal:
        journal.write(
            Event.ITEM_DONE, run=1, path="a", kind="photo", output="a", seconds=0.5, engine="torch", notes=notes
        )
        journal.write(
            Event.RUN_STARTED,
            run=1,
            version="1",
            source=tmp_path,
            output=tmp_path,
            options={},
            run_options=run_options,
            waiting=0,
            skipped=0,
        )
    done, started = lines(log)
    assert done["notes"] == [{"kind": "assumed", "text": "matrix bt601"}]
    assert started["run_options"]["until"] == "2026-01-31T06:00:00+00:00"
    assert started["run_options"]["shard"] == {"index": 3, "count": 16}


def test_without_a_file_nothing_is_written(tmp_path: Path) -> None:
    with RunLog(None, originals=Originals()) as journal:
        journal.write(Event.MESSAGE, run=1, text="")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fields", [{}, {"run": 1}, {"run": 1, "text": "", "more": 1}])
def test_a_line_that_is_not_as_documented_is_refused(fields: dict[str, Any]) -> None:
    with RunLog(None, originals=Originals()) as journal, pytest.raises(ValueError, match="message: its fields are"):
        journal.write(Event.MESSAGE, **fields)


def test_a_log_that_cannot_be_opened_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with (
        pytest.raises(OutputError, match="the log cannot be written") as caught,
        RunLog(tmp_path / "file" / "log", originals=Originals()),
    ):
        pass
    assert "--log" in caught.value.advice


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_log_on_a_full_disk_is_an_output_error() -> None:
    with (
        pytest.raises(OutputError, match="No space left"),
        RunLog(Path("/dev/full"), originals=Originals()) as journal,
    ):
        journal.write(Event.MESSAGE, run=1, text="")


def test_the_documented_schema_is_that_of_the_program() -> None:
    documented = {}
    for row in re.findall(r"^\| `(\w+)` \| (.+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE):
        if row[0] in set(Event):
            documented[Event(row[0])] = frozenset(re.findall(r"`(\w+)`", row[1].split(" | ")[0]))
    assert documented == FIELDS
