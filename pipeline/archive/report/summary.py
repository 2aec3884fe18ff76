"""Summarise all items of the ledgers: sums, grouped messages, and their order, in little memory.

Only a few bytes are kept per item; the page queries the ledgers again for the items that it shows.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge, nsmallest
from itertools import islice
from statistics import median

import numpy as np
import numpy.typing as npt

from pipeline.archive.context import Archive
from pipeline.archive.ledger import FOLDER_KIND, LedgerReader, Outline, State
from pipeline.archive.report.groups import Group
from pipeline.archive.report.items import Item, Items

MOST_DOUBTS = 500  # in the list of commands; each item also shows its own
LISTED = 12  # names listed under a reason; the contact sheet has the others
STATES = tuple(State)
_CODES = {state: code for code, state in enumerate(STATES)}
_PAGE = 250
_BITS = 40  # bits for a ledger's row number; the ledger's number is above them


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The number of items in each state, their messages in groups, and their order.

    ``members`` are the first few items without a result in each group, ``in_doubt`` the first of ``doubts`` items whose
    tone is in doubt. ``photo_seconds`` is the median time per photograph, ``frames`` and ``film_seconds`` are sums over
    all films. ``order`` are the places of the items for `records_at`; ``codes`` of their states (positions in `STATES`)
    and ``looks``, whether they need a look, are in the same order.
    """

    count: int
    states: Counter[State]
    failures: list[Group]
    members: dict[int, list[Item]]
    notes: list[Group]
    doubtful: int
    doubts: int
    in_doubt: list[Item]
    photo_seconds: float | None
    frames: int
    film_seconds: float
    order: npt.NDArray[np.int64]
    codes: npt.NDArray[np.uint8]
    looks: npt.NDArray[np.bool_]

    def first(self, *states: State) -> int | None:
        """Return the position of the first item in one of ``states``, from 0; None if there is none."""
        found = np.flatnonzero(np.isin(self.codes, [STATES.index(state) for state in states]))
        return int(found[0]) if len(found) else None


def summarise(ledgers: Sequence[LedgerReader], archive: Archive) -> tuple[Summary, Items]:
    """Return the summary of the ``ledgers`` of ``archive``, and the object that makes rows of their items.

    Items that a person accepted need no look. Folders that were not entered are counted once, even if in several
    ledgers.
    """
    items, sums = Items(archive), _Sums()
    for place, record in _once(ledgers):
        sums.add(place, items.counted(record), record)
    return sums.summary(items), items


def records_at(ledgers: Sequence[LedgerReader], places: Iterable[int]) -> Iterator[tuple[LedgerReader, Outline]]:
    """Yield the ledgers and items at these places of a `Summary.order`, in the same order, a page at a time."""
    left = map(int, places)
    while page := list(islice(left, _PAGE)):
        pairs = [(place >> _BITS, place & ((1 << _BITS) - 1)) for place in page]
        found = {
            number: ledgers[number].at([row for of, row in pairs if of == number]) for number in {of for of, _ in pairs}
        }
        yield from ((ledgers[number], found[number][row]) for number, row in pairs)


def _once(ledgers: Sequence[LedgerReader]) -> Iterator[tuple[int, Outline]]:
    folders: set[str] = set()

    def rows(number: int, ledger: LedgerReader) -> Iterator[tuple[int, Outline]]:
        return ((number << _BITS | row, record) for row, record in ledger.outlines())

    streams = [rows(number, ledger) for number, ledger in enumerate(ledgers)]
    for place, record in merge(*streams, key=lambda found: found[1].path) if len(streams) > 1 else streams[0]:
        if record.kind == FOLDER_KIND:
            if record.path in folders:
                continue
            folders.add(record.path)
        yield place, record


class _Sums:
    def __init__(self) -> None:
        self._places, self._codes = array("q"), array("B")
        self._looks = array("B")
        self._ranks, self._scores, self._photo_seconds = array("B"), array("f"), array("f")
        self._members: dict[int, list[Item]] = {}
        self._in_doubt: list[Item] = []
        self._doubts = self._frames = 0
        self._film_seconds = 0.0

    def add(self, place: int, item: Item, record: Outline) -> None:
        self._places.append(place)
        self._codes.append(_CODES[item.state])
        self._ranks.append(item.rank)
        self._scores.append(-item.attention.score)
        self._looks.append(bool(item.attention.reasons))
        if item.doubts:
            self._doubts += 1
            self._in_doubt.append(item)
            if len(self._in_doubt) > 2 * MOST_DOUBTS:
                self._in_doubt = _first_in_doubt(self._in_doubt)
        if item.error is not None:
            named = self._members.setdefault(item.error[0], [])
            if len(named) < LISTED:
                named.append(item)
        if record.state is State.DONE and record.own is not None:
            if record.kind == "photo" and record.seconds is not None:
                self._photo_seconds.append(record.seconds)
            elif record.kind == "film":
                self._frames += record.own["frames"]
                self._film_seconds += record.own["seconds"]

    def summary(self, items: Items) -> Summary:
        ranks, scores = np.frombuffer(self._ranks, np.uint8), np.frombuffer(self._scores, np.float32)
        # By rank, then by score, then in their original order, by name.
        order = np.lexsort((scores, ranks))
        codes = np.frombuffer(self._codes, np.uint8)[order]
        looks = np.frombuffer(self._looks, np.bool_)[order]
        counted = np.bincount(codes, minlength=len(STATES))
        return Summary(
            count=len(order),
            states=Counter({state: int(counted[code]) for code, state in enumerate(STATES) if counted[code]}),
            failures=items.failures.all(),
            members=self._members,
            notes=items.notes.all(),
            doubtful=int(looks.sum()),
            doubts=self._doubts,
            in_doubt=_first_in_doubt(self._in_doubt),
            photo_seconds=float(median(self._photo_seconds)) if self._photo_seconds else None,
            frames=self._frames,
            film_seconds=self._film_seconds,
            order=np.frombuffer(self._places, np.int64)[order],
            codes=codes,
            looks=looks,
        )


def _first_in_doubt(items: list[Item]) -> list[Item]:
    return nsmallest(MOST_DOUBTS, items, key=lambda item: (item.rank, -item.attention.score, item.path))
