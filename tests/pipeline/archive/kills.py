"""Kill runs over a small archive at random moments, resume them, and compare the results with an undisturbed run.

``python -m tests.pipeline.archive.kills FOLDER --kills 200`` does so and prints its findings as JSON. Every run is a
separate process, forked from this one, which has imported everything and started nothing, so that a kill interrupts
work, not imports.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.archive.ledger import State, read_ledger
from pipeline.archive.report.previews import Packed, read
from pipeline.archive.run import ArchiveResult, colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.errors import AutochromeError
from pipeline.options import Options, Quality
from pipeline.publish import PARTIAL_PREFIX
from tests.engines.tiny import tiny_model, write_model, write_tiny_model
from tests.films import Sound, make_film
from tests.photos import save, save_tiff, scene

SEGMENT_FRAMES = 5
_SIDECAR = ".autochrome.json"
_CRASHED = 99


@dataclass
class Seen:
    """What the kills interrupted: counts, and the states in which they left items."""

    seed: int
    kills: int = 0
    archives: int = 0
    runs: int = 0
    left_partial: int = 0
    left_segments: int = 0
    left_between: int = 0
    left_states: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def make_archive(folder: Path) -> Path:
    """Write two dozen small photographs and a film, and return their folder."""
    source = folder / "scans"
    (source / "people").mkdir(parents=True)
    for number in range(8):
        save(source / "people" / f"{number}.jpg", scene(width=120 + 8 * number))
        save(source / "people" / f"{number}.png", scene(width=96 + 8 * number))
        save_tiff(source / f"{number}.tif", scene(width=80 + 8 * number, bits=16))
    make_film(source / "reel.mp4", codec="libx264", times=range(24), sounds=[Sound()])
    return source


def colour(source: Path, output: Path, model: Path, **run_options: Any) -> ArchiveResult:
    """Run over ``source`` like ``colorize-archive``, with films in short segments."""
    # FFV1: the multithreaded encoder of H.264 is not always deterministic.
    options = Options(engine="onnxruntime", model=str(model), quality=Quality.MASTER)
    return colorize_archive(
        source,
        output,
        options,
        run_options=RunOptions(keep_free=0, quarantine_after=1000, segment_frames=SEGMENT_FRAMES, **run_options),
    )


def forked(action: Callable[[], object]) -> int:
    """Run ``action`` in a forked process and return its id; it exits with 0, or with the exit code of an exception."""
    child = os.fork()
    if child:
        return child
    code = 0
    try:
        action()
    except AutochromeError as error:
        code = error.exit_code
    except BaseException:  # noqa: BLE001 - a fork must never go on as its parent
        traceback.print_exc()
        code = _CRASHED
    os._exit(code)


def ended(child: int) -> int:
    """Wait for a forked process and return its exit code, or -9 if it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def contents(root: Path) -> dict[str, str]:
    """Return the fingerprints of the results under ``root``, without our own files beside them."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        ours = name.startswith(".autochrome/") or name.endswith(_SIDECAR) or name == "report.html"
        if path.is_file() and not ours and not _is_partial(path):
            found[name] = sha256(path.read_bytes()).hexdigest()
    return found


def sidecars(root: Path) -> dict[str, Any]:
    """Return the content of the sidecars under ``root``, without the time."""
    found = {path.relative_to(root).as_posix(): json.loads(path.read_bytes()) for path in root.rglob(f"*{_SIDECAR}")}
    return {name: {**document, "made": ""} for name, document in found.items()}


def small_pictures(root: Path) -> dict[str, list[tuple[str, str]]]:
    """Return the previews of the results under ``root``."""
    ledger = read_ledger(root)
    assert ledger is not None
    with ledger:
        found = [(record, Packed(record.pack or 0, record.pack_offset or 0)) for record in ledger.records()]
    return {record.path: read(root / ".autochrome", packed, len(record.previews)) for record, packed in found}


def check_finished(output: Path, undisturbed: Path) -> None:
    """Raise AssertionError unless ``output`` equals the output of an undisturbed run."""
    assert contents(output) == contents(undisturbed)
    assert sidecars(output) == sidecars(undisturbed)
    assert [path for path in output.rglob("*") if _is_partial(path)] == []
    assert small_pictures(output) == small_pictures(undisturbed)
    ledger, other = read_ledger(output), read_ledger(undisturbed)
    assert ledger is not None
    assert other is not None
    with ledger, other:
        pairs = list(zip(ledger.records(), other.records(), strict=True))
        for record, fellow in pairs:
            assert record.state is State.DONE, record
            assert (record.path, record.output, record.recipe) == (fellow.path, fellow.output, fellow.recipe)
            assert (record.source_sha256, record.result_sha256) == (fellow.source_sha256, fellow.result_sha256)
            assert record.previews == fellow.previews


def kill_at_random(folder: Path, *, kills: int, seed: int) -> Seen:
    """Make an archive in ``folder`` and kill runs over it ``kills`` times, then check every resulting output.

    Every output is made with one set of weights and, once finished, made again with another.
    """
    source = make_archive(folder)
    models = [write_model(folder / f"{name}.onnx", tiny_model(name)) for name in (0, 1)]
    sources = contents(source)
    undisturbed = [folder / f"undisturbed{name}" for name in (0, 1)]
    started = time.monotonic()
    for model, output in zip(models, undisturbed, strict=True):
        assert ended(forked(partial(colour, source, output, model))) == 0
    length = (time.monotonic() - started) / 2
    allowed = [contents(output).items() for output in undisturbed]
    seen, dice = Seen(seed=seed), random.Random(seed)
    while seen.kills < kills:
        output = folder / f"out{seen.archives}"
        for number, model in enumerate(models):
            while True:
                # Half of the kills come early: a resumed run only has the end of the work left.
                moment = dice.uniform(0, length / dice.choice((1, 2))) if seen.kills < kills else None
                code = _run(source, output, model, moment)
                seen.runs += 1
                if code == 0:
                    break
                assert code == -signal.SIGKILL, f"seed {seed}, after {seen.kills} kills: exit code {code}"
                seen.kills += 1
                _look(output, {item for items in allowed[: number + 1] for item in items}, seen)
            check_finished(output, undisturbed[number])
            assert contents(source) == sources
        seen.archives += 1
        shutil.rmtree(output)
    seen.seconds = round(time.monotonic() - started, 1)
    return seen


def _run(source: Path, output: Path, model: Path, kill_after: float | None) -> int:
    child = forked(lambda: colour(source, output, model))
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return ended(child)


def _look(output: Path, allowed: set[tuple[str, str]], seen: Seen) -> None:
    """Check what a kill left: only a correct result, the new one or the previous one, may have a final name."""
    for name, found in contents(output).items():
        assert (name, found) in allowed, f"seed {seen.seed}, kill {seen.kills}: {name} has its name and is not whole"
    partial_paths = [path for path in output.rglob("*") if _is_partial(path)]
    seen.left_partial += any(path.is_file() and not path.parent.name.endswith(".segments") for path in partial_paths)
    seen.left_segments += any(path.is_dir() for path in partial_paths)
    ledger = read_ledger(output)
    if ledger is not None:
        with ledger:
            records = list(ledger.records())
        seen.left_states.update({record.state.value for record in records})
        seen.left_between += any(record.state is State.DONE and not record.result_sha256 for record in records)


def _is_partial(path: Path) -> bool:
    return any(part.startswith(PARTIAL_PREFIX) for part in path.parts)


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """Prevent files of this process from growing beyond ``limit`` bytes: writes then fail, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def run_on_full_disk(folder: Path, *, limit: int) -> dict[str, Any]:
    """Run over an archive with one large photograph while no file may exceed ``limit`` bytes, then without a limit."""
    source, model = make_archive(folder), write_tiny_model(folder)
    noise = np.random.default_rng(0).integers(0, 256, (1600, 1600), dtype=np.uint8)
    save(source / "large.png", noise)
    undisturbed, output = folder / "undisturbed", folder / "out"
    assert ended(forked(lambda: colour(source, undisturbed, model))) == 0

    def limited() -> None:
        with full_disk(limit):
            result = colour(source, output, model)
        (folder / "limited.json").write_text(json.dumps([failed.exit_code for failed in result.failures]))

    code = ended(forked(limited))
    partial_paths = [str(path) for path in output.rglob("*") if _is_partial(path)]
    whole = contents(undisturbed)
    assert all(whole[name] == found for name, found in contents(output).items())
    assert ended(forked(lambda: colour(source, output, model))) == 0
    check_finished(output, undisturbed)
    failures = json.loads((folder / "limited.json").read_text()) if (folder / "limited.json").exists() else None
    return {"exit_code": code, "failures": failures, "partial": partial_paths}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="fill the disk instead: no file may exceed so many bytes")
    args = parser.parse_args()
    if args.limit is not None:
        found = run_on_full_disk(args.folder, limit=args.limit)
    else:
        found = vars(kill_at_random(args.folder, kills=args.kills, seed=args.seed))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
