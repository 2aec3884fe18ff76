"""Fragmented films, as used in streaming: header and fragments may be separate files (ISO/IEC 14496-12, 8.8).

FFmpeg reports each of them as damaged, or as a film without pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import InputError
from pipeline.media.structure import boxes

# Boxes at the top level of a file, and the one in its header that announces fragments.
_HEADER, _FRAGMENT, _FOLLOWED = b"moov", b"moof", b"mvex"
_MOST_BOXES = 1000
_JOINED = "Join header and fragments in their order (cat init.mp4 1.m4s 2.m4s > film.mp4), and colour that."


def separated(path: Path) -> InputError | None:
    """Return the error for a file that is only the header of a fragmented film, or only fragments; None otherwise.

    Raises `OSError`.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        found = {name: (content, min(end, size)) for name, content, end in _boxes(file, 0, size)}
        if _FRAGMENT in found:
            what = "holds fragments of a film, without the header that tells how to read them"
            return None if _HEADER in found else InputError(f"{path}: {what}", advice=_JOINED)
        if _HEADER not in found or all(name != _FOLLOWED for name, _, _ in _boxes(file, *found[_HEADER])):
            return None
    return InputError(f"{path}: is the header of a film in fragments, without any of them", advice=_JOINED)


def _boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each box between two positions, and where its contents begin and end."""
    for place, name, content, end in islice(boxes(file, start, stop), _MOST_BOXES):
        if end > place:
            yield name, content, end
