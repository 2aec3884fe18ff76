"""Group messages that differ only in names and numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePath

_FIGURES = re.compile(r"\d[\d,.:]*\d|\d")
_SHORTEST_NAME = 4  # shorter names may be words of the message
_REMEMBERED = 4096


@dataclass
class Group:
    """``count`` messages of one ``kind`` that differ only in names and numbers; ``text`` is what they share."""

    number: int
    kind: str
    text: str
    advice: str
    count: int = 0


class Groups:
    """Assigns messages to groups, numbered from 0 in order of appearance."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], Group] = {}
        # Most notes are identical for very many items.
        self._known: dict[tuple[str, str], Group] = {}

    def take(
        self,
        kind: str,
        text: str,
        *,
        names: Callable[[], Iterable[str]] = tuple,
        advice: str = "",
        is_counted: bool = True,
    ) -> Group:
        """Count ``text`` in its group and return that; ``names``, if needed, gives the names of the files concerned.

        A message counted before (``is_counted`` false) is only looked up.
        """
        group = self._known.get((kind, text)) or self._found(kind, text, names(), advice)
        group.count += is_counted
        return group

    def _found(self, kind: str, text: str, names: Iterable[str], advice: str) -> Group:
        names = sorted({name for name in names if len(name) >= _SHORTEST_NAME}, key=len, reverse=True)
        bare = _without(text, names)
        group = self._groups.setdefault(
            (kind, _FIGURES.sub("#", bare)), Group(len(self._groups), kind, bare, _without(advice, names))
        )
        if group.text != bare:
            group.text = _FIGURES.sub("…", bare)
        elif not any(name in text for name in names):
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[kind, text] = group
        return group

    def all(self) -> list[Group]:
        """Return the groups in order of number."""
        return list(self._groups.values())


def _without(text: str, names: Iterable[str]) -> str:
    for name in names:
        text = text.replace(name, "…")
    bare = text.removeprefix("…: ")
    head, colon, _ = bare.partition(": ")
    is_path = "/" in bare.partition(" ")[0] or (bool(colon) and ("/" in head or bool(PurePath(head).suffix)))
    return bare if is_path else bare[:1].upper() + bare[1:]
