"""The small pictures inside the page: those of the most doubtful items. It finds the others beside it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from pipeline.archive import preview_store
from pipeline.archive.report.items import Item

_INSIDE = 6_000_000  # bytes of pictures inside the page, where they grow by a third

Pictures: TypeAlias = dict[str, list[tuple[str, str]]]


def pictures_inside(items: Iterable[Item], output: Path) -> Pictures:
    """Return the pictures of the first of ``items``, up to some 6 MB, by `Item.preview`: base64 of before and after.

    Raises `OutputError`.
    """
    inside, room = Pictures(), _INSIDE
    for item in items:
        found = [preview_store.read(output, item.path, number) for number in range(len(item.labels))]
        pairs = [pair for pair in found if pair is not None]
        if not pairs or len(pairs) < len(found):
            continue
        room -= sum(len(before) + len(after) for before, after in pairs)
        if room < 0:
            break
        inside[item.preview] = [(_base64(before), _base64(after)) for before, after in pairs]
    return inside


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")
