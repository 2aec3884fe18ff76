"""Runs killed at random moments: ``python -m benchmarks.kills --kills 200`` prints what the kills hit and left behind.

Every resulting output, after as many reruns as needed, is compared byte for byte with that of an undisturbed run; the
sources must be unchanged, and no unfinished file may remain. The tests do the same a dozen times.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.pipeline.archive.kills import kill_at_random


def main() -> None:
    """Kill the number of runs given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seen = kill_at_random(Path(folder), kills=args.kills, seed=args.seed)
    for name, value in vars(seen).items():
        sys.stdout.write(f"{name:>13}: {dict(value) if isinstance(value, dict) else value}\n")


if __name__ == "__main__":
    main()
