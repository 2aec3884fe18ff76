"""An archive of very many scans, all of them done: ``python -m benchmarks.scale --items 1000000``.

It makes a tree of empty files, the same tree as results, and ledgers as finished runs leave them, of the whole and of
each of sixteen shards. It measures, each in a separate process, the CPU seconds and the peak memory of a run that finds
everything done, without a report; of a run of one shard; of the report of the whole; and of all shards together.
Nothing is coloured: only what grows with the number of items is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.memory import peak_megabytes
from pipeline.archive.closing import report_archive
from pipeline.archive.context import archive_at
from pipeline.archive.fingerprints import FileStat, recipe
from pipeline.archive.ledger import Planned, RunEnd, RunOutcome, all_shards, open_ledger
from pipeline.archive.output_folder import locked
from pipeline.archive.report import write_report
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions, Shard
from pipeline.archive.walk import Kind, shard_of
from pipeline.color.colorizer import fingerprint
from pipeline.documents import to_json
from pipeline.options import Options
from pipeline.results import (
    LumaCheck,
    Measures,
    Note,
    NoteKind,
    PhotoResult,
    Proof,
    SourceTone,
    Treatment,
    Verification,
)
from tests.engines.tiny import write_tiny_model

SHARDS = 16
_IN_A_FOLDER = 500
_PAGE = 5000
_VARIETY = 2100  # distinct results
_SEED_SHA = "ab" * 32


def names(count: int) -> Iterator[str]:
    """Yield ``count`` paths of scans, in folders of five hundred."""
    for number in range(count):
        box = number // _IN_A_FOLDER
        yield f"collection {box // 100:03}/box {box % 100:03}/scan_{number:07}.jpg"


def make_tree(root: Path, count: int) -> None:
    """Write ``count`` empty files below ``root``."""
    last = ""
    for name in names(count):
        folder = name.rpartition("/")[0]
        if folder != last:
            (root / folder).mkdir(parents=True, exist_ok=True)
            last = folder
        os.close(os.open(f"{root}/{name}", os.O_CREAT | os.O_WRONLY, 0o644))


def result_of(number: int) -> PhotoResult:
    """Return what a run would record for a photograph; one in twenty needs a look."""
    return PhotoResult(
        source=Path(),
        output=Path(),
        width=3000 + number % 700,
        height=2000 + number % 300,
        bits=8,
        engine="openvino",
        model="fast",
        weights_sha256=_SEED_SHA,
        notes=(Note(NoteKind.ASSUMED, "no colour profile: sRGB"),) if number % 3 else (),
        tones=(SourceTone.MONOCHROME,),
        treatment=Treatment.COLOURED,
        verification=Verification(
            checks={"picture": "decoded whole", "metadata": "the same tags", "profile": "the same bytes"},
            not_checked={},
            luma=LumaCheck(proof=Proof.EXACT, frames=1, bits=8, unit="pages"),
            seconds=0.08,
        ),
        measures=Measures(
            colourfulness=20 + number % 30, strong=0.03 if number % 20 == 0 else 0.0, clipped=0.001, doubt=0.1
        ),
    )


_DONE = f"""
UPDATE items SET state = 'done', source_sha256 = '{_SEED_SHA}', result_size = ?, result_mtime_ns = ?,
result_sha256 = '{_SEED_SHA}', engine = 'openvino', started = ?, seconds = 0.2, result = ?, previews = '[]'
WHERE path = ?
"""


def _result_text(source: str, output: str, number: int) -> str:
    return json.dumps({**_document(number % _VARIETY), "source": source, "output": output})


@cache
def _document(number: int) -> Mapping[str, Any]:
    found: Mapping[str, Any] = to_json(result_of(number))
    return found


def make_ledger(
    source: Path, output: Path, wanted: Sequence[tuple[int, str]], model: Path, shard: Shard | None
) -> None:
    """Write the ledger of a run that did the scans ``wanted``, each with its number, as the whole or as ``shard``."""
    options = Options(engine="onnxruntime", model=str(model))
    photo_recipe = recipe(Kind.PHOTO, options, network=fingerprint(options))
    with locked(output, shard=shard):
        with open_ledger(output, shard=shard) as ledger:
            run = ledger.begin_run(version="0", options={"run_options": {}})
            for first in range(0, len(wanted), _PAGE):
                planned = [
                    Planned(
                        path=name,
                        kind="photo",
                        output=name,
                        source=FileStat.of(f"{source}/{name}"),
                        recipe=photo_recipe,
                        attempts=0,
                        deaths=0,
                        weight=0,
                        replaces=False,
                    )
                    for _, name in wanted[first : first + _PAGE]
                ]
                ledger.plan(run, planned)
            end = RunEnd(outcome=RunOutcome.FINISHED, exit_code=0)
            ledger.end_run(run, end, done=len(wanted), kept=0, failed=0, skipped=0, left_out={})
        # In one step, where runs take two per item; no other process has the ledger open.
        with closing(sqlite3.connect(ledger.path)) as connection, connection:
            connection.executemany(
                _DONE,
                (
                    (*FileStat.of(made), time.time(), _result_text(f"{source}/{name}", made, number), name)
                    for number, name in wanted
                    for made in (f"{output}/{name}",)
                ),
            )
        with open_ledger(output, shard=shard) as ledger:
            ledger.publish_snapshot()


def _figures(action: Callable[[], Any]) -> dict[str, Any]:
    before, started = _cpu(), time.monotonic()
    found = action()
    return {
        "cpu": round(_cpu() - before, 1),
        "wall": round(time.monotonic() - started, 1),
        "megabytes": round(peak_megabytes()),
        "found": found,
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _run(folder: Path, output: Path, shard: Shard | None) -> dict[str, int]:
    options = Options(engine="onnxruntime", model=str(folder / "tiny.onnx"))
    result = colorize_archive(
        folder / "scans", output, options, run_options=RunOptions(keep_free=0, report=False, shard=shard)
    )
    return {"skipped": result.skipped, "done": result.photos, "failed": result.failed}


def _report(source: Path, output: Path) -> Path:
    with all_shards(output) as shards:
        return write_report(archive_at(source, output), shards)


def main() -> None:
    """Make an archive and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="keep what is made there, and use it again")
    parser.add_argument("--measure", choices=_MEASURED, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        sys.stdout.write(json.dumps(_figures(lambda: _MEASURED[args.measure](args.folder))) + "\n")
        return
    with tempfile.TemporaryDirectory() as whole:
        folder = args.folder or Path(whole)
        if not (folder / "shards").exists():
            _make(folder, args.items)
        size = (folder / "out" / ".autochrome" / "ledger.sqlite3").stat().st_size
        sys.stdout.write(f"{args.items:,} items; the ledger has {size / 1e6:,.0f} MB\n")
        for name in _MEASURED:
            command = [sys.executable, "-m", "benchmarks.scale", "--measure", name, "--folder", str(folder)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
            found = json.loads(output)
            sys.stdout.write(
                f"{name}: {found['cpu']} s of CPU, {found['wall']} s, {found['megabytes']} MB: {found['found']}\n"
            )
            sys.stdout.flush()


def _make(folder: Path, items: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_tiny_model(folder)
    for name in ("scans", "out"):
        make_tree(folder / name, items)
    # The results of the shards are those of the whole, through links to their folders.
    (folder / "shards").mkdir()
    for results in (folder / "out").iterdir():
        (folder / "shards" / results.name).symlink_to(results, target_is_directory=True)
    model, whole = folder / "tiny.onnx", list(enumerate(names(items)))
    make_ledger(folder / "scans", folder / "out", whole, model, None)
    parts: list[list[tuple[int, str]]] = [[] for _ in range(SHARDS)]
    for number, name in whole:
        parts[shard_of(name, SHARDS) - 1].append((number, name))
    for index, part in enumerate(parts, 1):
        make_ledger(folder / "scans", folder / "shards", part, model, Shard(index=index, count=SHARDS))


_MEASURED: dict[str, Callable[[Path], Any]] = {
    "start": lambda folder: _run(folder, folder / "out", None),
    "report": lambda folder: str(_report(folder / "scans", folder / "out")),
    "shard": lambda folder: _run(folder, folder / "shards", Shard(index=3, count=SHARDS)),
    "report of all shards": lambda folder: report_archive(folder / "scans", folder / "shards").items,
}


if __name__ == "__main__":
    main()
