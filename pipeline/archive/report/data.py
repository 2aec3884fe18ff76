"""What the page's script gets to know: rows of values, short because there may be very many."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.archive.preview_store import PREVIEWS
from pipeline.archive.report.attention import REASONS
from pipeline.archive.report.groups import Group
from pipeline.archive.report.items import Item, Survey
from pipeline.archive.report.previews import Pictures

MOST_ROWS = 100_000
_FIELDS = (
    "path", "kind", "state", "score", "reasons", "measures", "facts", "checks", "notes", "error", "advice",
    "attempts", "started", "seconds", "result", "preview", "labels",
)  # fmt: skip
_MEASURES = ("doubt", "strong", "clipped", "flicker", "colourfulness")


class _Texts:
    """Every text once; rows name it by number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[str]:
        return list(self._numbers)


def data(found: Survey, pictures: Pictures, *, source: Path, output: Path, sidecars: bool) -> str:
    """Return the JSON of the page's script, which can stand inside an HTML element as it is.

    ``sidecars`` says that results have such files to lead to.
    """
    texts = _Texts()
    document = {
        "fields": _FIELDS,
        "measures": _MEASURES,
        "rows": [_row(item, texts) for item in found.items[:MOST_ROWS]],
        "reasons": REASONS,
        "failures": _groups(found.failures),
        "notes": _groups(found.notes),
        "pictures": pictures,
        "previews": f"{PREVIEWS}/",
        "source": _address(source, output),
        "sidecars": sidecars,
        "texts": texts.all(),
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _row(item: Item, texts: _Texts) -> list[Any]:
    values = {
        "path": item.path,
        "kind": texts.number(item.kind),
        "state": texts.number(item.state.value),
        "score": item.attention.score,
        "reasons": [REASONS.index(reason) for reason in item.attention.reasons],
        "measures": [item.measures[name] for name in _MEASURES] if item.measures else 0,
        "facts": [texts.number(part) for fact in item.facts for part in fact],
        "checks": [texts.number(check) for check in item.checks],
        "notes": [part for group, text in item.notes for part in (group, texts.number(text))],
        "error": list(item.error) if item.error else 0,
        "advice": texts.number(item.advice),
        "attempts": item.attempts,
        "started": round(item.started) if item.started is not None else 0,
        "seconds": round(item.seconds, 2) if item.seconds is not None else 0,
        "result": _result(item),
        "preview": item.preview,
        "labels": item.labels,
    }
    return [values[name] for name in _FIELDS]


def _result(item: Item) -> str | int:
    """Return the address of the result: 1 where it is the path of the source, empty where there is none."""
    if not item.output:
        return ""
    return 1 if item.output == item.path and item.path.isascii() else link(item.output)


def _groups(groups: Iterable[Group]) -> list[dict[str, Any]]:
    return [{"kind": group.kind, "text": group.text, "count": group.count} for group in groups]


def link(path: str) -> str:
    """Return ``path``, with ``/`` and relative, as the address of a file; names that are no text by their bytes."""
    return quote(os.fsencode(path))


def _address(source: Path, output: Path) -> str:
    """Return where the sources are as seen from the page, ending in a slash; of another drive, from the top."""
    try:
        return link(Path(os.path.relpath(source.resolve(), output.resolve())).as_posix()) + "/"
    except ValueError:
        return source.resolve().as_uri() + "/"
