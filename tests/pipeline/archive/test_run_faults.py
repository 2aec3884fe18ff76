"""One bad thing stops nothing else, and what is red is not called green."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.archive.ledger import State, read_ledger
from pipeline.archive.output_folder import free_space, locked
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_log import Event
from pipeline.archive.run_options import RunOptions, Shard
from pipeline.color.colorizer import Colorizer
from pipeline.errors import InputError, LockedError, OutputError, UsageError
from pipeline.film.job import outline
from pipeline.options import Options
from tests.commands import PATIENCE, python
from tests.films import make_film, moving_luma
from tests.photos import save, scene
from tests.pipeline.archive.runs import Listener, counts, last_run, raising, records, results, run, shots_of, states
from tests.pipeline.archive.test_run_log import lines

pytestmark = pytest.mark.slow

OUTPUT = "scans-colorized"


def metrics(path: Path) -> dict[str, float]:
    """Return the figures of the metrics file that have no label but the archive."""
    found = re.findall(
        r"^autochrome_(\w+)\{archive=\"[^\"]*\"\} (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {name: float(value) for name, value in found}


def test_links_that_lead_to_themselves_fail_by_name_and_stop_nothing(archive: Path, colorizer: Colorizer) -> None:
    (archive / "self.jpg").symlink_to("self.jpg")
    (archive / "one.mp4").symlink_to("other.mp4")
    (archive / "other.mp4").symlink_to("one.mp4")
    (archive / "loop").symlink_to("loop")
    result = run(archive, colorizer)
    assert counts(result) == (4, 0, 3)
    assert sorted(failed.source.name for failed in result.failures) == ["one.mp4", "other.mp4", "self.jpg"]
    assert all("the link points to no file" in failed.error for failed in result.failures)


def test_times_beyond_what_the_ledger_holds_are_no_trouble(archive: Path, colorizer: Colorizer) -> None:
    beyond = 13_537_929_600 * 10**9
    os.utime(archive / "people" / "a.jpg", ns=(0, beyond))
    if (archive / "people" / "a.jpg").stat().st_mtime_ns != beyond:
        pytest.skip("this disk holds no such times")
    assert counts(run(archive, colorizer)) == (4, 0, 0)
    assert counts(run(archive, colorizer)) == (0, 4, 0)


def test_a_film_whose_header_claims_any_number_of_frames_stops_nothing(archive: Path, colorizer: Colorizer) -> None:
    film = make_film(archive / "segments" / "endless.mkv", times=range(6), time_base=Fraction(1, 1000), rate=1000)
    # The Duration of a Matroska segment: a double, in milliseconds.
    start, duration, end = film.read_bytes().partition(b"\x44\x89\x88")
    film.write_bytes(start + duration + struct.pack(">d", 9e15) + end[8:])
    _, work = outline(film, Options())
    assert work > 1 << 63
    result = run(archive, colorizer)
    assert counts(result) == (4, 0, 1)
    assert "the file is cut off" in result.failures[0].error


@pytest.mark.usefixtures("bound_by_permissions")
def test_a_source_that_cannot_be_opened_is_tried_every_night_and_never_quarantined(
    archive: Path, colorizer: Colorizer
) -> None:
    photo = archive / "people" / "a.jpg"
    photo.chmod(0)
    found = [run(archive, colorizer) for _ in range(4)]
    assert [(result.failed, result.quarantined, result.exit_code) for result in found] == [(1, 0, 3)] * 4
    assert records(archive.with_name(OUTPUT))["people/a.jpg"].attempts == 0
    assert "Check its permissions" in found[0].failures[0].advice
    photo.chmod(0o644)
    assert counts(run(archive, colorizer)) == (1, 3, 0)


@pytest.mark.usefixtures("bound_by_permissions")
def test_a_source_behind_a_closed_folder_is_not_called_missing(archive: Path, colorizer: Colorizer) -> None:
    (archive / "people").chmod(0o600)
    try:
        found = [run(archive, colorizer) for _ in range(4)]
    finally:
        (archive / "people").chmod(0o700)
    assert all("Permission denied" in failed.error for result in found for failed in result.failures)
    assert found[-1].quarantined == 0
    assert counts(run(archive, colorizer)) == (2, 2, 0)


@pytest.mark.usefixtures("bound_by_permissions")
def test_what_lies_behind_a_closed_folder_is_not_called_gone(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer)
    (archive / "people").chmod(0)
    try:
        result = run(archive, colorizer)
    finally:
        (archive / "people").chmod(0o700)
    assert (result.gone, result.failed, result.exit_code) == (0, 1, 3)
    assert states(archive.with_name(OUTPUT))["people/a.jpg"] is State.DONE


def test_what_is_too_large_for_the_disk_is_left_and_all_else_is_done(archive: Path, colorizer: Colorizer) -> None:
    film = make_film(archive / "segments" / "large.mp4", codec="libx264", times=range(6))
    size = film.stat().st_size
    try:
        # Most of it is a hole, which takes no room.
        os.truncate(film, free_space(archive) + (1 << 40))
    except OSError:
        pytest.skip("this disk holds no such files")
    with pytest.raises(
        OutputError, match=r"there is not enough free space for segments/large.mp4 \(.*\); everything else is done"
    ):
        run(archive, colorizer, run_options=RunOptions(keep_free=0))
    output = archive.with_name(OUTPUT)
    left = {path: state for path, state in states(output).items() if state is not State.DONE}
    assert left == {"segments/large.mp4": State.WAITING}
    assert last_run(output).exit_code == 5
    os.truncate(film, size)
    assert counts(run(archive, colorizer)) == (1, 4, 0)


KILLER = """
import sys
from engines.networks import open_network
from pipeline.archive.run import colorize_archive
from pipeline.color.colorizer import Colorizer
from tests.engines.faults import fault_entries

colorizer = Colorizer(*open_network("killing the bright", sys.argv[3], extra=fault_entries()))
sys.exit(colorize_archive(sys.argv[1], sys.argv[2], colorizer=colorizer).exit_code)
"""


def night(source: Path, output: Path, model: Path) -> int:
    done = python(KILLER, source, output, model)
    assert done.returncode in (0, 3, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["photograph", "film"])
def test_a_file_that_kills_the_process_is_done_last_and_alone_and_quarantined(
    tmp_path: Path, tiny: Path, kind: str
) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in "abc":
        save(source / f"{name}.png", scene())
    # Bright all over: an engine dies of it.
    deadly = source / ("deadly.png" if kind == "photograph" else "deadly.mkv")
    if kind == "photograph":
        save(deadly, scene(width=150) // 8 + 220)
    else:
        make_film(deadly, times=range(4), luma=lambda number: moving_luma(number, width=96, height=64) // 8 + 220)
    assert [night(source, output, tiny) for _ in range(3)] == [-signal.SIGKILL] * 3
    done = {path: record.state for path, record in records(output).items() if path != deadly.name}
    assert done == dict.fromkeys(("a.png", "b.png", "c.png"), State.DONE)
    assert night(source, output, tiny) == 3
    record = records(output)[deadly.name]
    assert record.state is State.QUARANTINED
    assert "the program died in 3 runs while it was processing it" in record.error
    # It is left alone, and still has no result.
    assert night(source, output, tiny) == 3


DYING = """
import os, signal, sys
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.options import Options, Quality
from tests.pipeline.archive.runs import Listener

def die():
    os.kill(os.getpid(), signal.SIGKILL)

options = Options(engine="onnxruntime", model=sys.argv[3], quality=Quality.MASTER)
run_options = RunOptions(segment_frames=5)
progress = Listener("long.mp4", int(sys.argv[4]), die)
sys.exit(colorize_archive(*sys.argv[1:3], options, run_options=run_options, progress=progress).exit_code)
"""


@pytest.mark.nightly
def test_a_long_film_that_gets_on_is_not_to_blame_for_the_deaths_of_its_runs(tmp_path: Path, tiny: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    make_film(source / "long.mp4", codec="libx264", times=range(80), luma=shots_of(10))
    for frames in (12, 22, 32, 42):
        assert python(DYING, source, output, tiny, frames).returncode == -signal.SIGKILL
        assert records(output)["long.mp4"].state is State.RUNNING
    assert python(DYING, source, output, tiny, -1).returncode == 0
    assert records(output)["long.mp4"].state is State.DONE


def test_a_source_folder_that_is_empty_of_a_sudden_is_an_error(
    archive: Path, colorizer: Colorizer, tmp_path: Path
) -> None:
    options = RunOptions(metrics=tmp_path / "a.prom", log=tmp_path / "log")
    run(archive, colorizer, run_options=options)
    before = metrics(tmp_path / "a.prom")["last_success_timestamp_seconds"]
    archive.rename(tmp_path / "elsewhere")
    archive.mkdir()
    with pytest.raises(InputError, match="no photograph or film in it, but 4 were there") as caught:
        run(archive, colorizer, run_options=options)
    assert caught.value.exit_code == 4
    assert "mounted" in caught.value.advice
    now = metrics(tmp_path / "a.prom")
    assert (now["run_exit_code"], now["last_success_timestamp_seconds"]) == (4, before)
    assert lines(tmp_path / "log")[-1]["exit_code"] == 4
    assert set(states(archive.with_name(OUTPUT)).values()) == {State.DONE}
    archive.rmdir()
    (tmp_path / "elsewhere").rename(archive)
    assert counts(run(archive, colorizer, run_options=options)) == (0, 4, 0)


def test_sources_that_vanished_or_were_renamed_do_not_stay_done(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer)
    output = archive.with_name(OUTPUT)
    (archive / "people" / "a.jpg").rename(archive / "people" / "renamed.jpg")
    listener = Listener()
    result = colorize_archive(archive, None, Options(), colorizer=colorizer, progress=listener)
    assert (counts(result), result.gone) == ((1, 3, 0), 1)
    assert states(output)["people/a.jpg"] is State.GONE
    assert (output / "people" / "a.jpg").exists()
    assert any("people/a.jpg" in line and "no longer there" in line for line in listener.said)
    assert "1without source" in re.sub(r"<[^>]*>|\s", "", (output / "report.html").read_text(encoding="utf-8")).replace(
        "withoutsource", "without source"
    )
    assert run(archive, colorizer).gone == 0
    (archive / "people" / "renamed.jpg").rename(archive / "people" / "a.jpg")
    result = run(archive, colorizer)
    assert (counts(result), result.gone) == ((0, 4, 0), 1)
    assert states(output)["people/a.jpg"] is State.DONE


def all_say(archive: Path, tmp_path: Path, code: int) -> None:
    """Check that log, metrics and ledger say ``code``."""
    assert lines(tmp_path / "log")[-1]["exit_code"] == code
    assert last_run(archive.with_name(OUTPUT)).exit_code == code
    if (tmp_path / "a.prom").is_file():
        assert metrics(tmp_path / "a.prom")["run_exit_code"] == code


def test_a_report_that_cannot_be_written_is_told_to_log_metrics_and_ledger(
    archive: Path, colorizer: Colorizer, tmp_path: Path
) -> None:
    options = RunOptions(metrics=tmp_path / "a.prom", log=tmp_path / "log")
    (archive.with_name(OUTPUT) / "report.html").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"report\.html"):
        run(archive, colorizer, run_options=options)
    all_say(archive, tmp_path, 5)
    assert "last_success_timestamp_seconds" not in metrics(tmp_path / "a.prom")


def test_metrics_that_cannot_be_written_lose_no_report_and_are_told_to_log_and_ledger(
    archive: Path, colorizer: Colorizer, tmp_path: Path
) -> None:
    (tmp_path / "a.prom").mkdir()
    options = RunOptions(metrics=tmp_path / "a.prom", log=tmp_path / "log")
    with pytest.raises(OutputError, match=r"a\.prom"):
        run(archive, colorizer, run_options=options)
    assert (archive.with_name(OUTPUT) / "report.html").exists()
    all_say(archive, tmp_path, 5)


def test_a_run_that_is_interrupted_says_so_everywhere_though_its_report_fails(
    archive: Path, colorizer: Colorizer, tmp_path: Path
) -> None:
    (archive.with_name(OUTPUT) / "report.html").mkdir(parents=True)
    options = RunOptions(metrics=tmp_path / "a.prom", log=tmp_path / "log")
    with pytest.raises(KeyboardInterrupt):
        run(archive, colorizer, run_options=options, progress=Listener("d.mp4", "begin", raising(KeyboardInterrupt())))
    assert lines(tmp_path / "log")[-1]["outcome"] == "interrupted"


def begin_locked(archive: Path, act: Callable[[], object]) -> None:
    with locked(archive.with_name(OUTPUT)), pytest.raises(LockedError):
        act()


def begin_without_a_source(archive: Path, act: Callable[[], object]) -> None:
    shutil.rmtree(archive)
    with pytest.raises(InputError):
        act()


def begin_with_a_damaged_ledger(archive: Path, act: Callable[[], object]) -> None:
    ledger = archive.with_name(OUTPUT) / ".autochrome" / "ledger.sqlite3"
    ledger.write_bytes(b"shoe box, attic" * 1000)
    with pytest.raises(OutputError):
        act()


@pytest.mark.parametrize(
    ("begin", "code"), [(begin_locked, 75), (begin_without_a_source, 4), (begin_with_a_damaged_ledger, 5)]
)
def test_a_run_that_never_began_leaves_its_exit_code_in_the_metrics(
    archive: Path, colorizer: Colorizer, tmp_path: Path, begin: Callable[..., None], code: int
) -> None:
    options = RunOptions(metrics=tmp_path / "a.prom")
    run(archive, colorizer, run_options=options)
    before = metrics(tmp_path / "a.prom")
    begin(archive, lambda: run(archive, colorizer, run_options=options))
    now = metrics(tmp_path / "a.prom")
    assert now["run_exit_code"] == code
    assert now["last_success_timestamp_seconds"] == before["last_success_timestamp_seconds"]
    assert now["run_start_timestamp_seconds"] > before["run_start_timestamp_seconds"]


def test_no_metrics_are_written_over_what_is_no_metrics_file(archive: Path, colorizer: Colorizer) -> None:
    before = (archive / "notes.txt").read_bytes()
    with pytest.raises(UsageError):
        run(archive, colorizer, run_options=RunOptions(metrics=archive / "notes.txt"))
    assert (archive / "notes.txt").read_bytes() == before


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (None, Shard(index=1, count=2)),
        (Shard(index=1, count=2), None),
        (Shard(index=1, count=2), Shard(index=1, count=3)),
    ],
    ids=["shards of what was whole", "whole of what was in shards", "another number of shards"],
)
def test_another_number_of_parts_is_refused_and_changes_nothing(
    archive: Path, colorizer: Colorizer, first: Shard | None, second: Shard | None
) -> None:
    result = run(archive, colorizer, run_options=RunOptions(shard=first))
    before = {path: path.read_bytes() for path in result.output.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=r"was begun .*, and cannot be continued") as caught:
        run(archive, colorizer, run_options=RunOptions(shard=second))
    assert caught.value.exit_code == 2
    assert "--output" in caught.value.advice
    assert {path: path.read_bytes() for path in result.output.rglob("*") if path.is_file()} == before
    assert run(archive, colorizer, run_options=RunOptions(shard=first)).exit_code == 0


def test_the_only_part_of_one_is_the_whole(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer, run_options=RunOptions(shard=Shard(index=1, count=1)))
    assert counts(run(archive, colorizer)) == (0, 4, 0)


def test_the_report_of_parts_counts_every_source_once_and_names_the_parts_that_are_missing(
    archive: Path, colorizer: Colorizer
) -> None:
    shards = [Shard(index=index, count=3) for index in (1, 2, 3)]

    def text() -> str:
        page = (archive.with_name(OUTPUT) / "report.html").read_text(encoding="utf-8")
        return " ".join(re.sub(r"<[^>]*>", " ", page.partition('<script type="application/json"')[0]).split())

    run(archive, colorizer, run_options=RunOptions(shard=shards[0]))
    assert "Shard 1 of 3: finished" in text()
    assert text().count("no run yet: its items are missing from this page") == 2
    for shard in (*shards[1:], *shards):
        run(archive, colorizer, run_options=RunOptions(shard=shard))
    assert "missing from this page" not in text()
    assert "4 done" in text()
    assert "Contact sheet 4" in text()


def test_copies_are_not_counted_as_coloured(archive: Path, colorizer: Colorizer, tmp_path: Path) -> None:
    rows = scene()
    save(archive / "people" / "colour.png", np.dstack([rows, rows[::-1], rows[:, ::-1]]))
    options = RunOptions(metrics=tmp_path / "a.prom", log=tmp_path / "log")
    result = run(archive, colorizer, run_options=options)
    assert (result.photos, result.films, result.kept) == (3, 1, 1)
    assert (metrics(tmp_path / "a.prom")["run_done"], metrics(tmp_path / "a.prom")["run_kept"]) == (5, 1)
    ended = lines(tmp_path / "log")[-1]
    assert (ended["event"], ended["done"], ended["kept"]) == (Event.RUN_ENDED, 5, 1)


def test_what_is_left_out_is_said_and_counted(archive: Path, colorizer: Colorizer) -> None:
    for name in (".scan.jpg", ".private/a.jpg", "lost+found/b.jpg", "table.xyz"):
        (archive / name).parent.mkdir(exist_ok=True)
        (archive / name).write_bytes(b"-")
    listener = Listener()
    result = colorize_archive(archive, None, Options(), colorizer=colorizer, progress=listener)
    assert (result.hidden, result.ignored, result.ignored_suffixes) == (3, 2, {".txt": 1, ".xyz": 1})
    said = "\n".join(listener.said)
    assert "3 hidden, files and folders, left out: .private, .scan.jpg, lost+found" in said
    assert "2 files left out, neither photograph nor film: 1 .txt, 1 .xyz" in said or "1 .xyz, 1 .txt" in said
    page = (result.output / "report.html").read_text(encoding="utf-8")
    assert "lost+found" in page.partition('<script type="application/json"')[0]


def test_a_ledger_in_use_is_read_as_its_last_snapshot_and_never_called_damaged(
    archive: Path, colorizer: Colorizer
) -> None:
    """The mount of another machine sees a write-ahead log and a database of different moments."""
    output = archive.with_name(OUTPUT)
    run(archive, colorizer)
    with locked(output):
        (output / ".autochrome" / "ledger.sqlite3-wal").write_bytes(os.urandom(50_000))
        whole = (output / ".autochrome" / "ledger.sqlite3").read_bytes()
        (output / ".autochrome" / "ledger.sqlite3").write_bytes(whole[: len(whole) // 2])
        assert set(states(output).values()) == {State.DONE}


def test_what_a_run_that_died_wrote_is_read_from_a_copy(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from pipeline.archive.ledger import open_ledger
from tests.pipeline.archive.test_ledger import finish, planned
ledger = open_ledger(Path(sys.argv[1]))
ledger.publish_snapshot()
ledger.plan(1, [planned("a.png")])
finish(ledger, "a.png")
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=False, timeout=PATIENCE)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert states(tmp_path) == {"a.png": State.DONE}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    ledger = read_ledger(tmp_path)
    assert ledger is not None
    with ledger, pytest.raises(sqlite3.OperationalError, match="readonly"):
        ledger._connection.execute("UPDATE items SET state = 'done'")
    assert results(tmp_path) == []
    assert records(tmp_path)["a.png"]._replace(path="b.png").path == "b.png"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_behind_standard_error_ends_no_run(archive: Path, tiny: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", "import cli; cli.archive()", str(archive), "--model", str(tiny)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*command, "--engine", "onnxruntime"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=full,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 0
    assert set(states(archive.with_name(OUTPUT)).values()) == {State.DONE}


def test_a_callback_that_fails_comes_out_as_it_is_and_forms_no_ring(archive: Path, colorizer: Colorizer) -> None:
    class Fails(Listener):
        def say(self, text: str) -> None:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left") as caught:
        colorize_archive(archive, None, Options(), colorizer=colorizer, progress=Fails())
    seen: list[BaseException] = []
    error: BaseException | None = caught.value
    while error is not None:
        assert error not in seen
        seen.append(error)
        error = error.__cause__ or error.__context__
