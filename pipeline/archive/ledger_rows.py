"""What the ledger keeps, as values: items, runs, and what is planned."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, NamedTuple

from pipeline.archive.fingerprints import FileStat

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


@dataclass(frozen=True, kw_only=True)
class Record:
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
    """What a plan needs to know of an item: the fields of its `Record` of these names."""

    path: str
    output: str
    state: State
    attempts: int
    deaths: int
    source_size: int
    source_mtime_ns: int
    source_sha256: str
    recipe: str
    result_size: int | None
    result_mtime_ns: int | None
    result_sha256: str | None

    @property
    def source_stat(self) -> FileStat:
        """Size and time of the source when it was planned, or done."""
        return FileStat(self.source_size, self.source_mtime_ns)

    @property
    def result_stat(self) -> FileStat | None:
        """Size and time of the last result there is."""
        return _stat(self.result_size, self.result_mtime_ns)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run: ``started`` and ``ended`` in seconds since 1970; ``ended`` is None for a run that died or still goes.

    ``options`` holds the `to_json` forms of `Options` and `RunOptions`. ``done``, ``failed`` and ``skipped`` count
    items; ``kept`` of those done were copied, because they are coloured already or their tint is wanted. ``left_out``
    says what was found in the source and is no item: see `docs/ledger.md`.
    """

    number: int
    started: float
    ended: float | None
    outcome: str
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


COLUMNS = tuple(field.name for field in fields(Record))
_STATES = {state.value: state for state in State}
RUN_COLUMNS = tuple(field.name for field in fields(RunRecord))


def stored(text: str) -> str | bytes:
    """Return ``text`` as SQLite keeps it: names that are no UTF-8 as the bytes they are."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text


def text(stored: str | bytes) -> str:
    """Return the name that SQLite keeps as ``stored``."""
    return stored if isinstance(stored, str) else os.fsdecode(stored)


def to_record(row: Sequence[Any]) -> Record:
    """Return the item of a row of `COLUMNS`."""
    values = dict(zip(COLUMNS, row, strict=True))
    for name in ("path", "output", "error", "advice"):
        values[name] = text(values[name])
    result, labels = values["result"], values["previews"]
    values["state"] = _STATES[values["state"]]
    values["result"] = None if result is None else json.loads(result)
    values["previews"] = () if labels is None else tuple(json.loads(labels))
    return Record(**values)


def to_known(row: Sequence[Any]) -> Known:
    """Return what is known of an item from a row of the fields of `Known`."""
    path, output, state, *others = row
    return Known(text(path), text(output), _STATES[state], *others)


def to_run_record(row: Sequence[Any]) -> RunRecord:
    """Return the run of a row of `RUN_COLUMNS`."""
    values = dict(zip(RUN_COLUMNS, row, strict=True))
    return RunRecord(**{**values, "options": json.loads(values["options"]), "left_out": json.loads(values["left_out"])})
