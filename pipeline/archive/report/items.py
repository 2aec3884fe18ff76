"""What the page shows of an item, and the items of a sheet as JSON for the page's script."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from pipeline.archive.context import Archive
from pipeline.archive.ledger import Outline, State, shared_parts
from pipeline.archive.output_folder import as_size
from pipeline.archive.report.attention import (
    CALM,
    REASONS,
    Attention,
    attention,
    attention_left,
    is_coloured,
    is_concealed,
)
from pipeline.archive.report.groups import Groups
from pipeline.archive.report.previews import FOLDER, Packed, pack_name, packed_of, stem
from pipeline.corrections import Correction
from pipeline.documents import from_json
from pipeline.errors import InputError
from pipeline.results import LumaCheck
from pipeline.wording import count

FIELDS = (
    "path", "kind", "state", "score", "reasons", "measures", "facts", "checks", "notes", "doubts", "error", "advice",
    "attempts", "started", "seconds", "result", "preview", "pack", "labels",
)  # fmt: skip
MEASURES = ("doubt", "strong", "clipped", "flicker", "colourfulness")
_IN_ORDER: Callable[[Mapping[str, Any]], tuple[Any, ...]] = itemgetter(*FIELDS)
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)
_TOGETHER = 100  # rows encoded at once, which is cheaper than one by one
WITHOUT_RESULT = (State.FAILED, State.QUARANTINED, State.REFUSED)
REFUSED = "refused"


@dataclass(slots=True)
class Item:
    """What the sums need of one item.

    ``error`` is the number of the failure's group with its text, ``doubts`` are pairs of a reason and the command that
    reverses the decision.
    """

    path: str
    state: State
    attempts: int
    attention: Attention
    doubts: list[tuple[str, str]]
    error: tuple[int, str] | None

    @property
    def rank(self) -> int:
        """Sort key: items that need a look, then those without a result, then the rest, then waiting ones."""
        if self.state in WITHOUT_RESULT:
            return 1
        if self.state is State.DONE:
            return 0 if self.attention.reasons else 2
        return 3


@dataclass(slots=True)
class ShownItem(Item):
    """What the page shows of one item; ``preview`` is the prefix of the names of its pictures, or empty.

    ``facts`` are pairs of a label and a value, ``notes`` pairs of a group's number and a text. ``labels`` has one entry
    per preview; ``packed`` is their location.
    """

    kind: str
    output: str
    measures: Mapping[str, float | None] | None
    facts: list[tuple[str, str]]
    checks: list[str]
    notes: list[tuple[int, str]]
    advice: str
    started: float | None
    seconds: float | None
    preview: str
    packed: Packed | None
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """What the page tells of all results that share parts; most items share them with very many others.

    ``picture`` is what follows a photograph's size, ``film`` what follows a film's length.
    """

    is_coloured: bool
    is_concealed: bool
    picture: str
    film: str
    facts: list[tuple[str, str]]
    checks: list[str]
    notes: list[tuple[str, str]]
    doubts: list[tuple[str, str]]


@lru_cache(256)
def _shared(text: str) -> _Shared:
    """Return what the ``shared`` parts of an `Outline` mean; nothing in particular if it is empty."""
    result = shared_parts(text) if text else {}
    kind = result.get("kind")
    return _Shared(
        is_coloured=is_coloured(result),
        is_concealed=is_concealed(result),
        picture=f", {result['bits']} bits" if kind == "photo" else "",
        film=f", {result['codec']}" if kind == "film" else "",
        facts=list(_shared_facts(result)),
        checks=_checks(result.get("verification")),
        notes=[(note["kind"], note["text"]) for note in result.get("notes", ())],
        doubts=[(doubt["reason"], doubt["command"]) for doubt in result.get("doubts", ())],
    )


def _shared_facts(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if result.get("kind") == "photo":
        yield "Taken for", f"{', '.join(result['tones'])}; {result['treatment']}"
    elif shots := result.get("shots"):
        counts: Counter[tuple[str, str]] = Counter((shot["tone"], shot["treatment"]) for shot in shots)
        texts = (f"{number:,} x {tone}, {treatment}" for (tone, treatment), number in sorted(counts.items()))
        yield "Shots", "; ".join(texts)
    if result:
        yield "Made by", f"{result['model']} on {result['engine']}"


class Items:
    """Makes items from the records of ``archive``, and collects their messages in groups.

    Items that a person accepted need no look.
    """

    def __init__(self, archive: Archive) -> None:
        self._source, self._output = archive.source, archive.output
        self._corrections = archive.corrections
        self._corrected = archive.corrections.items()
        self.failures, self.notes = Groups(), Groups()

    def counted(self, record: Outline) -> Item:
        """Return the item of ``record``, counting its messages."""
        shared = _shared(record.shared)
        self._notes(record, shared, is_first=True)
        found = self._attention(record, shared)
        return Item(
            record.path,
            record.state,
            record.attempts,
            found,
            doubts=_doubts(shared, found),
            error=self._error(record, is_first=True),
        )

    def shown(self, record: Outline, *, needs_look: bool) -> ShownItem:
        """Return the item of ``record`` with everything to show; ``needs_look`` is what counting it found."""
        shared = _shared(record.shared)
        found = self._attention(record, shared) if needs_look else CALM
        error = self._error(record, is_first=False)
        return ShownItem(
            path=record.path,
            kind=record.kind,
            state=record.state,
            output=record.output if record.own is not None else "",
            attention=found,
            measures=record.own.get("measures") if record.own else None,
            facts=[*_facts(record, shared), *self._set_right(record)],
            checks=shared.checks,
            notes=self._notes(record, shared, is_first=False),
            doubts=_doubts(shared, found),
            error=error,
            advice=record.advice if error else "",
            attempts=record.attempts,
            started=record.started,
            seconds=record.seconds,
            preview=stem(record.path) if record.previews else "",
            packed=packed_of(record),
            labels=record.previews,
        )

    def _attention(self, record: Outline, shared: _Shared) -> Attention:
        found = attention(
            record.own.get("measures") if record.own else None,
            is_coloured=shared.is_coloured,
            is_concealed=shared.is_concealed,
            is_in_doubt=bool(shared.doubts),
        )
        return attention_left(found, record.path, self._corrections if record.path in self._corrected else None)

    def _error(self, record: Outline, *, is_first: bool) -> tuple[int, str] | None:
        if record.state not in WITHOUT_RESULT:
            return None
        kind = REFUSED if record.state is State.REFUSED else str(record.exit_code)
        names = partial(_names, record, self._source, self._output)
        group = self.failures.take(kind, record.error, names=names, advice=record.advice, is_counted=is_first)
        return group.number, record.error

    def _notes(self, record: Outline, shared: _Shared, *, is_first: bool) -> list[tuple[int, str]]:
        if not shared.notes:
            return []
        names, take = partial(_names, record, self._source, self._output), self.notes.take
        groups = [take(kind, text, names=names, is_counted=is_first) for kind, text in shared.notes]
        return [(group.number, f"{kind}: {text}") for group, (kind, text) in zip(groups, shared.notes, strict=True)]

    def _set_right(self, record: Outline) -> list[tuple[str, str]]:
        """Return the facts about a person's corrections to the item."""
        if record.path not in self._corrected:
            return []
        try:
            correction = self._corrections.read(PurePosixPath(record.path)).correction
        except InputError:
            # The run reports what is wrong with it as an error of this item.
            return [("Set right", "cannot be read")]
        changes = ", ".join(_changes(correction))
        accepted = [("Accepted", "by a person")] if correction.accepted else []
        return [*([("Set right", changes)] if changes else []), *accepted]


def _changes(correction: Correction) -> Iterator[str]:
    """Describe ``correction`` in words."""
    if correction.hints:
        yield count(len(correction.hints), "colour")
    if correction.references:
        yield count(len(correction.references), "reference")
    if correction.saturation is not None:
        yield f"saturation {correction.saturation:g}"
    if correction.treat_as is not None:
        yield f"taken for {correction.treat_as}"
    if correction.tone is not None:
        yield f"tint: {correction.tone}"


def _doubts(shared: _Shared, found: Attention) -> list[tuple[str, str]]:
    # Doubtful items need a look, unless they were accepted.
    return shared.doubts if found.reasons else []


def _names(record: Outline, source: Path, output: Path) -> tuple[str, ...]:
    # As text: with very many items, path objects would take longer than everything else here.
    whole = (f"{source}{os.sep}{record.path}", f"{output}{os.sep}{record.output}")
    return *whole, record.path, record.output, record.path.rpartition("/")[2], record.output.rpartition("/")[2]


def _facts(record: Outline, shared: _Shared) -> Iterator[tuple[str, str]]:
    if record.own and shared.picture:
        yield "Picture", f"{record.own['width']:,} x {record.own['height']:,}{shared.picture}"
    elif record.own and shared.film:
        yield "Film", f"{count(record.own['frames'], 'frame')}{shared.film}"
    yield from shared.facts
    if record.result_size is not None:
        yield "Size", f"{as_size(record.source_size)}, result {as_size(record.result_size)}"


def _checks(verification: Mapping[str, Any] | None) -> list[str]:
    if verification is None:
        return []
    return [
        *(f"{name}: {found}" for name, found in verification["checks"].items()),
        *(f"{name}: not checked: {why}" for name, why in verification["not_checked"].items()),
        f"luma: {from_json(LumaCheck, verification['luma'])}",
    ]


class _Texts(dict[str, int]):
    """Every text once, with the number by which rows refer to it."""

    def __missing__(self, text: str) -> int:
        self[text] = number = len(self)
        return number


def as_json(value: Any) -> str:
    """Return ``value`` as JSON without spaces."""
    return _ENCODER.encode(value)


class Rows:
    """The items of a sheet as JSON, encoded immediately, which takes a tenth of the memory."""

    def __init__(self) -> None:
        self._texts, self._encoded, self._waiting = _Texts(), list[str](), list[tuple[Any, ...]]()

    def add(self, item: ShownItem, home: str) -> None:
        """Add ``item``; ``home`` is the folder, below the output folder, that contains its packs of pictures."""
        self._waiting.append(_row(item, home, self._texts))
        if len(self._waiting) == _TOGETHER:
            self._encode()

    def all(self) -> str:
        """Return the rows, separated by commas."""
        self._encode()
        return ",".join(self._encoded)

    def _encode(self) -> None:
        if self._waiting:
            self._encoded.append(as_json(self._waiting)[1:-1])
            self._waiting.clear()

    def texts(self) -> list[str]:
        """Return the texts that rows refer to by number."""
        return list(self._texts)


def _row(item: ShownItem, home: str, texts: _Texts) -> tuple[Any, ...]:
    values = {
        "path": item.path,
        "kind": texts[item.kind],
        "state": texts[item.state.value],
        "score": item.attention.score,
        "reasons": [REASONS.index(reason) for reason in item.attention.reasons],
        "measures": [item.measures[name] for name in MEASURES] if item.measures else 0,
        "facts": [texts[part] for fact in item.facts for part in fact],
        "checks": [texts[check] for check in item.checks],
        "notes": [part for group, text in item.notes for part in (group, texts[text])],
        "doubts": [texts[part] for doubt in item.doubts for part in doubt],
        "error": list(item.error) if item.error else 0,
        "advice": texts[item.advice],
        "attempts": item.attempts,
        "started": round(item.started) if item.started is not None else 0,
        "seconds": round(item.seconds, 2) if item.seconds is not None else 0,
        "result": _result(item),
        "preview": item.preview,
        "pack": texts[f"{home}/{FOLDER}/{pack_name(item.packed.pack)}" if item.packed else ""],
        "labels": item.labels,
    }
    return _IN_ORDER(values)


def _result(item: ShownItem) -> str | int:
    """Return the address of the result: 1 if it equals the path of the source, empty if there is none."""
    if not item.output:
        return ""
    return 1 if item.output == item.path and item.path.isascii() else link(item.output)


def link(path: str) -> str:
    """Return the relative ``path``, with ``/``, as a file URL; names that are not text are encoded as bytes."""
    return quote(os.fsencode(path))
