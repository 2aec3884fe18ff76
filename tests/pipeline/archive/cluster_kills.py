"""Kill workers, machines and drivers of a local Ray cluster of two nodes; compare the results with an undisturbed run.

``python -m tests.pipeline.archive.cluster_kills FOLDER --kills 20`` does so and prints its findings as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from tests.commands import ROOT
from tests.engines.tiny import write_tiny_model
from tests.pipeline.archive.kills import check_finished, colour, contents, make_archive

_MEMORY = 80 << 20
_LONGEST = 240.0


def kill_at_random(folder: Path, *, kills: int, seed: int) -> dict[str, Any]:
    """Kill ``kills`` times, then let the work finish, and check the results."""
    source, model = make_archive(folder), write_tiny_model(folder)
    sources, undisturbed, output = contents(source), folder / "undisturbed", folder / "out"
    colour(source, undisturbed, model)
    allowed = contents(undisturbed).items()
    dice, seen = random.Random(seed), Counter[str]()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": _MEMORY})
    node = cluster.add_node(num_cpus=1, object_store_memory=_MEMORY)
    started, runs = time.monotonic(), 0
    try:
        while True:
            # Once all is done there is nothing left to kill: start over.
            driver, runs = _driver(source, output, model, cluster.address), runs + 1
            while driver.poll() is None and sum(seen.values()) < kills:
                if not (pids := _workers()):
                    time.sleep(0.1)
                    continue
                # Working, or about to start.
                time.sleep(dice.uniform(0, 3))
                what = dice.choice(("worker", "worker", "node", "driver"))
                if what == "worker":
                    with suppress(ProcessLookupError):
                        os.kill(dice.choice(pids), signal.SIGKILL)
                elif what == "node":
                    cluster.remove_node(node, allow_graceful=False)
                    node = cluster.add_node(num_cpus=1, object_store_memory=_MEMORY)
                else:
                    driver.kill()
                seen[what] += 1
                for name, found in contents(output).items():
                    assert (name, found) in allowed, f"seed {seed}: {name} has its name and is not whole"
            code = driver.wait(_LONGEST)
            assert code in (0, -signal.SIGKILL), f"seed {seed}: exit code {code}"
            if code == 0:
                check_finished(output, undisturbed)
                assert contents(source) == sources
                if sum(seen.values()) >= kills:
                    break
                output = folder / f"out{runs}"
    finally:
        ray.shutdown()
        cluster.shutdown()
    return {"kills": sum(seen.values()), **seen, "runs": runs, "seconds": round(time.monotonic() - started)}


def _driver(source: Path, output: Path, model: Path, address: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", __spec__.name, str(source), "--drive", str(output), str(model)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ADDRESS": address}
    return subprocess.Popen(command, cwd=ROOT, env=environment)


def _workers() -> list[int]:
    """Return the processes of actors of this cluster only: those started by its nodes, our children."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::Actor") and _parent(_parent(int(path.parent.name))) == os.getpid():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drive", nargs=2, type=Path, help="be a driver: output and model")
    args = parser.parse_args()
    if args.drive:
        result = colour(args.folder, *args.drive, on="ray", report=False)
        sys.exit(result.exit_code)
    sys.stdout.write(json.dumps(kill_at_random(args.folder, kills=args.kills, seed=args.seed)) + "\n")


if __name__ == "__main__":
    main()
