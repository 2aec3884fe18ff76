"""The items of a sheet as JSON, for the script of the page."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import quote

from pipeline.archive.report.attention import REASONS
from pipeline.archive.report.items import Item
from pipeline.archive.report.previews import FOLDER, pack_name

FIELDS = (
    "path", "kind", "state", "score", "reasons", "measures", "facts", "checks", "notes", "doubts", "error", "advice",
    "attempts", "started", "seconds", "result", "preview", "pack", "labels",
)  # fmt: skip
MEASURES = ("doubt", "strong", "clipped", "flicker", "colourfulness")


class _Texts:
    """Every text once; rows name it by number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[str]:
        return list(self._numbers)


def as_json(value: Any) -> str:
    """Return ``value`` as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


class Rows:
    """The items of a sheet as JSON: as text at once, which takes a tenth of the memory."""

    def __init__(self) -> None:
        self._texts, self._rows = _Texts(), list[str]()

    def add(self, item: Item, home: str) -> None:
        """Add ``item``; ``home`` is the folder, below the output folder, that its packs of pictures are in."""
        self._rows.append(as_json(_row(item, home, self._texts)))

    def all(self) -> list[str]:
        """Return the rows."""
        return self._rows

    def texts(self) -> list[str]:
        """Return what the rows name by number."""
        return self._texts.all()


def _row(item: Item, home: str, texts: _Texts) -> list[Any]:
    values = {
        "path": item.path,
        "kind": texts.number(item.kind),
        "state": texts.number(item.state.value),
        "score": item.attention.score,
        "reasons": [REASONS.index(reason) for reason in item.attention.reasons],
        "measures": [item.measures[name] for name in MEASURES] if item.measures else 0,
        "facts": [texts.number(part) for fact in item.facts for part in fact],
        "checks": [texts.number(check) for check in item.checks],
        "notes": [part for group, text in item.notes for part in (group, texts.number(text))],
        "doubts": [texts.number(part) for doubt in item.doubts for part in doubt],
        "error": list(item.error) if item.error else 0,
        "advice": texts.number(item.advice),
        "attempts": item.attempts,
        "started": round(item.started) if item.started is not None else 0,
        "seconds": round(item.seconds, 2) if item.seconds is not None else 0,
        "result": _result(item),
        "preview": item.preview,
        "pack": texts.number(f"{home}/{FOLDER}/{pack_name(item.packed.pack)}" if item.packed else ""),
        "labels": item.labels,
    }
    return [values[name] for name in FIELDS]


def _result(item: Item) -> str | int:
    """Return the address of the result: 1 where it is the path of the source, empty where there is none."""
    if not item.output:
        return ""
    return 1 if item.output == item.path and item.path.isascii() else link(item.output)


def link(path: str) -> str:
    """Return ``path``, with ``/`` and relative, as the address of a file; names that are no text by their bytes."""
    return quote(os.fsencode(path))
