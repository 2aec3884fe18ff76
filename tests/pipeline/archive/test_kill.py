from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive.ledger import State, read_ledger
from pipeline.media.publish import PARTIAL_PREFIX
from tests.films import make_film
from tests.photos import save, scene

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def harness(folder: Path, *arguments: object) -> Any:
    """Run the harness in a process without threads, which may fork, and return what it saw."""
    command = [sys.executable, "-m", "tests.pipeline.archive.kills", str(folder), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_runs_killed_at_random_moments_end_with_what_an_undisturbed_run_leaves(tmp_path: Path) -> None:
    seen = harness(tmp_path, "--kills", 12, "--seed", 1)
    assert seen["kills"] == 12
    assert seen["archives"] >= 1


def test_a_result_too_large_for_the_disk_fails_alone_and_is_made_when_there_is_room(tmp_path: Path) -> None:
    found = harness(tmp_path, "--limit", 4_500_000)
    assert found == {"exit_code": 0, "failures": [5], "partial": []}


def test_a_ledger_that_cannot_be_written_ends_the_run_and_harms_nothing(tmp_path: Path) -> None:
    found = harness(tmp_path, "--limit", 60_000)
    assert (found["exit_code"], found["failures"]) == (5, None)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_run_in_order_and_the_next_one_goes_on(
    tmp_path: Path, tiny: Path, number: signal.Signals, code: int
) -> None:
    source, output = tmp_path / "scans", tmp_path / "out"
    source.mkdir()
    for name in "abc":
        save(source / f"{name}.png", scene())
    make_film(source / "long.mp4", codec="libx264", times=range(1500))
    command = [sys.executable, "-c", "import cli; cli.archive()", str(source), "-o", str(output)]
    command += ["--model", str(tiny), "--engine", "onnxruntime", "--quiet"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as run:
        # Its first photograph is there, so it is at work.
        deadline = time.monotonic() + 60
        while not list(output.glob("*.png")) and time.monotonic() < deadline:
            time.sleep(0.01)
        run.send_signal(number)
        _, said = run.communicate(timeout=60)
    assert run.returncode == code, said
    assert not [path for path in output.rglob("*") if path.name.startswith(PARTIAL_PREFIX) and path.is_file()]
    ledger = read_ledger(output)
    assert ledger is not None
    with ledger:
        assert ledger.runs()[-1].outcome == "interrupted"
        states = {record.path: record.state for record in ledger.records()}
    assert sorted(states) == ["a.png", "b.png", "c.png", "long.mp4"]
    made = {path.name for path in output.glob("*.png")}
    done = {name for name, state in states.items() if state is State.DONE}
    # The signal may have come right after a result got its name: the next run makes this one again.
    assert done <= made
    assert {states[name] for name in made - done} <= {State.RUNNING}
    assert states["long.mp4"] is State.WAITING
    (source / "long.mp4").unlink()
    again = subprocess.run(
        [*command, "--json"], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert again.returncode == 0, again.stderr
    answer = json.loads(again.stdout)
    assert answer["photos"] + answer["skipped"] == 3
