"""The items that a review shows, and where their corrections are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol

from pipeline.corrections import CorrectionFile, CorrectionTree, correction_of_photo
from pipeline.originals import Originals


@dataclass(frozen=True, kw_only=True)
class Item:
    """One photograph: its ``name`` in the page and among the corrections, its ``source`` and its ``output``.

    ``attention`` says in words why it deserves a look; empty where nothing was found.
    """

    name: str
    source: Path
    output: Path
    attention: str = ""


class Catalogue(Protocol):
    """What a review is about; the most doubtful item comes first."""

    def count(self) -> int:
        """Return how many items there are."""

    def page(self, offset: int, limit: int) -> Sequence[Item]:
        """Return up to ``limit`` items from ``offset`` on."""

    def find(self, name: str) -> Item:
        """Return the item called ``name``. Raises `KeyError`."""

    def correction(self, item: Item) -> CorrectionFile:
        """Return what a person set right about ``item``. Raises `InputError`."""

    def correct(self, item: Item, file: CorrectionFile) -> None:
        """Keep ``file`` as what is right about ``item``. Raises `OutputError`."""


class PhotoFiles:
    """Photographs named one by one, with their corrections in ``.autochrome/corrections`` beside their results."""

    def __init__(self, pairs: Sequence[tuple[Path, Path]]) -> None:
        """Take ``pairs`` of source and output. Names that occur twice are told apart by a number."""
        self._items: dict[str, Item] = {}
        originals = Originals(tuple(source for source, _ in pairs))
        self._kept: dict[str, tuple[CorrectionTree, PurePath]] = {}
        for source, output in pairs:
            name, number = source.name, 1
            while name in self._items:
                number += 1
                name = f"{source.name} ({number})"
            self._items[name] = Item(name=name, source=source, output=output)
            self._kept[name] = correction_of_photo(source, output, originals=originals)

    def count(self) -> int:
        """Return how many photographs there are."""
        return len(self._items)

    def page(self, offset: int, limit: int) -> Sequence[Item]:
        """Return up to ``limit`` photographs from ``offset`` on, in the order given."""
        return list(self._items.values())[offset : offset + limit]

    def find(self, name: str) -> Item:
        """Return the photograph called ``name``. Raises `KeyError`."""
        return self._items[name]

    def correction(self, item: Item) -> CorrectionFile:
        """Return the correction of ``item``. Raises `InputError`."""
        tree, kept = self._kept[item.name]
        return tree.read(kept)

    def correct(self, item: Item, file: CorrectionFile) -> None:
        """Keep ``file`` for ``item``. Raises `OutputError`."""
        tree, kept = self._kept[item.name]
        tree.write(kept, file)
