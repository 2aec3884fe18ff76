from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands import PATIENCE, ROOT

pytestmark = pytest.mark.nightly

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def harness(folder: Path, *arguments: object) -> Any:
    """Run the harness in a process without threads, which may fork, and return what it saw."""
    command = [sys.executable, "-m", "tests.pipeline.archive.kills", str(folder), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
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
