"""Runs over a small archive, and their results."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from engines.networks import open_network
from pipeline.archive.ledger import Record, RunRecord, State, read_ledger
from pipeline.archive.run import ArchiveResult, colorize_archive
from pipeline.archive.run_options import RunOptions, Shard
from pipeline.color.colorizer import Colorizer
from pipeline.options import Options
from pipeline.progress import Progress, Silent
from tests.engines.faults import fault_entries


class Listener(Silent):
    """Records events; calls ``act`` when ``item`` begins, when the given number of its units is done, or it ends."""

    def __init__(self, item: str = "", when: int | str = "never", act: Callable[[], object] = lambda: None) -> None:
        self._item, self._when, self._act = item, when, act
        self.said: list[str] = []
        self.counts: dict[str, list[int | None]] = {}
        self.open: set[str] = set()

    def begin(self, item: str, total: int | None, unit: str) -> None:
        self.counts[item] = [0, total]
        self.open.add(item)
        self._reached(item, "begin")

    def advance(self, item: str, count: int = 1) -> None:
        done = self.counts[item][0] = (self.counts[item][0] or 0) + count
        self._reached(item, done)

    def end(self, item: str) -> None:
        self.open.discard(item)
        self._reached(item, "end")

    def say(self, text: str) -> None:
        self.said.append(text)

    def _reached(self, item: str, where: int | str) -> None:
        if (Path(item).name, where) == (self._item, self._when):
            self._act()


def raising(error: BaseException) -> Callable[[], object]:
    """Return a function that raises ``error``."""

    def act() -> object:
        raise error

    return act


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def results(output: Path) -> list[str]:
    """Return the names of the results under ``output``, without our own files beside them."""
    return [
        name
        for name in files(output)
        if not name.startswith(".autochrome/") and not name.endswith(".autochrome.json") and name != "report.html"
    ]


def run(
    archive: Path,
    colorizer: Colorizer,
    *,
    run_options: RunOptions | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> ArchiveResult:
    chosen = Options(**options)
    return colorize_archive(archive, None, chosen, run_options=run_options, colorizer=colorizer, progress=progress)


def counts(result: ArchiveResult) -> tuple[int, int, int]:
    """Return how many were done, skipped, failed."""
    return result.photos + result.films, result.skipped, result.failed


def records(output: Path, *, shard: Shard | None = None) -> dict[str, Record]:
    ledger = read_ledger(output, shard=shard)
    assert ledger is not None
    with ledger:
        return {record.path: record for record in ledger.records()}


def last_run(output: Path, *, shard: Shard | None = None) -> RunRecord:
    ledger = read_ledger(output, shard=shard)
    assert ledger is not None
    with ledger:
        return ledger.runs()[-1]


def states(output: Path) -> dict[str, State]:
    return {path: record.state for path, record in records(output).items()}


def change_ledger(output: Path, query: str, *values: object) -> None:
    with closing(sqlite3.connect(output / ".autochrome" / "ledger.sqlite3")) as connection:
        connection.execute(query, values)
        connection.commit()


def shots_of(length: int) -> Callable[[int], np.ndarray]:
    """Return the luma of a film whose shots, all different, have ``length`` frames."""

    def luma(number: int) -> np.ndarray:
        blocks = np.random.default_rng(number // length).integers(20, 235, (8, 12))
        return np.kron(blocks, np.ones((8, 8))).astype(np.uint8)

    return luma


def hiccuping(tiny: Path, *, times: int | None = None) -> Colorizer:
    """Return a colorizer whose engine fails in its first ``times`` calls after its test, by default in all."""
    engine, choice = open_network("crashing", str(tiny), extra=fault_entries(bad_calls=times))
    return Colorizer(engine, choice)
