"""A real Ray cluster of two nodes on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.archive.test_kill import ENVIRONMENT, ROOT
from tests.pipeline.archive.test_workers import LongFilm

pytest.importorskip("ray", reason="Ray is not installed: pip install 'autochrome-archive[ray]'")
pytestmark = pytest.mark.nightly


def test_workers_nodes_and_drivers_killed_at_random_end_with_what_an_undisturbed_run_leaves(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.pipeline.archive.cluster_kills", str(tmp_path), "--kills", "20"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["kills"] == 20


def test_one_long_film_is_shared_by_two_machines_and_is_the_film_that_one_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.cluster_utils import Cluster

    memory = 80 << 20
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": memory})
    try:
        cluster.add_node(num_cpus=1, object_store_memory=memory)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        LongFilm.made(tmp_path).assert_shared("ray")
    finally:
        cluster.shutdown()
