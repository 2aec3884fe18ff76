"""Queries on a ledger."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from pipeline.archive.ledger.file import check_whole, reporting
from pipeline.archive.ledger.rows import (
    RUN_COLUMNS,
    SELECT,
    SELECT_KNOWN,
    SELECT_OUTLINE,
    Known,
    Outline,
    Record,
    RunRecord,
    State,
    stored,
    text_of,
    to_known,
    to_outlines,
    to_record,
    to_run_record,
)

_PAGE = 256
_OPEN = (State.RUNNING, State.WAITING)
_WITHOUT_RESULT = (*_OPEN, State.FAILED, State.QUARANTINED, State.REFUSED)


class LedgerReader:
    """A ledger open for reading; get one from `read_ledger` and use it in a ``with`` block.

    Can be shared between threads. Results are read a page at a time. All methods raise `OutputError`, which names the
    file, if it is damaged. ``scratch`` is the temporary folder of a copy, deleted on close.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, scratch: TemporaryDirectory[str] | None = None
    ) -> None:
        self.path = path
        self._turn = threading.RLock()
        self._connection = connection
        self._scratch = scratch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._turn, reporting(self.path):
            self._connection.close()
            if self._scratch is not None:
                self._scratch.cleanup()

    def records(self, state: State | None = None) -> Iterator[Record]:
        """Yield all items, or those in one ``state``, ordered by path (names that are not UTF-8 come last)."""
        return self._pages("state = ?" if state else "TRUE", (state,) if state else ())

    def get(self, path: str) -> Record | None:
        """Return the item of the source at ``path``."""
        rows = self._rows(f"{SELECT} WHERE path = ?", (stored(path),))
        return to_record(rows[0]) if rows else None

    def known(self, paths: Sequence[str]) -> dict[str, Known]:
        """Return what a plan needs to know of the items at ``paths`` that exist."""
        places = ", ".join("?" * len(paths))
        rows = self._rows(f"{SELECT_KNOWN} WHERE path IN ({places})", [stored(path) for path in paths])
        return {record.path: record for record in map(to_known, rows)}

    def check(self) -> None:
        """Read the whole ledger and check that it is not damaged."""
        with self._turn, reporting(self.path):
            check_whole(self._connection, self.path)

    def runs(self) -> list[RunRecord]:
        """Return all runs, oldest first."""
        return [to_run_record(row) for row in self._rows(f"SELECT {', '.join(RUN_COLUMNS)} FROM runs ORDER BY number")]

    def counts(self) -> dict[State, int]:
        """Return the number of items in each state, including states without any."""
        found = dict(self._rows("SELECT state, COUNT(*) FROM items GROUP BY state"))
        return {state: found.get(state.value, 0) for state in State}

    def has_failed(self, exit_codes: Sequence[int]) -> bool:
        """Return whether an item is FAILED, not permanently, with one of ``exit_codes``."""
        places = ", ".join("?" * len(exit_codes))
        query = f"SELECT 1 FROM items WHERE state = ? AND exit_code IN ({places}) LIMIT 1"
        return bool(self._rows(query, (State.FAILED, *exit_codes)))

    def left(self, run: int) -> int:
        """Return the number of items planned by ``run`` that have no outcome."""
        query = "SELECT COUNT(*) FROM items WHERE planned = ? AND state IN ('waiting', 'running')"
        return int(self._rows(query, (run,))[0][0])

    def queue(self, run: int, kind: str, *, replaces: bool) -> Iterator[Record]:
        """Yield the items of ``kind`` planned by ``run`` that have no outcome yet, ordered by path.

        Items left RUNNING come first. Items that were in progress when a run died are left to `suspects`.
        """
        condition = "state = ? AND planned = ? AND kind = ? AND replaces = ? AND deaths = 0"
        for state in _OPEN:
            yield from self._pages(condition, (state, run, kind, replaces))

    def heaviest(self, run: int, kind: str) -> list[tuple[str, bool]]:
        """Return the paths of the items in `queue`, heaviest first, and whether each replaces a result."""
        return self._queued(run, "kind = ? AND deaths = 0 ORDER BY weight DESC, path", (kind,))

    def suspects(self, run: int) -> list[tuple[str, bool]]:
        """Return the paths planned by ``run`` that a run died working on, and whether each replaces a result."""
        return self._queued(run, "deaths > 0 ORDER BY deaths, kind DESC, weight, path", ())

    def _queued(self, run: int, condition: str, values: tuple[object, ...]) -> list[tuple[str, bool]]:
        query = (
            f"SELECT path, replaces FROM items WHERE planned = ? AND state IN ('waiting', 'running') AND {condition}"
        )
        return [(text_of(path), bool(replaces)) for path, replaces in self._rows(query, (run, *values))]

    def unfinished(self) -> Iterator[Known]:
        """Yield the items whose results a dead run was making or describing."""
        yield from self._known_pages("state = ?", (State.RUNNING,))
        yield from self._known_pages("state = 'done' AND result_sha256 IS NULL", (), index="items_unsealed")

    def unsealed(self) -> Iterator[Record]:
        """Yield the items that are DONE but not sealed, because their run died in between."""
        return self._pages("state = 'done' AND result_sha256 IS NULL", (), index="items_unsealed")

    def packs(self) -> set[int]:
        """Return the numbers of the thumbnail packs that items need."""
        return {number for (number,) in self._rows("SELECT DISTINCT pack FROM items") if number is not None}

    def outlines(self) -> Iterator[tuple[int, Outline]]:
        """Yield all items ordered by path, each with its row number for `at`."""
        return chain.from_iterable(map(to_outlines, self._row_pages(f"{SELECT_OUTLINE} WHERE path > ?", ())))

    def at(self, numbers: Sequence[int]) -> dict[int, Outline]:
        """Return the items with these row numbers, by number."""
        found: dict[int, Outline] = {}
        for first in range(0, len(numbers), _PAGE):
            page = numbers[first : first + _PAGE]
            query = f"{SELECT_OUTLINE} WHERE rowid IN ({', '.join('?' * len(page))})"
            found.update(to_outlines(self._rows(query, page)))
        return found

    def paths(self, state: State) -> Iterator[str]:
        """Yield the paths of the items in ``state``, in order."""
        return (record.path for record in self.known_in(state))

    def known_in(self, state: State) -> Iterator[Known]:
        """Yield what is known of the items in ``state``, ordered by path."""
        return self._known_pages("state = ?", (state,))

    def not_met(self, run: int) -> Iterator[Record]:
        """Yield the unfinished items that ``run`` did not plan."""
        for state in _WITHOUT_RESULT:
            yield from self._pages("state = ? AND planned < ?", (state, run))

    def _pages(self, condition: str, values: tuple[object, ...], *, index: str = "") -> Iterator[Record]:
        indexed = f"INDEXED BY {index}" if index else ""
        pages = self._row_pages(f"{SELECT} {indexed} WHERE path > ? AND {condition}", values)
        return map(to_record, chain.from_iterable(pages))

    def _known_pages(self, condition: str, values: tuple[object, ...], *, index: str = "") -> Iterator[Known]:
        indexed = f"INDEXED BY {index}" if index else ""
        pages = self._row_pages(f"{SELECT_KNOWN} {indexed} WHERE path > ? AND {condition}", values)
        return map(to_known, chain.from_iterable(pages))

    def _row_pages(self, query: str, values: tuple[object, ...]) -> Iterator[list[Any]]:
        # A page at a time: an open query would prevent checkpoints of the write-ahead log, which would grow. Either an
        # index in path order covers the condition, or it is true for most rows.
        last: str | bytes = ""
        while rows := self._rows(f"{query} ORDER BY path LIMIT {_PAGE}", (last, *values)):
            yield rows
            last = rows[-1][0]

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with self._turn, reporting(self.path):
            return self._connection.execute(query, values).fetchall()
