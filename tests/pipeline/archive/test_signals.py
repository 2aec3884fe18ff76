"""Runs over an archive in processes of their own, and the signals that end them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.archive.ledger import State
from pipeline.media.ffmpeg import see_streams
from pipeline.publish import PARTIAL_PREFIX
from tests.commands import PATIENCE, ROOT
from tests.films import make_film
from tests.photos import save, scene
from tests.pipeline.archive.runs import last_run, shots_of, states

pytestmark = pytest.mark.slow

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
SHOT, FRAMES = 25, 300
# The command, with segments of one shot.
PROGRAM = f"""
from dataclasses import replace
import cli
from pipeline.archive import run
whole = run.colorize_archive
def in_short_segments(*arguments, run_options, **more):
    return whole(*arguments, run_options=replace(run_options, segment_frames={SHOT - 5}), **more)
run.colorize_archive = in_short_segments
cli.archive()
"""
STOPS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


def still(_number: int) -> np.ndarray:
    """One shot without end."""
    return shots_of(SHOT)(0)


def archive(folder: Path, luma: Callable[[int], np.ndarray]) -> Path:
    """Write three photographs and a film that takes seconds."""
    source = folder / "scans"
    source.mkdir()
    for name in "abc":
        save(source / f"{name}.png", scene())
    make_film(source / "long.mkv", times=range(FRAMES), luma=luma)
    return source


def as_at_a_terminal() -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def at_work(source: Path, output: Path, model: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Start a run in a group of processes of its own, and wait until it is at the film."""
    with subprocess.Popen(
        command(source, output, model, *more),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Tests that run in the background, or under nohup, hand on ignored signals, which would stay ignored.
        preexec_fn=as_at_a_terminal,
    ) as run:
        wait_for(
            lambda: run.poll() is not None or list(output.glob(f"{PARTIAL_PREFIX}*.segments/{PARTIAL_PREFIX}*.segment"))
        )
        yield run


def command(source: Path, output: Path, model: Path, *more: str) -> list[str]:
    given = [str(source), "-o", str(output), "--model", str(model), "--engine", "onnxruntime", "--quality", "master"]
    return [sys.executable, "-c", PROGRAM, *given, *more]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def has_ended(pid: str) -> bool:
    """Return whether a process is no more, or is dead and only not yet waited for by who inherited it."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False).stdout
    return state.strip() == "" or state.startswith("Z")


def segments(output: Path) -> list[Path]:
    return sorted(output.glob(f"{PARTIAL_PREFIX}*.segments/[0-9]*.segment"))


def unfinished(output: Path) -> list[Path]:
    return [path for path in output.rglob("*") if path.name.startswith(PARTIAL_PREFIX) and path.is_file()]


def go_on(source: Path, output: Path, model: Path) -> Any:
    words = command(source, output, model, "--json")
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.nightly
@pytest.mark.few(1)
@pytest.mark.parametrize(("number", "code"), STOPS)
def test_told_once_the_run_finishes_the_segment_and_the_next_one_goes_on_after_it(
    tmp_path: Path, tiny: Path, number: signal.Signals, code: int
) -> None:
    source, output = archive(tmp_path, shots_of(SHOT)), tmp_path / "out"
    log = tmp_path / "log.jsonl"
    with at_work(source, output, tiny, "--log", str(log)) as run:
        wait_for(lambda: run.poll() is not None or segments(output))
        before = len(segments(output))
        # To the whole group, as a terminal sends it.
        os.killpg(run.pid, number)
        stdout, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == code, said
    assert "finishing work in progress; ask again to stop at once" in said
    assert "1 item left for the next run: asked to stop" in stdout
    assert last_run(output).outcome == "interrupted"
    assert states(output) == {**dict.fromkeys(("a.png", "b.png", "c.png"), State.DONE), "long.mkv": State.WAITING}
    assert before <= len(segments(output)) < FRAMES // SHOT
    assert unfinished(output) == []
    ended = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    assert (ended["event"], ended["outcome"], ended["exit_code"]) == ("run_ended", "interrupted", code)
    again = go_on(source, output, tiny)
    assert (again["films"], again["skipped"], again["outcome"]) == (1, 3, "finished")
    whole = go_on(source, tmp_path / "whole", tiny)
    assert (output / "long.mkv").read_bytes() == Path(whole["output"], "long.mkv").read_bytes()


@pytest.mark.nightly
def test_told_once_a_film_that_is_one_segment_is_finished(tmp_path: Path, tiny: Path) -> None:
    source, output = archive(tmp_path, still), tmp_path / "out"
    with at_work(source, output, tiny, "--json") as run:
        run.send_signal(signal.SIGINT)
        stdout, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 130, said
    assert (json.loads(stdout)["films"], json.loads(stdout)["waiting"]) == (1, 0)
    assert set(states(output).values()) == {State.DONE}


@pytest.mark.nightly
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_told_twice_it_stops_at_once_and_leaves_nothing_half_made(tmp_path: Path, tiny: Path, jobs: str) -> None:
    source, output = archive(tmp_path, still), tmp_path / "out"
    with at_work(source, output, tiny, "--jobs", jobs) as run:
        run.send_signal(signal.SIGINT)
        assert run.stderr is not None
        assert any("finishing work in progress" in line for line in run.stderr)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 130, said
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)
    assert not (output / "long.mkv").exists()
    assert unfinished(output) == []
    assert states(output)["long.mkv"] is State.WAITING
    assert last_run(output).outcome == "interrupted"
    assert go_on(source, output, tiny)["skipped"] == 3


@pytest.mark.nightly
def test_a_closed_terminal_ends_it_at_once(tmp_path: Path, tiny: Path) -> None:
    source, output = archive(tmp_path, still), tmp_path / "out"
    with at_work(source, output, tiny) as run:
        run.send_signal(signal.SIGHUP)
        _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 129, said
    assert unfinished(output) == []
    assert states(output)["long.mkv"] is State.WAITING


@pytest.mark.nightly
def test_a_signal_while_the_tree_is_walked_begins_nothing(tmp_path: Path, tiny: Path) -> None:
    source, output = tmp_path / "scans", tmp_path / "out"
    for number in range(2000):
        (source / f"{number:04}").mkdir(parents=True)
        (source / f"{number:04}" / "scan.jpg").touch()
    with subprocess.Popen(
        command(source, output, tiny, "--json"),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=as_at_a_terminal,
    ) as run:
        wait_for(lambda: run.poll() is not None or (output / ".autochrome" / "ledger.sqlite3-wal").exists())
        run.send_signal(signal.SIGTERM)
        stdout, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 143, said
    assert json.loads(stdout)["failed"] == 0
    assert last_run(output).outcome == "interrupted"


def test_the_program_that_checks_a_film_does_not_outlive_who_stops_at_once(tmp_path: Path) -> None:
    program, told = tmp_path / "ffmpeg", tmp_path / "pid"
    program.write_text(f"#!/bin/sh\necho $$ > {told}.new\nmv {told}.new {told}\nexec sleep 60\n", encoding="utf-8")
    program.chmod(0o755)
    asking = "import sys; from pathlib import Path; from pipeline.interruption import end_on_signals; "
    asking += "from pipeline.media.ffmpeg import see_streams; "
    asking += "end_on_signals(); see_streams(sys.argv[1], Path('film'), frames=1)"
    with subprocess.Popen(
        [sys.executable, "-c", asking, str(program)],
        env=ENVIRONMENT,
        stderr=subprocess.DEVNULL,
        preexec_fn=as_at_a_terminal,
    ) as run:
        wait_for(lambda: run.poll() is not None or told.exists())
        run.send_signal(signal.SIGINT)
        run.wait(timeout=PATIENCE)
    pid = told.read_text().strip()
    wait_for(lambda: has_ended(pid))
    assert has_ended(pid)


def test_ctrl_c_does_not_reach_the_program_that_checks_a_film(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nprintf '0,v,MD5='\nps -o pgid= -p $$ || cut -d' ' -f5 /proc/$$/stat\n")
    program.chmod(0o755)
    ((_, group),) = see_streams(str(program), tmp_path, frames=1)
    assert int(group) != os.getpgid(0)
