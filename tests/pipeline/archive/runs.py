"""Runs over a small archive, and what they left."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.archive.ledger import Record, RunRecord, State, read_ledger
from pipeline.archive.run import ArchiveResult, colorize_archive
from pipeline.archive.run_options import RunOptions, Shard
from pipeline.color.colorizer import Colorizer
from pipeline.film.job import colorize_video
from pipeline.options import Options
from pipeline.progress import Silent
from pipeline.results import FilmResult


class Listener(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.counts: dict[str, list[int | None]] = {}
        self.open: set[str] = set()

    def begin(self, item: str, total: int | None, unit: str) -> None:
        self.counts[item] = [0, total]
        self.open.add(item)

    def advance(self, item: str, count: int = 1) -> None:
        self.counts[item][0] = (self.counts[item][0] or 0) + count

    def end(self, item: str) -> None:
        self.open.discard(item)

    def say(self, text: str) -> None:
        self.said.append(text)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def results(output: Path) -> list[str]:
    """Name the results under ``output``: what is ours beside them left out."""
    return [
        name
        for name in files(output)
        if not name.startswith(".autochrome/") and not name.endswith(".autochrome.json") and name != "report.html"
    ]


def run(archive: Path, colorizer: Colorizer, *, run_options: RunOptions | None = None, **options: Any) -> ArchiveResult:
    return colorize_archive(archive, None, Options(**options), run_options=run_options, colorizer=colorizer)


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
    """Return the luma of a film whose shots, all unlike, have ``length`` frames."""

    def luma(number: int) -> np.ndarray:
        blocks = np.random.default_rng(number // length).integers(20, 235, (8, 12))
        return np.kron(blocks, np.ones((8, 8))).astype(np.uint8)

    return luma


def failing(times: int, error: BaseException) -> Callable[..., FilmResult]:
    left = [error] * times

    def film(*arguments: Any, **options: Any) -> FilmResult:
        if left:
            raise left.pop()
        return colorize_video(*arguments, **options)

    return film


def meddling(*actions: Callable[[], object]) -> Callable[..., FilmResult]:
    """Return a colorize_video that does something to the source when it is nearly through."""

    def film(*arguments: Any, **options: Any) -> FilmResult:
        result = colorize_video(*arguments, **options)
        for action in actions:
            action()
        return result

    return film
