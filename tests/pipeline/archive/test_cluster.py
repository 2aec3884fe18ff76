"""A real Ray cluster of two nodes on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.archive.test_kill import ENVIRONMENT, ROOT

pytest.importorskip("ray", reason="Ray is not installed: pip install 'autochrome-archive[ray]'")
pytestmark = pytest.mark.nightly


def test_workers_nodes_and_drivers_killed_at_random_end_with_what_an_undisturbed_run_leaves(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.pipeline.archive.cluster_kills", str(tmp_path), "--kills", "20"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["kills"] == 20
