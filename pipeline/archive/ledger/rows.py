"""The rows of a ledger as values, and the columns to select: whole, or what a plan, sums or a report need."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any, NamedTuple

from pipeline.archive.fingerprints import FileStat

FOLDER_KIND = "folder"


class State(StrEnum):
    """The state of an item.

    RUNNING may also be left behind by a dead run; REFUSED items are of a kind that is not coloured; GONE ones have a
    result but no source any more.
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
    source or recipe last changed, ``deaths`` the runs that died while working on it, including the run that is working
    on it now, and ``progress`` the bytes of it on disk when the last of them began it. The fingerprints are SHA-256;
    ``source_sha256`` is empty until it was read. The result fields are those of the latest result, which may be older
    than the source or recipe of a row that is not DONE. ``started`` is in seconds since 1970, ``seconds`` a duration,
    ``result`` the `to_json` form of a `PhotoResult` or `FilmResult`, ``previews`` the labels of its thumbnails,
    ``pack`` and ``pack_offset`` their location. ``error``, ``advice`` and ``exit_code`` are those of the last failure.
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
        """Size and time of the latest result."""
        return _stat(self.result_size, self.result_mtime_ns)


class Known(NamedTuple):
    """What a plan needs to know of an item: the fields of its `Record` with these names."""

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
    """What sums over very many items need of each: the fields of its `Record` with these names.

    ``result`` contains only what is counted: ``measures``, ``notes``, ``doubts``, and the other parts in `_OUTLINE`.
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
    """How a run without an error ended: all done, deadline passed (``--until``), or stopped by a person or a signal."""

    FINISHED = "finished"
    UNTIL = "until"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """How a run ended; if by an error, ``outcome`` is None and ``error`` the name of its class."""

    outcome: RunOutcome | None
    exit_code: int
    error: str = ""

    @property
    def word(self) -> str:
        """The outcome or the error, as written to ledger and log."""
        return self.error if self.outcome is None else self.outcome.value


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run: ``started`` and ``ended`` in seconds since 1970; ``ended`` is None if the run died or is in progress.

    ``outcome`` is None for these and for a run ended by an error, whose class name is ``error``.

    ``options`` holds the `to_json` forms of `Options` and `RunOptions`. ``done``, ``failed`` and ``skipped`` count
    items; ``kept`` of the done ones were copied, because they are already coloured or their tint is wanted.
    ``left_out`` describes what was found in the source and is not an item: see `docs/ledger.md`.
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
    """An item to be done in this run; ``replaces`` if its result replaces an older one of ours.

    Films are done in descending order of ``weight``.
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
    """Return ``text`` as stored in SQLite: names that are not UTF-8 as bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text


def text_of(stored: str | bytes) -> str:
    """Return the text stored in SQLite as ``stored``."""
    return stored if isinstance(stored, str) else os.fsdecode(stored)


def _whole(stored: str | None) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = None if stored is None else json.loads(stored)
    return found


# Most items share their labels with many others.
@lru_cache(1024)
def _labels(stored: str | None) -> tuple[str, ...]:
    return () if stored is None else tuple(json.loads(stored))


class _Parts:
    """Parts of results extracted by SQLite: those that are each item's ``own``, and those that many ``share``.

    Shared parts are decoded once for all items with the same text, and are one object for them all. A part is named by
    the path of its keys. Decoding every result in full would take most of the time of a report.
    """

    def __init__(self, *, own: Sequence[str], shared: Sequence[str]) -> None:
        self.columns = ", ".join(_extracted(names) for names in (own, shared))
        self._own = own
        self._shared = lru_cache(4096)(partial(_by_name, shared))

    def result(self, own: str | None, shared: str | None) -> Mapping[str, Any] | None:
        """Return the parts of a result given its two columns; None if there is no result."""
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
# One column holds how a run ended: an outcome or the name of an error.
RUN_COLUMNS = tuple(field.name for field in fields(RunRecord) if field.name != "error")
_OUTCOMES = {outcome.value: outcome for outcome in RunOutcome}
_STATES = {state.value: state for state in State}
_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("path", "output", "error", "advice"), text_of),
    "state": _STATES.__getitem__,
    "result": _whole,
    "previews": _labels,
}
_RESULT = Record._fields.index("result")
_RECORD_STEPS = [(Record._fields.index(name), convert) for name, convert in _CONVERSIONS.items()]
SELECT = f"SELECT {', '.join(Record._fields)} FROM items"
SELECT_TOLD = f"SELECT {', '.join(Record._fields).replace('result,', 'NULL,')}, {_TOLD.columns}, rowid FROM items"
SELECT_OUTLINE = f"SELECT {', '.join(Outline._fields[:-1])}, {_OUTLINE.columns}, rowid FROM items"
_STATS = ("source_size", "source_mtime_ns", "result_size", "result_mtime_ns")
SELECT_KNOWN = f"SELECT {', '.join((*Known._fields[:-2], *_STATS))} FROM items"


def to_record(row: Sequence[Any]) -> Record:
    """Return a row of `SELECT` as a record."""
    return Record._make(_converted(row))


def to_told(row: Sequence[Any]) -> tuple[int, Record]:
    """Return a row of `SELECT_TOLD` as its number and a record with the parts of its result that a report shows."""
    *others, own, shared, number = row
    values = _converted(others)
    values[_RESULT] = _TOLD.result(own, shared)
    return number, Record._make(values)


def _converted(row: Sequence[Any]) -> list[Any]:
    values = list(row)
    for place, convert in _RECORD_STEPS:
        values[place] = convert(values[place])
    return values


def to_outline(row: Sequence[Any]) -> tuple[int, Outline]:
    """Return a row of `SELECT_OUTLINE` as its number and what sums need."""
    path, kind, output, state, attempts, seconds, error, advice, exit_code, own, shared, number = row
    return number, Outline(
        *(text_of(path), kind, text_of(output), _STATES[state], attempts, seconds),
        *(text_of(error), text_of(advice), exit_code, _OUTLINE.result(own, shared)),
    )


def to_known(row: Sequence[Any]) -> Known:
    """Return a row of `SELECT_KNOWN` as what a plan needs."""
    path, output, state, *others, source_size, source_mtime_ns, result_size, result_mtime_ns = row
    source, result = FileStat(source_size, source_mtime_ns), _stat(result_size, result_mtime_ns)
    return Known._make((text_of(path), text_of(output), _STATES[state], *others, source, result))


def to_run_record(row: Sequence[Any]) -> RunRecord:
    """Return a row of `RUN_COLUMNS` as a run."""
    values = dict(zip(RUN_COLUMNS, row, strict=True))
    word = values["outcome"]
    values |= {"outcome": _OUTCOMES.get(word), "error": "" if word in _OUTCOMES else word}
    return RunRecord(**{**values, "options": json.loads(values["options"]), "left_out": json.loads(values["left_out"])})
