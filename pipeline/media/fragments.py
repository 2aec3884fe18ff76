"""Fragmented films, as used in streaming: header and fragments may be separate files (ISO/IEC 14496-12, 8.8).

FFmpeg reports each of them as damaged, or as a film without pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import InputError

# Boxes at the top level of a file, and the one in its header that announces fragments.
_HEADER, _FRAGMENT, _FOLLOWED = b"moov", b"moof", b"mvex"
_MOST_BOXES = 1000
_JOINED = "Join header and fragments in their order (cat init.mp4 1.m4s 2.m4s > film.mp4), and colour that."


def separated(path: Path) -> InputError | None:
    """Return the error for a file that is only the header of a fragmented film, or only fragments; None otherwise.

    Raises `OSError`.
    """
    with path.open("rb") as file:
        boxes = {kind: (start, end) for kind, start, end in _boxes(file, 0, file.seek(0, os.SEEK_END))}
        if _FRAGMENT in boxes:
            what = "holds fragments of a film, without the header that tells how to read them"
            return None if _HEADER in boxes else InputError(f"{path}: {what}", advice=_JOINED)
        if _HEADER not in boxes or all(kind != _FOLLOWED for kind, _, _ in _boxes(file, *boxes[_HEADER])):
            return None
    return InputError(f"{path}: is the header of a film in fragments, without any of them", advice=_JOINED)


def _boxes(file: BinaryIO, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each box between two positions, and where its contents begin and end."""
    for _ in range(_MOST_BOXES):
        file.seek(place)
        head = file.read(16)
        size, content = int.from_bytes(head[:4], "big"), place + 8
        if size == 1:
            size, content = int.from_bytes(head[8:], "big"), place + 16
        elif size == 0:
            size = end - place
        if len(head) < 8 or size < content - place or place + 8 > end:
            return
        yield head[4:8], content, min(place + size, end)
        place += size
