"""Films in several files: header and fragments, as used in streaming (ISO/IEC 14496-12, 8.8), or references to others.

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
# Where a track lists the files that hold its pictures (8.7.2), and the flag for the file itself.
_TO_REFERENCES, _ITSELF = (b"trak", b"mdia", b"minf", b"dinf", b"dref"), 1
_MOST_BOXES = 1000
_JOINED = "Join header and fragments in their order (cat init.mp4 1.m4s 2.m4s > film.mp4), and colour that."


def separated(path: Path) -> InputError | None:
    """Return the error for a file that holds only the header of a film, fragments, or references; None otherwise.

    Raises `OSError`.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        found = {name: (content, min(end, size)) for name, content, end in _boxes(file, 0, size)}
        if _FRAGMENT in found:
            what = "holds fragments of a film, without the header that tells how to read them"
            return None if _HEADER in found else InputError(f"{path}: {what}", advice=_JOINED)
        if _HEADER not in found:
            return None
        if _refers_elsewhere(file, *found[_HEADER]):
            advice = "Export it as a self-contained film with the program that made it, where those files are."
            return InputError(f"{path}: only refers to other files, which hold its pictures", advice=advice)
        if all(name != _FOLLOWED for name, _, _ in _boxes(file, *found[_HEADER])):
            return None
    return InputError(f"{path}: is the header of a film in fragments, without any of them", advice=_JOINED)


def _refers_elsewhere(file: BinaryIO, start: int, stop: int, path: tuple[bytes, ...] = _TO_REFERENCES) -> bool:
    """Return whether a track, below ``path``, has pictures or sound in another file."""
    for name, content, end in _boxes(file, start, stop):
        if not path:
            file.seek(content)
            if not int.from_bytes(file.read(4)) & _ITSELF:  # version and flags
                return True
        # The references are preceded by version and flags, and their number.
        elif name == path[0] and _refers_elsewhere(file, content + 8 * (len(path) == 1), end, path[1:]):
            return True
    return False


def _boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each box between two positions, and where its contents begin and end."""
    for place, name, content, end in islice(boxes(file, start, stop), _MOST_BOXES):
        if end > place:
            yield name, content, end
