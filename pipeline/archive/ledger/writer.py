"""What a run writes into its ledger."""

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

# Snapshots are taken so seldom that they take at most a fiftieth of the time, and at most once a minute.
_SNAPSHOT_SECONDS, _SNAPSHOT_SHARE = 60.0, 50


# A row left RUNNING stays so: the result under its name may be one that the dead run had just published.
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

    Threads may share it. What `claim` and `begin_run` write is on the disk when they return; what `done` writes
    survives the death of the process at once, and that of the machine with the next claim. All methods raise
    `OutputError`, which names the file, when it is damaged or the disk refuses, and those that write `LockedError` when
    another run took the lock over.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: OutputLock | None = None) -> None:
        super().__init__(path, connection)
        self.lock = lock
        self._next_snapshot = 0.0
        try:
            with reporting(path):
                self.has_news = has_news(path, path.with_name(SNAPSHOT))
                """Whether the last run left what its snapshot does not hold: it died."""
                # Open until the connection is closed: to close it earlier would let go of SQLite's locks (fcntl(2)).
                self._whole = path.open("rb", buffering=0)
        except BaseException:
            super().close()
            raise

    def check_lock(self) -> None:
        """Raise `LockedError` if another run took the lock over: what lies in the folder is its own."""
        if self.lock is not None:
            self.lock.check()

    def publish_snapshot(self, *, if_due: bool = False) -> None:
        """Show readers how things are now; with ``if_due`` only if the last time is a while ago.

        With ``if_due`` it may wait for the next time where Windows does not let it: others have the last one open.
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
        """Write down that a run begins and return its number."""
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
        """Write down how the run ended; ``done`` and the next are counts of its items."""
        query = """
            UPDATE runs SET ended = ?, outcome = ?, exit_code = ?, done = ?, kept = ?, failed = ?, skipped = ?,
            left_out = ? WHERE number = ?
        """
        counts = (done, kept, failed, skipped, json.dumps(left_out))
        with self._writing(durable=True) as connection:
            connection.execute(query, (time.time(), end.word, end.exit_code, *counts, number))

    def plan(self, run: int, items: Iterable[Planned]) -> None:
        """Queue ``items`` for ``run``; what is known of their last results stays."""
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
        """Count a death of the item in advance: if the process dies at work on it, nobody could afterwards.

        ``progress`` are the bytes of it that are on the disk already: an item that came on since its last death is not
        to blame for that.
        """
        query = """
            UPDATE items SET deaths = CASE WHEN ?1 > progress THEN 1 ELSE deaths + 1 END, progress = ?1 WHERE path = ?2
        """
        with self._writing() as connection:
            connection.execute(query, (progress, stored(path)))

    def put_off(self, path: str) -> None:
        """Take back what `begin` counted: the item had an outcome or was stopped in order, and is not done."""
        with self._writing() as connection:
            connection.execute("UPDATE items SET deaths = MAX(deaths - 1, 0) WHERE path = ?", (stored(path),))

    def lost(self, path: str) -> None:
        """Keep that what became of an item is not known: there may be a result, which can be replaced."""
        with self._writing() as connection:
            connection.execute("UPDATE items SET replaces = 1 WHERE path = ?", (stored(path),))

    def release(self, paths: Sequence[str]) -> None:
        """Mark the RUNNING items at ``paths`` WAITING again: no result was given their names."""
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
        """Keep the result of an item, with the labels of its previews and where they are; `seal` it afterwards."""
        labels = json.dumps([preview.label for preview in outcome.previews])
        row = (
            *(source.size, source.mtime_ns, result.size, result.mtime_ns),
            *(outcome.engine, started, seconds, json.dumps(to_json(outcome)), labels),
            *(*(packed or (None, None)), stored(path)),
        )
        with self._writing() as connection:
            connection.execute(_DONE, row)

    def seal(self, path: str, *, source_sha256: str, result_sha256: str) -> None:
        """Keep the fingerprints of an item that is DONE: all that belongs to its result is there now."""
        with self._writing() as connection:
            query = "UPDATE items SET source_sha256 = ?, result_sha256 = ? WHERE path = ?"
            connection.execute(query, (source_sha256, result_sha256, stored(path)))

    def failed(self, path: str, failure: Failure, *, seconds: float, quarantine_after: int | None) -> State:
        """Keep that an item failed in this run and return where it stands now: FAILED, QUARANTINED or REFUSED.

        With None the failure is none of the item's own: it does not count among its attempts.
        """
        row = (quarantine_after, seconds, stored(failure.error), stored(failure.advice), failure.exit_code)
        key = stored(path)
        with self._writing() as connection:
            connection.execute(_FAILED, (*row, key, failure.refused))
            (state,) = connection.execute("SELECT state FROM items WHERE path = ?", (key,)).fetchone()
        return State(state)

    def update_stats(self, path: str, *, source: FileStat, result: FileStat) -> None:
        """Keep new times of a source and a result whose fingerprints are those known."""
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
        """Mark the items at ``paths`` GONE: there is a result, but no source any more."""
        with self._writing() as connection:
            query = "UPDATE items SET state = 'gone' WHERE path = ?"
            connection.executemany(query, [(stored(path),) for path in paths])

    def forget(self, paths: Iterable[str]) -> None:
        """Drop the items at ``paths``."""
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
                # An interruption came between a BEGIN and its block.
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
