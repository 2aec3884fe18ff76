"""The small pictures of the page: those of the most doubtful items inside it, the others in files beside it."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from pipeline.archive.ledger import Ledger
from pipeline.archive.ledger_file import HOME
from pipeline.archive.report.items import Item
from pipeline.documents import as_json
from pipeline.errors import OutputError
from pipeline.media.publish import publishing
from pipeline.results import Preview

PREVIEWS = f"{HOME}/previews"
_INDEX = "index.json"
_INSIDE = 6_000_000  # bytes of pictures inside the page, where they grow by a third

Pictures: TypeAlias = dict[str, list[tuple[str, str]]]


def place_previews(items: Iterable[Item], output: Path, ledgers: Iterable[Ledger]) -> Pictures:
    """Write the previews of ``items`` below ``output/.autochrome/previews`` and give the items their labels.

    Returns those of the first items, up to some 6 MB, by ``preview``: base64 of before and after. What was written
    by an earlier report is kept and not read again; pictures of results that are no more are removed. Raises
    `OutputError`.
    """
    folder, ledgers = output / PREVIEWS, tuple(ledgers)
    written, inside, room = _index(folder), Pictures(), _INSIDE
    index: dict[str, list[str]] = {}
    try:
        for item in items:
            if not item.preview:
                continue
            labels = written.get(item.preview)
            if labels is None or (labels and room > 0):
                previews = _previews(item.path, ledgers)
                labels = [preview.label for preview in previews]
                _write(folder, item.preview, previews)
                size = sum(len(preview.before) + len(preview.after) for preview in previews)
                if previews and size <= room:
                    inside[item.preview] = [(_base64(preview.before), _base64(preview.after)) for preview in previews]
                room -= size
            item.labels = index[item.preview] = labels
        _remove_others(folder, index)
    except OSError as error:
        raise OutputError(
            f"{error.filename or folder}: cannot be written: {error.strerror or error}",
            advice="Check free space and permissions.",
        ) from error
    with publishing(folder / _INDEX, overwrite=True) as temporary:
        temporary.write_text(as_json(index), encoding="ascii")
    return inside


def _previews(path: str, ledgers: Iterable[Ledger]) -> list[Preview]:
    return next((found for ledger in ledgers if (found := ledger.previews(path))), [])


def _index(folder: Path) -> dict[str, list[str]]:
    """Return the labels of what an earlier report wrote; a damaged index is as good as none."""
    try:
        return dict(json.loads((folder / _INDEX).read_text(encoding="ascii")))
    except (OSError, ValueError):
        return {}


def _names(stem: str, count: int) -> Iterator[tuple[str, str]]:
    # 256 folders: file managers and network shares are slow with very many files in one.
    for number in range(count):
        yield tuple(f"{stem[:2]}/{stem}-{number}-{when}.jpg" for when in ("before", "after"))  # type: ignore[misc]


def _write(folder: Path, stem: str, previews: list[Preview]) -> None:
    # Not forced onto the disk one by one, as results are: what a power cut takes here can be made again.
    if previews:
        (folder / stem[:2]).mkdir(parents=True, exist_ok=True)
    for preview, (before, after) in zip(previews, _names(stem, len(previews)), strict=True):
        for name, content in ((before, preview.before), (after, preview.after)):
            path = folder / name
            if not path.exists() or path.stat().st_size != len(content):
                path.write_bytes(content)


def _remove_others(folder: Path, index: dict[str, list[str]]) -> None:
    wanted = {name for stem, labels in index.items() for pair in _names(stem, len(labels)) for name in pair}
    for inner in folder.glob("??"):
        with os.scandir(inner) as listing:
            others = [item.name for item in listing if f"{inner.name}/{item.name}" not in wanted]
        for name in others:
            (inner / name).unlink(missing_ok=True)


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")
