"""The memory of an archive: one row for every work item, in an SQLite file beside the results (docs/ledger.md)."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.archive.fingerprints import Stamp
from pipeline.archive.ledger_file import LEDGER, connect, home, reporting
from pipeline.archive.run_options import Shard
from pipeline.documents import to_json
from pipeline.results import Failure, FilmResult, PhotoResult

_PAGE = 256


class State(StrEnum):
    """Where an item stands. RUNNING is also what a run that died leaves behind; REFUSED is of a kind not coloured."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One work item.

    ``path`` is below the source folder and ``output`` below the output folder, both with ``/``; ``kind`` is ``photo``,
    ``film``, or ``folder`` for one that could not be entered. ``attempts`` counts the runs in which it failed since
    its source or recipe last changed. The fingerprints are SHA-256; ``source_sha256`` is empty until it was read. The
    fields of the result are those of the last result there is, which may be older than the source or recipe of a row
    that is not DONE. ``started`` is in seconds since 1970, ``seconds`` a duration, ``result`` the `to_json` form of a
    `PhotoResult` or `FilmResult`, ``previews`` the labels of its small pictures. ``error``, ``advice`` and
    ``exit_code`` tell of the last failure.
    """

    path: str
    kind: str
    output: str
    state: State
    attempts: int
    source_size: int
    source_mtime_ns: int
    source_sha256: str
    recipe: str
    result_size: int | None
    result_mtime_ns: int | None
    result_sha256: str | None
    engine: str | None
    started: float | None
    seconds: float | None
    result: Mapping[str, Any] | None
    previews: tuple[str, ...]
    error: str
    advice: str
    exit_code: int

    @property
    def source_stamp(self) -> Stamp:
        """The stamp of the source when it was planned, or done."""
        return Stamp(self.source_size, self.source_mtime_ns)

    @property
    def result_stamp(self) -> Stamp | None:
        """The stamp of the last result there is."""
        if self.result_size is None or self.result_mtime_ns is None:
            return None
        return Stamp(self.result_size, self.result_mtime_ns)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run: ``started`` and ``ended`` in seconds since 1970; ``ended`` is None for a run that died or still goes.

    ``options`` holds the `to_json` forms of `Options` and `Orders`; ``done``, ``failed`` and ``skipped`` count items.
    """

    number: int
    started: float
    ended: float | None
    outcome: str
    version: str
    options: Mapping[str, Any]
    done: int
    failed: int
    skipped: int


@dataclass(frozen=True, kw_only=True)
class Planned:
    """An item to be done in this run; ``replaces`` when its result takes the place of an older one of ours.

    Films are done in falling order of ``weight``.
    """

    path: str
    kind: str
    output: str
    source: Stamp
    recipe: str
    attempts: int
    weight: int
    replaces: bool


_COLUMNS = tuple(field.name for field in fields(Record))
_RUN_COLUMNS = tuple(field.name for field in fields(RunRecord))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM items"
# A row left RUNNING stays so: the result under its name may be one that the dead run had just published.
_PLAN = """
INSERT INTO items (path, kind, output, state, attempts, source_size, source_mtime_ns, recipe, weight, replaces, planned)
VALUES (?, ?, ?, 'waiting', ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (path) DO UPDATE SET kind = excluded.kind, output = excluded.output,
    state = CASE state WHEN 'running' THEN state ELSE excluded.state END,
    attempts = excluded.attempts, source_size = excluded.source_size, source_mtime_ns = excluded.source_mtime_ns,
    source_sha256 = '', recipe = excluded.recipe, weight = excluded.weight, replaces = excluded.replaces,
    planned = excluded.planned,
    error = CASE excluded.attempts WHEN 0 THEN '' ELSE error END,
    advice = CASE excluded.attempts WHEN 0 THEN '' ELSE advice END,
    exit_code = CASE excluded.attempts WHEN 0 THEN 0 ELSE exit_code END
"""
_DONE = """
UPDATE items SET state = 'done', attempts = 0, source_size = ?, source_mtime_ns = ?, source_sha256 = '',
    result_size = ?, result_mtime_ns = ?, result_sha256 = NULL, engine = ?, started = ?, seconds = ?, result = ?,
    previews = ?, error = '', advice = '', exit_code = 0
WHERE path = ?
"""
_FAILED = """
UPDATE items SET state = CASE WHEN ?7 THEN 'refused' WHEN attempts + 1 >= ?1 THEN 'quarantined' ELSE 'failed' END,
    attempts = CASE WHEN ?1 IS NULL THEN attempts ELSE attempts + 1 END,
    seconds = ?2, error = ?3, advice = ?4, exit_code = ?5
WHERE path = ?6
"""


class Ledger:
    """An open ledger; get one from `open_ledger` or `read_ledger` and use it in a ``with`` block.

    Threads may share it. What `claim` and `begin_run` write is on the disk when they return; what `done` writes
    survives the death of the process at once, and that of the machine with the next claim. All methods raise
    `OutputError`, which names the file, when it is damaged or the disk refuses.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._turn = threading.RLock()
        self._connection = connect(path, read_only=read_only)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._turn, reporting(self.path):
            self._connection.close()

    def records(self, state: State | None = None) -> Iterator[Record]:
        """Yield all items, or those of one ``state``, in order of path (names that are no UTF-8 come last)."""
        return self._pages("+state = ?" if state else "TRUE", (state,) if state else ())

    def get(self, path: str) -> Record | None:
        """Return the item of the source at ``path``."""
        rows = self._rows(f"{_SELECT} WHERE path = ?", (_stored(path),))
        return _record(rows[0]) if rows else None

    def runs(self) -> list[RunRecord]:
        """Return all runs, the first one first."""
        return [_run(row) for row in self._rows(f"SELECT {', '.join(_RUN_COLUMNS)} FROM runs ORDER BY number")]

    def counts(self) -> dict[State, int]:
        """Return how many items there are in each state; all states are there."""
        found = dict(self._rows("SELECT state, COUNT(*) FROM items GROUP BY state"))
        return {state: found.get(state.value, 0) for state in State}

    def left(self, run: int) -> int:
        """Return how many items that ``run`` planned have no outcome."""
        query = "SELECT COUNT(*) FROM items WHERE planned = ? AND state IN ('waiting', 'running')"
        return int(self._rows(query, (run,))[0][0])

    def queue(self, run: int, kind: str, *, replaces: bool) -> Iterator[Record]:
        """Yield the items of ``kind`` that ``run`` planned and that have no outcome yet, in order of path."""
        condition = "planned = ? AND kind = ? AND replaces = ? AND +state IN ('waiting', 'running')"
        return self._pages(condition, (run, kind, replaces))

    def heaviest(self, run: int, kind: str) -> list[tuple[str, bool]]:
        """Return paths of what `queue` would yield and whether each replaces a result, in falling order of weight."""
        query = """
            SELECT path, replaces FROM items
            WHERE planned = ? AND kind = ? AND state IN ('waiting', 'running') ORDER BY weight DESC, path
        """
        return [(_text(path), bool(replaces)) for path, replaces in self._rows(query, (run, kind))]

    def begin_run(self, *, version: str, options: Mapping[str, Any]) -> int:
        """Write down that a run begins and return its number."""
        with self._writing(durable=True) as connection:
            values = (time.time(), version, json.dumps(options))
            row = connection.execute("INSERT INTO runs (started, version, options) VALUES (?, ?, ?)", values)
            return int(row.lastrowid or 0)

    def end_run(self, number: int, *, outcome: str, done: int, failed: int, skipped: int) -> None:
        """Write down how the run ended: ``outcome`` is one word, the rest are counts of its items."""
        query = "UPDATE runs SET ended = ?, outcome = ?, done = ?, failed = ?, skipped = ? WHERE number = ?"
        with self._writing(durable=True) as connection:
            connection.execute(query, (time.time(), outcome, done, failed, skipped, number))

    def plan(self, run: int, items: Iterable[Planned]) -> None:
        """Queue ``items`` for ``run``; what is known of their last results stays."""
        rows = (
            (
                *(_stored(item.path), item.kind, _stored(item.output), item.attempts),
                *(item.source.size, item.source.mtime_ns, item.recipe, item.weight, item.replaces, run),
            )
            for item in items
        )
        with self._writing() as connection:
            connection.executemany(_PLAN, rows)

    def claim(self, paths: Sequence[str]) -> None:
        """Mark the items at ``paths`` RUNNING: from now on there may be a result under their names."""
        rows = [(time.time(), _stored(path)) for path in paths]
        with self._writing(durable=True) as connection:
            connection.executemany("UPDATE items SET state = 'running', started = ? WHERE path = ?", rows)

    def release(self, paths: Sequence[str]) -> None:
        """Mark the RUNNING items at ``paths`` WAITING again: no result was given their names."""
        query = "UPDATE items SET state = 'waiting' WHERE path = ? AND state = 'running'"
        with self._writing() as connection:
            connection.executemany(query, [(_stored(path),) for path in paths])

    def done(
        self,
        path: str,
        outcome: PhotoResult | FilmResult,
        *,
        source: Stamp,
        result: Stamp,
        started: float,
        seconds: float,
    ) -> None:
        """Keep the result of an item, with the labels of its previews; `seal` it afterwards."""
        labels = json.dumps([preview.label for preview in outcome.previews])
        row = (
            *(source.size, source.mtime_ns, result.size, result.mtime_ns),
            *(outcome.engine, started, seconds, json.dumps(to_json(outcome)), labels, _stored(path)),
        )
        with self._writing() as connection:
            connection.execute(_DONE, row)

    def seal(self, path: str, *, source_sha256: str, result_sha256: str) -> None:
        """Keep the fingerprints of an item that is DONE: all that belongs to its result is there now."""
        with self._writing() as connection:
            query = "UPDATE items SET source_sha256 = ?, result_sha256 = ? WHERE path = ?"
            connection.execute(query, (source_sha256, result_sha256, _stored(path)))

    def unsealed(self) -> Iterator[Record]:
        """Yield the items that are DONE and were not sealed, because their run died in between."""
        return self._pages("+state = 'done' AND result_sha256 IS NULL", ())

    def failed(self, path: str, failure: Failure, *, seconds: float, quarantine_after: int | None) -> State:
        """Keep that an item failed in this run and return where it stands now: FAILED, QUARANTINED or REFUSED.

        With None the failure is none of the item's own: it does not count among its attempts.
        """
        row = (quarantine_after, seconds, _stored(failure.error), _stored(failure.advice), failure.exit_code)
        key = _stored(path)
        with self._writing() as connection:
            connection.execute(_FAILED, (*row, key, failure.refused))
            (state,) = connection.execute("SELECT state FROM items WHERE path = ?", (key,)).fetchone()
        return State(state)

    def restamp(self, path: str, *, source: Stamp, result: Stamp) -> None:
        """Keep new times of a source and a result whose fingerprints are those known."""
        query = """
            UPDATE items SET source_size = ?, source_mtime_ns = ?, result_size = ?, result_mtime_ns = ? WHERE path = ?
        """
        with self._writing() as connection:
            stamps = (source.size, source.mtime_ns, result.size, result.mtime_ns)
            connection.execute(query, (*stamps, _stored(path)))

    def forget(self, run: int, source: Path) -> list[str]:
        """Drop the unfinished items that ``run`` did not meet and whose sources are gone; return their paths."""
        gone = [
            record.path
            for record in self._pages("planned < ? AND +state != 'done'", (run,))
            if record.kind == "folder" or not os.path.lexists(source / record.path)
        ]
        if gone:
            with self._writing() as connection:
                connection.executemany("DELETE FROM items WHERE path = ?", [(_stored(path),) for path in gone])
        return gone

    def _pages(self, condition: str, values: tuple[object, ...]) -> Iterator[Record]:
        # A page at a time: an open query would keep the write-ahead log from being folded in, and it would grow. The
        # plus signs in conditions keep SQLite from looking up states, which would sort all items for every page.
        query = f"{_SELECT} WHERE path > ? AND {condition} ORDER BY path LIMIT {_PAGE}"
        last: str | bytes = ""
        while rows := self._rows(query, (last, *values)):
            yield from map(_record, rows)
            last = rows[-1][0]

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with self._turn, reporting(self.path):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        with self._turn, reporting(self.path):
            if connection.in_transaction:
                # An interruption came between a BEGIN and its block.
                connection.execute("ROLLBACK")
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")


def open_ledger(output: Path, *, shard: Shard | None = None) -> Ledger:
    """Open the ledger of the output folder ``output``, or of one shard of it; it is made if there is none.

    Raises `OutputError` if it is damaged, of another version, or cannot be written. Writers hold the lock of
    `pipeline.archive.lock`; readers need none.
    """
    return Ledger(home(output, shard) / LEDGER)


def read_ledger(output: Path, *, shard: Shard | None = None) -> Ledger | None:
    """Open the ledger of ``output`` for reading only, or return None if there is none. Raises `OutputError`."""
    path = home(output, shard) / LEDGER
    return Ledger(path, read_only=True) if path.exists() else None


def read_other_ledgers(output: Path, *, shard: Shard | None = None) -> list[Ledger]:
    """Open for reading the ledgers of ``output`` besides that of ``shard`` (None: the whole). Raises `OutputError`."""
    folders = [home(output, None), *sorted(home(output, None).glob("shard-*-of-*"))]
    paths = [folder / LEDGER for folder in folders if folder != home(output, shard)]
    return [Ledger(path, read_only=True) for path in paths if path.exists()]


def _stored(text: str) -> str | bytes:
    """Return ``text`` as SQLite keeps it: names that are no UTF-8 as the bytes they are."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text


def _text(stored: str | bytes) -> str:
    return stored if isinstance(stored, str) else os.fsdecode(stored)


def _record(row: Sequence[Any]) -> Record:
    values = dict(zip(_COLUMNS, row, strict=True))
    values |= {name: _text(values[name]) for name in ("path", "output", "error", "advice")}
    result, labels = values["result"], values["previews"]
    values |= {
        "state": State(values["state"]),
        "result": None if result is None else json.loads(result),
        "previews": () if labels is None else tuple(json.loads(labels)),
    }
    return Record(**values)


def _run(row: Sequence[Any]) -> RunRecord:
    values = dict(zip(_RUN_COLUMNS, row, strict=True))
    return RunRecord(**{**values, "options": json.loads(values["options"])})
