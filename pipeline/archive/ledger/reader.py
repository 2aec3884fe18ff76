"""What a ledger holds, as values, and what can be asked of it."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, NamedTuple, Self

from pipeline.archive.fingerprints import FileStat
from pipeline.archive.ledger.file import check_whole, reporting

FOLDER_KIND = "folder"


class State(StrEnum):
    """What became of an item.

    RUNNING is also what a run that died leaves behind; REFUSED is of a kind that is not coloured; GONE has a result,
    but its source is no longer there.
    """

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    REFUSED = "refused"
    GONE = "gone"


def _stat(size: int | None, mtime_ns: int | None) -> FileStat | None:
    return None if size is None or mtime_ns is None else FileStat(size, mtime_ns)


class Record(NamedTuple):
    """One work item.

    ``path`` is below the source folder and ``output`` below the output folder, both with ``/``; ``kind`` is ``photo``,
    ``film``, or ``folder`` for one that could not be entered. ``attempts`` counts the runs in which it failed since its
    source or recipe last changed, ``deaths`` the runs that died while they were at work on it, with the one that is at
    work on it now, and ``progress`` the bytes of it that were on the disk when the last of them began it. The
    fingerprints are SHA-256; ``source_sha256`` is empty until it was read. The fields of the result are those of the
    last result there is, which may be older than the source or recipe of a row that is not DONE. ``started`` is in
    seconds since 1970, ``seconds`` a duration, ``result`` the `to_json` form of a `PhotoResult` or `FilmResult`,
    ``previews`` the labels of its small pictures, ``pack`` and ``pack_offset`` where they are. ``error``, ``advice``
    and ``exit_code`` are of the last failure.
    """

    path: str
    kind: str
    output: str
    state: State
    attempts: int
    deaths: int
    progress: int
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
    pack: int | None
    pack_offset: int | None
    error: str
    advice: str
    exit_code: int

    @property
    def source_stat(self) -> FileStat:
        """Size and time of the source when it was planned, or done."""
        return FileStat(self.source_size, self.source_mtime_ns)

    @property
    def result_stat(self) -> FileStat | None:
        """Size and time of the last result there is."""
        return _stat(self.result_size, self.result_mtime_ns)


class Known(NamedTuple):
    """What a plan needs to know of an item: what its `Record` has under these names."""

    path: str
    output: str
    state: State
    attempts: int
    deaths: int
    source_sha256: str
    recipe: str
    result_sha256: str | None
    source_stat: FileStat
    result_stat: FileStat | None


class Outline(NamedTuple):
    """What sums over very many items need of each: the fields of its `Record` of these names.

    Of ``result`` only what is counted is there: ``measures``, ``notes``, ``doubts``, and what `_OUTLINE` names besides.
    """

    path: str
    kind: str
    output: str
    state: State
    attempts: int
    seconds: float | None
    error: str
    advice: str
    exit_code: int
    result: Mapping[str, Any] | None


class RunOutcome(StrEnum):
    """How a run ended that no error ended: all done, the time up (``--until``), or stopped by a person or a signal."""

    FINISHED = "finished"
    UNTIL = "until"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """How a run ended; where an error did, ``outcome`` is None and ``error`` the name of its class."""

    outcome: RunOutcome | None
    exit_code: int
    error: str = ""

    @property
    def word(self) -> str:
        """The outcome or the error, as ledger and log have it."""
        return self.error if self.outcome is None else self.outcome.value


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run: ``started`` and ``ended`` in seconds since 1970; ``ended`` is None for a run that died or still goes.

    ``outcome`` is None for these and for one that an error ended, of which ``error`` is the name of its class.

    ``options`` holds the `to_json` forms of `Options` and `RunOptions`. ``done``, ``failed`` and ``skipped`` count
    items; ``kept`` of those done were copied, because they are coloured already or their tint is wanted. ``left_out``
    says what was found in the source and is no item: see `docs/ledger.md`.
    """

    number: int
    started: float
    ended: float | None
    outcome: RunOutcome | None
    error: str
    exit_code: int | None
    version: str
    options: Mapping[str, Any]
    done: int
    kept: int
    failed: int
    skipped: int
    left_out: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """An item to be done in this run; ``replaces`` when its result takes the place of an older one of ours.

    Films are done in falling order of ``weight``.
    """

    path: str
    kind: str
    output: str
    source: FileStat
    recipe: str
    attempts: int
    deaths: int
    weight: int
    replaces: bool


def stored(text: str) -> str | bytes:
    """Return ``text`` as SQLite keeps it: names that are no UTF-8 as the bytes they are."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text


def _text(stored: str | bytes) -> str:
    """Return the name that SQLite keeps as ``stored``."""
    return stored if isinstance(stored, str) else os.fsdecode(stored)


def _whole(stored: str | None) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = None if stored is None else json.loads(stored)
    return found


# The labels of most items are those of many others.
@lru_cache(1024)
def _labels(stored: str | None) -> tuple[str, ...]:
    return () if stored is None else tuple(json.loads(stored))


class _Parts:
    """What is taken out of results, by SQLite: parts that are each item's ``own``, and those that many ``share``.

    The latter are decoded once for all items that have the same, letter by letter, and are one object for them all. A
    part has the path of its keys as its name. Decoding all of every result would take most of the time of a report.
    """

    def __init__(self, *, own: Sequence[str], shared: Sequence[str]) -> None:
        self.columns = ", ".join(_extracted(names) for names in (own, shared))
        self._own = own
        self._shared = lru_cache(4096)(partial(_by_name, shared))

    def result(self, own: str | None, shared: str | None) -> Mapping[str, Any] | None:
        """Return the parts of a result of which these are the two columns; None if there is no result."""
        return None if own is None or shared is None else {**self._shared(shared), **_by_name(self._own, own)}


def _extracted(names: Sequence[str]) -> str:
    paths = (f"'$.{name}'" for name in names)
    return f"json_extract(result, {', '.join(paths)})"


def _by_name(names: Sequence[str], stored: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, part in zip(names, json.loads(stored), strict=True):
        if part is not None:
            outer, _, inner = name.rpartition(".")
            (found.setdefault(outer, {}) if outer else found)[inner] = part
    return found


_OUTLINE = _Parts(own=("measures", "frames", "seconds"), shared=("notes", "doubts", "treatment", "shots"))
_TOLD = _Parts(
    own=("measures", "width", "height", "frames"),
    shared=(
        *("kind", "bits", "tones", "treatment", "codec", "shots", "model", "engine", "notes", "doubts"),
        *("verification.checks", "verification.not_checked", "verification.luma"),
    ),
)
# What ended a run is one column, an outcome or the name of an error.
_RUN_COLUMNS = tuple(field.name for field in fields(RunRecord) if field.name != "error")
_OUTCOMES = {outcome.value: outcome for outcome in RunOutcome}
_STATES = {state.value: state for state in State}
_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("path", "output", "error", "advice"), _text),
    "state": _STATES.__getitem__,
    "result": _whole,
    "previews": _labels,
}
_RESULT = Record._fields.index("result")
_RECORD_STEPS = [(Record._fields.index(name), convert) for name, convert in _CONVERSIONS.items()]
_PAGE = 256
_SELECT = f"SELECT {', '.join(Record._fields)} FROM items"
_SELECT_TOLD = f"SELECT {', '.join(Record._fields).replace('result,', 'NULL,')}, {_TOLD.columns}, rowid FROM items"
_SELECT_OUTLINE = f"SELECT {', '.join(Outline._fields[:-1])}, {_OUTLINE.columns}, rowid FROM items"
_STATS = ("source_size", "source_mtime_ns", "result_size", "result_mtime_ns")
_SELECT_KNOWN = f"SELECT {', '.join((*Known._fields[:-2], *_STATS))} FROM items"
_OPEN = (State.RUNNING, State.WAITING)
_WITHOUT_RESULT = (*_OPEN, State.FAILED, State.QUARANTINED, State.REFUSED)


class LedgerReader:
    """A ledger that is open for questions; get one from `read_ledger` and use it in a ``with`` block.

    Threads may share it. Answers are read a page at a time. All methods raise `OutputError`, which names the file,
    where it is damaged. ``scratch`` is the folder of a copy, which is deleted with it.
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
        """Yield all items, or those of one ``state``, in order of path (names that are no UTF-8 come last)."""
        return self._pages("state = ?" if state else "TRUE", (state,) if state else ())

    def get(self, path: str) -> Record | None:
        """Return the item of the source at ``path``."""
        rows = self._rows(f"{_SELECT} WHERE path = ?", (stored(path),))
        return _to_record(rows[0]) if rows else None

    def known(self, paths: Sequence[str]) -> dict[str, Known]:
        """Return what a plan needs to know of the items at ``paths``, those that there are."""
        places = ", ".join("?" * len(paths))
        rows = self._rows(f"{_SELECT_KNOWN} WHERE path IN ({places})", [stored(path) for path in paths])
        return {record.path: record for record in map(_to_known, rows)}

    def check(self) -> None:
        """Read all of the ledger; see whether it is damaged."""
        with self._turn, reporting(self.path):
            check_whole(self._connection, self.path)

    def runs(self) -> list[RunRecord]:
        """Return all runs, the first one first."""
        return [
            _to_run_record(row) for row in self._rows(f"SELECT {', '.join(_RUN_COLUMNS)} FROM runs ORDER BY number")
        ]

    def counts(self) -> dict[State, int]:
        """Return how many items there are in each state; all states are there."""
        found = dict(self._rows("SELECT state, COUNT(*) FROM items GROUP BY state"))
        return {state: found.get(state.value, 0) for state in State}

    def has_failed(self, exit_codes: Sequence[int]) -> bool:
        """Whether an item is FAILED, not for good, with one of ``exit_codes``."""
        places = ", ".join("?" * len(exit_codes))
        query = f"SELECT 1 FROM items WHERE state = ? AND exit_code IN ({places}) LIMIT 1"
        return bool(self._rows(query, (State.FAILED, *exit_codes)))

    def left(self, run: int) -> int:
        """Return how many items that ``run`` planned have no outcome."""
        query = "SELECT COUNT(*) FROM items WHERE planned = ? AND state IN ('waiting', 'running')"
        return int(self._rows(query, (run,))[0][0])

    def queue(self, run: int, kind: str, *, replaces: bool) -> Iterator[Record]:
        """Yield the items of ``kind`` that ``run`` planned and that have no outcome yet, in order of path.

        Those come first that were left RUNNING. Those that a run died with are left to `suspects`.
        """
        condition = "state = ? AND planned = ? AND kind = ? AND replaces = ? AND deaths = 0"
        for state in _OPEN:
            yield from self._pages(condition, (state, run, kind, replaces))

    def heaviest(self, run: int, kind: str) -> list[tuple[str, bool]]:
        """Return paths of what `queue` would yield and whether each replaces a result, in falling order of weight."""
        return self._queued(run, "kind = ? AND deaths = 0 ORDER BY weight DESC, path", (kind,))

    def suspects(self, run: int) -> list[tuple[str, bool]]:
        """Return the paths that ``run`` planned and that a run died with, and whether each replaces a result.

        Those with the fewest deaths come first: of many that were under way when a run died, one is to blame.
        """
        return self._queued(run, "deaths > 0 ORDER BY deaths, kind DESC, weight, path", ())

    def _queued(self, run: int, condition: str, values: tuple[object, ...]) -> list[tuple[str, bool]]:
        query = (
            f"SELECT path, replaces FROM items WHERE planned = ? AND state IN ('waiting', 'running') AND {condition}"
        )
        return [(_text(path), bool(replaces)) for path, replaces in self._rows(query, (run, *values))]

    def unfinished(self) -> Iterator[Known]:
        """Yield the items that a run which died was making results of, or describing their results."""
        yield from self._known_pages("state = ?", (State.RUNNING,))
        yield from self._known_pages("state = 'done' AND result_sha256 IS NULL", (), index="items_unsealed")

    def unsealed(self) -> Iterator[Record]:
        """Yield the items that are DONE and were not sealed, because their run died in between."""
        return self._pages("state = 'done' AND result_sha256 IS NULL", (), index="items_unsealed")

    def packs(self) -> set[int]:
        """Return the numbers of the packs of small pictures that items need."""
        return {number for (number,) in self._rows("SELECT DISTINCT pack FROM items") if number is not None}

    def outlines(self) -> Iterator[tuple[int, Outline]]:
        """Yield all items in order of path, each with the number by which `at` finds it again."""
        return ((row[-1], _to_outline(row)) for row in self._row_pages(f"{_SELECT_OUTLINE} WHERE path > ?", ()))

    def at(self, numbers: Sequence[int]) -> dict[int, Record]:
        """Return the items of these numbers, by number, and of their results what a report tells."""
        found: dict[int, Record] = {}
        for first in range(0, len(numbers), _PAGE):
            page = numbers[first : first + _PAGE]
            query = f"{_SELECT_TOLD} WHERE rowid IN ({', '.join('?' * len(page))})"
            found |= {
                number: _to_record(row, _TOLD.result(own, shared))
                for *row, own, shared, number in self._rows(query, page)
            }
        return found

    def paths(self, state: State) -> Iterator[str]:
        """Yield the paths of the items in ``state``, in order."""
        return (record.path for record in self.known_in(state))

    def known_in(self, state: State) -> Iterator[Known]:
        """Yield what is known of the items in ``state``, in order of path."""
        return self._known_pages("state = ?", (state,))

    def not_met(self, run: int) -> Iterator[Record]:
        """Yield the unfinished items that ``run`` did not plan."""
        for state in _WITHOUT_RESULT:
            yield from self._pages("state = ? AND planned < ?", (state, run))

    def _pages(self, condition: str, values: tuple[object, ...], *, index: str = "") -> Iterator[Record]:
        indexed = f"INDEXED BY {index}" if index else ""
        return map(_to_record, self._row_pages(f"{_SELECT} {indexed} WHERE path > ? AND {condition}", values))

    def _known_pages(self, condition: str, values: tuple[object, ...], *, index: str = "") -> Iterator[Known]:
        indexed = f"INDEXED BY {index}" if index else ""
        return map(_to_known, self._row_pages(f"{_SELECT_KNOWN} {indexed} WHERE path > ? AND {condition}", values))

    def _row_pages(self, query: str, values: tuple[object, ...]) -> Iterator[Any]:
        # A page at a time: an open query would keep the write-ahead log from being folded in, and it would grow. Either
        # there is an index in order of path for the condition, or it is true for most rows.
        last: str | bytes = ""
        while rows := self._rows(f"{query} ORDER BY path LIMIT {_PAGE}", (last, *values)):
            yield from rows
            last = rows[-1][0]

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with self._turn, reporting(self.path):
            return self._connection.execute(query, values).fetchall()


def _to_record(row: Sequence[Any], result: Mapping[str, Any] | None = None) -> Record:
    """Return a row as a record, with ``result`` in the place of its own where that was not asked for."""
    values = list(row)
    for place, convert in _RECORD_STEPS:
        values[place] = convert(values[place])
    if result is not None:
        values[_RESULT] = result
    return Record._make(values)


def _to_outline(row: Sequence[Any]) -> Outline:
    path, kind, output, state, attempts, seconds, error, advice, exit_code, own, shared, _number = row
    return Outline(
        *(_text(path), kind, _text(output), _STATES[state], attempts, seconds),
        *(_text(error), _text(advice), exit_code, _OUTLINE.result(own, shared)),
    )


def _to_known(row: Sequence[Any]) -> Known:
    path, output, state, *others, source_size, source_mtime_ns, result_size, result_mtime_ns = row
    source, result = FileStat(source_size, source_mtime_ns), _stat(result_size, result_mtime_ns)
    return Known._make((_text(path), _text(output), _STATES[state], *others, source, result))


def _to_run_record(row: Sequence[Any]) -> RunRecord:
    values = dict(zip(_RUN_COLUMNS, row, strict=True))
    word = values["outcome"]
    values |= {"outcome": _OUTCOMES.get(word), "error": "" if word in _OUTCOMES else word}
    return RunRecord(**{**values, "options": json.loads(values["options"]), "left_out": json.loads(values["left_out"])})
