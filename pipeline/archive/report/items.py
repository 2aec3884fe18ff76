"""The items of the ledgers as rows of the page's data, and what they come to: sums, and messages in groups."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any

from pipeline.archive.ledger import Record, State
from pipeline.archive.report.attention import Attention, attention_of
from pipeline.archive.report.previews import stem
from pipeline.corrections import CorrectionTree
from pipeline.documents import from_json
from pipeline.errors import InputError
from pipeline.results import LumaCheck

_FIGURES = re.compile(r"\d[\d,.:]*\d|\d")
_SHORTEST_NAME = 4  # shorter ones may be words of the message
WITHOUT_RESULT = (State.FAILED, State.QUARANTINED, State.REFUSED)
REFUSED = "refused"


@dataclass
class Group:
    """``count`` messages of one ``kind`` that differ in names and figures only; ``text`` is what they share."""

    number: int
    kind: str
    text: str
    advice: str
    count: int = 0


class Groups:
    """Takes messages and returns the group of each; groups are numbered from 0 in order of appearance."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], Group] = {}

    def take(self, kind: str, text: str, *, names: Iterable[str] = (), advice: str = "") -> Group:
        """Count ``text`` into its group and return that; ``names`` are those of the files it is about."""
        names = sorted({name for name in names if len(name) >= _SHORTEST_NAME}, key=len, reverse=True)
        bare = _without(text, names)
        group = self._groups.setdefault(
            (kind, _FIGURES.sub("#", bare)), Group(len(self._groups), kind, bare, _without(advice, names))
        )
        if group.text != bare:
            group.text = _FIGURES.sub("…", bare)
        group.count += 1
        return group

    def all(self) -> list[Group]:
        """Return the groups in order of number."""
        return list(self._groups.values())


def _without(text: str, names: Iterable[str]) -> str:
    for name in names:
        text = text.replace(name, "…")
    bare = text.removeprefix("…: ")
    return bare[:1].upper() + bare[1:]


@dataclass
class Item:
    """What the page shows of one item; ``preview`` is what the names of its pictures begin with, or empty.

    ``facts`` are pairs of a label and a value, ``notes`` pairs of a group's number and a text, ``error`` the number of
    the failure's group with its text, ``doubts`` pairs of a reason and the command that decides otherwise. ``labels``
    has one entry for every preview.
    """

    path: str
    kind: str
    state: State
    output: str
    attention: Attention
    measures: Mapping[str, float | None] | None
    facts: list[tuple[str, str]]
    checks: list[str]
    notes: list[tuple[int, str]]
    doubts: list[tuple[str, str]]
    error: tuple[int, str] | None
    advice: str
    attempts: int
    started: float | None
    seconds: float | None
    preview: str
    labels: tuple[str, ...]

    @property
    def rank(self) -> tuple[int, float, str]:
        """What deserves a look first, then what has no result, then the rest, then what waits."""
        if self.state in WITHOUT_RESULT:
            place = 1
        elif self.state is State.DONE:
            place = 0 if self.attention.reasons else 2
        else:
            place = 3
        return place, -self.attention.score, self.path


@dataclass(frozen=True, kw_only=True)
class Survey:
    """All items in the order of the page, how many there are of each state and kind, and what they say in groups.

    ``photo_seconds`` is the median time for a photograph, ``frames`` and ``film_seconds`` are sums over all films.
    """

    items: list[Item]
    states: Counter[State]
    kinds: Counter[str]
    failures: list[Group]
    notes: list[Group]
    doubtful: int
    photo_seconds: float | None
    frames: int
    film_seconds: float


def survey(
    records: Iterable[Record], source: Path, output: Path, *, corrections: CorrectionTree | None = None
) -> Survey:
    """Return what ``records`` say; ``source`` and ``output`` are the folders that their paths lie in.

    What a person accepted, by its file among ``corrections``, asks for no look.
    """
    failures, notes = Groups(), Groups()
    items: list[Item] = []
    photo_seconds: list[float] = []
    frames, film_seconds = 0, 0.0
    for record in records:
        item = _item(record, source, output, failures, notes)
        if corrections is not None and item.attention.reasons and _is_accepted(corrections, record.path):
            item.attention, item.doubts = Attention(0.0, ()), []
        items.append(item)
        if record.state is State.DONE and record.result is not None:
            if record.kind == "photo" and record.seconds is not None:
                photo_seconds.append(record.seconds)
            elif record.kind == "film":
                frames += record.result["frames"]
                film_seconds += record.result["seconds"]
    items.sort(key=lambda item: item.rank)
    return Survey(
        items=items,
        states=Counter(item.state for item in items),
        kinds=Counter(item.kind for item in items),
        failures=failures.all(),
        notes=notes.all(),
        doubtful=sum(bool(item.attention.reasons) for item in items),
        photo_seconds=median(photo_seconds) if photo_seconds else None,
        frames=frames,
        film_seconds=film_seconds,
    )


def _item(record: Record, source: Path, output: Path, failures: Groups, notes: Groups) -> Item:
    result = record.result or {}
    names = _names(record, source, output)
    error: tuple[int, str] | None = None
    if record.state in WITHOUT_RESULT:
        kind = REFUSED if record.state is State.REFUSED else str(record.exit_code)
        group = failures.take(kind, record.error, names=names, advice=record.advice)
        error = group.number, record.error
    noted = [(notes.take(note["kind"], note["text"], names=names).number, note) for note in result.get("notes", ())]
    return Item(
        path=record.path,
        kind=record.kind,
        state=record.state,
        output=record.output if record.result is not None else "",
        attention=attention_of(result),
        measures=result.get("measures"),
        facts=_facts(record, result),
        checks=_checks(result.get("verification")),
        notes=[(number, f"{note['kind']}: {note['text']}") for number, note in noted],
        doubts=[(doubt["reason"], doubt["command"]) for doubt in result.get("doubts", ())],
        error=error,
        advice=record.advice if error else "",
        attempts=record.attempts,
        started=record.started,
        seconds=record.seconds,
        preview=stem(record.path) if record.previews else "",
        labels=record.previews,
    )


def _is_accepted(corrections: CorrectionTree, path: str) -> bool:
    try:
        return corrections.read(PurePosixPath(path)).correction.accepted
    except InputError:
        # The next run names it as an error of this item.
        return False


def _names(record: Record, source: Path, output: Path) -> tuple[str, ...]:
    # As text, for there are very many: paths as objects take longer than all else here.
    whole = (f"{source}{os.sep}{record.path}", f"{output}{os.sep}{record.output}")
    return *whole, record.path, record.output, record.path.rpartition("/")[2], record.output.rpartition("/")[2]


def _facts(record: Record, result: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    if result.get("kind") == "photo":
        facts.append(("Picture", f"{result['width']:,} x {result['height']:,}, {result['bits']} bits"))
        facts.append(("Taken for", f"{', '.join(result['tones'])}: {result['treatment']}"))
    elif result.get("kind") == "film":
        facts.append(("Film", f"{result['frames']:,} frames, {result['codec']}"))
        shots: Counter[tuple[str, str]] = Counter((shot["tone"], shot["treatment"]) for shot in result["shots"])
        said = (f"{count:,} x {tone}: {treatment}" for (tone, treatment), count in sorted(shots.items()))
        if shots:
            facts.append(("Shots", "; ".join(said)))
    if result:
        facts.append(("Made by", f"{result['model']} on {result['engine']}"))
    if record.result_size is not None:
        facts.append(("Size", f"{_size(record.source_size)}, result {_size(record.result_size)}"))
    return facts


def _checks(verification: Mapping[str, Any] | None) -> list[str]:
    if verification is None:
        return []
    return [
        *(f"{name}: {found}" for name, found in verification["checks"].items()),
        *(f"{name}: not checked: {why}" for name, why in verification["not_checked"].items()),
        f"luma: {from_json(LumaCheck, verification['luma'])}",
    ]


def _size(size: int) -> str:
    for unit, whole in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= whole:
            return f"{size / whole:.1f} {unit}"
    return f"{size} bytes"
