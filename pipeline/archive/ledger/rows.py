"""The rows of a ledger as values, and the columns to select: whole, or what a plan or a report needs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
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
    """What a report needs of an item: the fields of its `Record` with these names, and parts of its result.

    ``own`` are the parts that differ between items, with those that are null left out; ``shared`` is JSON for
    `shared_parts`, the same text for very many items. They are None and empty if there is no result.
    """

    path: str
    kind: str
    output: str
    state: State
    attempts: int
    source_size: int
    result_size: int | None
    started: float | None
    seconds: float | None
    previews: tuple[str, ...]
    pack: int | None
    pack_offset: int | None
    error: str
    advice: str
    exit_code: int
    own: Mapping[str, Any] | None
    shared: str


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


# Parts of results that a report needs, by the paths of their keys. SQLite extracts them: decoding every result in full
# would take most of the time of a report.
_OWN = ("measures", "width", "height", "frames", "seconds")
_SHARED = (
    *("kind", "bits", "tones", "treatment", "codec", "shots", "model", "engine", "notes", "doubts"),
    *("verification.checks", "verification.not_checked", "verification.luma"),
)


def _extracted(names: Sequence[str]) -> str:
    paths = (f"'$.{name}'" for name in names)
    return f"json_extract(result, {', '.join(paths)})"


def shared_parts(shared: str) -> Mapping[str, Any]:
    """Return the parts of a result that are in ``shared`` of an `Outline`; those that are null are left out."""
    found: dict[str, Any] = {}
    for name, part in zip(_SHARED, json.loads(shared), strict=True):
        if part is not None:
            outer, _, inner = name.rpartition(".")
            (found.setdefault(outer, {}) if outer else found)[inner] = part
    return found


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
_RECORD_STEPS = [(Record._fields.index(name), convert) for name, convert in _CONVERSIONS.items()]
SELECT = f"SELECT {', '.join(Record._fields)} FROM items"
SELECT_OUTLINE = (
    f"SELECT {', '.join(Outline._fields[:-2])}, {_extracted(_OWN)}, {_extracted(_SHARED)}, rowid FROM items"
)
_OWN_PLACE = Outline._fields.index("own")
_STATS = ("source_size", "source_mtime_ns", "result_size", "result_mtime_ns")
SELECT_KNOWN = f"SELECT {', '.join((*Known._fields[:-2], *_STATS))} FROM items"


def to_record(row: Sequence[Any]) -> Record:
    """Return a row of `SELECT` as a record."""
    values = list(row)
    for place, convert in _RECORD_STEPS:
        values[place] = convert(values[place])
    return Record._make(values)


def to_outlines(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, Outline]]:
    """Yield what a report needs of rows of `SELECT_OUTLINE`, each with its number."""
    # JSON is decoded for all rows at once, which takes a third of the time.
    every = json.loads(f"[{','.join(row[_OWN_PLACE] or 'null' for row in rows)}]")
    for row, parts in zip(rows, every, strict=True):
        path, kind, output, state, *others, previews, pack, pack_offset, error, advice, exit_code, _, shared, number = (
            row
        )
        own = parts and {name: part for name, part in zip(_OWN, parts, strict=True) if part is not None}
        values = (
            *(text_of(path), kind, text_of(output), _STATES[state], *others, _labels(previews), pack, pack_offset),
            *(text_of(error), text_of(advice), exit_code, own, shared or ""),
        )
        yield number, Outline._make(values)


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
