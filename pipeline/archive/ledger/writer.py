"""Everything a run writes into its ledger."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.archive.fingerprints import FileStat
from pipeline.archive.ledger.file import SNAPSHOT, has_news, publish_snapshot, reporting
from pipeline.archive.ledger.reader import LedgerReader
from pipeline.archive.ledger.rows import Planned, RunEnd, State, stored
from pipeline.archive.output_folder import OutputLock
from pipeline.documents import to_json
from pipeline.errors import OutputError
from pipeline.open_files import is_in_use
from pipeline.results import Failure, FilmResult, PhotoResult

logger = logging.getLogger(__name__)

# Snapshots take at most a fiftieth of the time, and are made at most once a minute.
_SNAPSHOT_SECONDS, _SNAPSHOT_SHARE = 60.0, 50


# A row left RUNNING stays RUNNING: the file under its result's name may have just been published by the dead run.
_PLAN = """
INSERT INTO items
    (path, kind, output, state, attempts, deaths, source_size, source_mtime_ns, recipe, weight, replaces, planned)
VALUES (?, ?, ?, 'waiting', ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (path) DO UPDATE SET kind = excluded.kind, output = excluded.output,
    state = CASE state WHEN 'running' THEN state ELSE excluded.state END,
    attempts = excluded.attempts, deaths = excluded.deaths,
    source_size = excluded.source_size, source_mtime_ns = excluded.source_mtime_ns,
    source_sha256 = '', recipe = excluded.recipe, weight = excluded.weight, replaces = excluded.replaces,
    planned = excluded.planned,
    error = CASE excluded.attempts WHEN 0 THEN '' ELSE error END,
    advice = CASE excluded.attempts WHEN 0 THEN '' ELSE advice END,
    exit_code = CASE excluded.attempts WHEN 0 THEN 0 ELSE exit_code END
"""
_DONE = """
UPDATE items SET state = 'done', attempts = 0, deaths = 0, progress = 0,
    source_size = ?, source_mtime_ns = ?, source_sha256 = '',
    result_size = ?, result_mtime_ns = ?, result_sha256 = NULL, engine = ?, started = ?, seconds = ?, result = ?,
    previews = ?, pack = ?, pack_offset = ?, error = '', advice = '', exit_code = 0
WHERE path = ?
"""
_FAILED = """
UPDATE items SET state = CASE WHEN ?7 THEN 'refused' WHEN attempts + 1 >= ?1 THEN 'quarantined' ELSE 'failed' END,
    attempts = CASE WHEN ?1 IS NULL THEN attempts ELSE attempts + 1 END, deaths = 0, progress = 0,
    seconds = ?2, error = ?3, advice = ?4, exit_code = ?5
WHERE path = ?6
"""


class Ledger(LedgerReader):
    """The ledger of a run; get one from `open_ledger` and use it in a ``with`` block.

    Can be shared between threads. Data written by `claim` and `begin_run` is on disk when they return; data written by
    `done` survives the death of the process immediately, and that of the machine from the next claim on. All methods
    raise `OutputError`, which names the file, if it is damaged or the disk refuses, and writing ones raise
    `LockedError` if another run took over the lock.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: OutputLock | None = None) -> None:
        super().__init__(path, connection)
        self.lock = lock
        self._next_snapshot = 0.0
        try:
            with reporting(path):
                self.has_news = has_news(path, path.with_name(SNAPSHOT))
                """Whether the last run died, leaving data that its snapshot does not contain."""
                # Kept open until the connection is closed: closing it earlier would release SQLite's locks (fcntl(2)).
                self._whole = path.open("rb", buffering=0)
        except BaseException:
            super().close()
            raise

    def check_lock(self) -> None:
        """Raise `LockedError` if another run took over the lock: the folder's content is then its own."""
        if self.lock is not None:
            self.lock.check()

    def publish_snapshot(self, *, if_due: bool = False) -> None:
        """Publish the current state to readers; with ``if_due`` only if the last time was a while ago.

        With ``if_due``, publishing is postponed if Windows refuses because readers have the last snapshot open.
        """
        started = time.monotonic()
        if not if_due or started >= self._next_snapshot:
            with self._turn, reporting(self.path):
                self.check_lock()
                try:
                    publish_snapshot(self._connection, self.path, self._whole)
                except OutputError as error:
                    if not if_due or not is_in_use(error.__cause__):
                        raise
                    logger.info("%s: put off", self.path.with_name(SNAPSHOT), exc_info=True)
            took = time.monotonic() - started
            self._next_snapshot = time.monotonic() + max(_SNAPSHOT_SECONDS, _SNAPSHOT_SHARE * took)

    def begin_run(self, *, version: str, options: Mapping[str, Any]) -> int:
        """Record the start of a run and return its number."""
        with self._writing(durable=True) as connection:
            values = (time.time(), version, json.dumps(options))
            row = connection.execute("INSERT INTO runs (started, version, options) VALUES (?, ?, ?)", values)
            return int(row.lastrowid or 0)

    def end_run(
        self,
        number: int,
        end: RunEnd,
        *,
        done: int,
        kept: int,
        failed: int,
        skipped: int,
        left_out: Mapping[str, Any],
    ) -> None:
        """Record how the run ended; ``done`` and the following are counts of its items."""
        query = """
            UPDATE runs SET ended = ?, outcome = ?, exit_code = ?, done = ?, kept = ?, failed = ?, skipped = ?,
            left_out = ? WHERE number = ?
        """
        counts = (done, kept, failed, skipped, json.dumps(left_out))
        with self._writing(durable=True) as connection:
            connection.execute(query, (time.time(), end.word, end.exit_code, *counts, number))

    def plan(self, run: int, items: Iterable[Planned]) -> None:
        """Queue ``items`` for ``run``, keeping what is known of their last results."""
        rows = (
            (
                *(stored(item.path), item.kind, stored(item.output), item.attempts, item.deaths),
                *(item.source.size, item.source.mtime_ns, item.recipe, item.weight, item.replaces, run),
            )
            for item in items
        )
        with self._writing() as connection:
            connection.executemany(_PLAN, rows)

    def claim(self, paths: Sequence[str]) -> None:
        """Mark the items at ``paths`` RUNNING: from now on there may be a result under their names."""
        rows = [(time.time(), stored(path)) for path in paths]
        with self._writing(durable=True) as connection:
            connection.executemany("UPDATE items SET state = 'running', started = ? WHERE path = ?", rows)

    def begin(self, path: str, *, progress: int) -> None:
        """Count a death of the item in advance: after the process has died, nobody could.

        ``progress`` is the number of bytes of it already on disk: an item that made progress since its last death is
        not to blame for it.
        """
        query = """
            UPDATE items SET deaths = CASE WHEN ?1 > progress THEN 1 ELSE deaths + 1 END, progress = ?1 WHERE path = ?2
        """
        with self._writing() as connection:
            connection.execute(query, (progress, stored(path)))

    def put_off(self, path: str) -> None:
        """Undo the count of `begin`: the item had an outcome or was stopped cleanly, and is not done."""
        with self._writing() as connection:
            connection.execute("UPDATE items SET deaths = MAX(deaths - 1, 0) WHERE path = ?", (stored(path),))

    def lost(self, path: str) -> None:
        """Record that the outcome of an item is unknown: there may be a result, which may be replaced."""
        with self._writing() as connection:
            connection.execute("UPDATE items SET replaces = 1 WHERE path = ?", (stored(path),))

    def release(self, paths: Sequence[str]) -> None:
        """Mark the RUNNING items at ``paths`` WAITING again: none of them got a result."""
        query = "UPDATE items SET state = 'waiting' WHERE path = ? AND state = 'running'"
        with self._writing() as connection:
            connection.executemany(query, [(stored(path),) for path in paths])

    def done(
        self,
        path: str,
        outcome: PhotoResult | FilmResult,
        *,
        source: FileStat,
        result: FileStat,
        started: float,
        seconds: float,
        packed: tuple[int, int] | None = None,
    ) -> None:
        """Store the result of an item, with the labels and location of its previews; `seal` it afterwards."""
        labels = json.dumps([preview.label for preview in outcome.previews])
        row = (
            *(source.size, source.mtime_ns, result.size, result.mtime_ns),
            *(outcome.engine, started, seconds, json.dumps(to_json(outcome)), labels),
            *(*(packed or (None, None)), stored(path)),
        )
        with self._writing() as connection:
            connection.execute(_DONE, row)

    def seal(self, path: str, *, source_sha256: str, result_sha256: str) -> None:
        """Store the fingerprints of an item that is DONE: everything that belongs to its result now exists."""
        with self._writing() as connection:
            query = "UPDATE items SET source_sha256 = ?, result_sha256 = ? WHERE path = ?"
            connection.execute(query, (source_sha256, result_sha256, stored(path)))

    def failed(self, path: str, failure: Failure, *, seconds: float, quarantine_after: int | None) -> State:
        """Record that an item failed in this run and return its new state: FAILED, QUARANTINED or REFUSED.

        With None, the failure is not the item's fault and does not count among its attempts.
        """
        row = (quarantine_after, seconds, stored(failure.error), stored(failure.advice), failure.exit_code)
        key = stored(path)
        with self._writing() as connection:
            connection.execute(_FAILED, (*row, key, failure.refused))
            (state,) = connection.execute("SELECT state FROM items WHERE path = ?", (key,)).fetchone()
        return State(state)

    def update_stats(self, path: str, *, source: FileStat, result: FileStat) -> None:
        """Store new times of a source and a result whose fingerprints are unchanged."""
        query = """
            UPDATE items SET source_size = ?, source_mtime_ns = ?, result_size = ?, result_mtime_ns = ? WHERE path = ?
        """
        with self._writing() as connection:
            stats = (source.size, source.mtime_ns, result.size, result.mtime_ns)
            connection.execute(query, (*stats, stored(path)))

    def found_again(self, path: str) -> None:
        """Mark an item DONE again whose source was GONE."""
        with self._writing() as connection:
            connection.execute("UPDATE items SET state = 'done' WHERE path = ? AND state = 'gone'", (stored(path),))

    def mark_gone(self, paths: Iterable[str]) -> None:
        """Mark the items at ``paths`` GONE: they have a result, but no source any more."""
        with self._writing() as connection:
            query = "UPDATE items SET state = 'gone' WHERE path = ?"
            connection.executemany(query, [(stored(path),) for path in paths])

    def forget(self, paths: Iterable[str]) -> None:
        """Delete the items at ``paths``."""
        with self._writing() as connection:
            connection.executemany("DELETE FROM items WHERE path = ?", [(stored(path),) for path in paths])

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        super().close()
        self._whole.close()

    @contextmanager
    def _writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        with self._turn, reporting(self.path):
            if connection.in_transaction:
                # An exception was raised between a BEGIN and its block.
                connection.execute("ROLLBACK")
            self.check_lock()
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
