"""Replace, in place, text in the tags of a finished film that proved wrong."""

from __future__ import annotations

import mmap
from pathlib import Path


def replace_tag_text(film: Path, text: str, other: str) -> None:
    """Replace ``text`` in the tags of ``film`` by ``other``, padded with spaces to the same number of bytes.

    Containers store the size of a text beside it, and QuickTime stores some texts twice. ``text`` must be long enough
    to occur nowhere else. Raises ValueError if ``other`` is longer, or ``text`` is not found.
    """
    old, new = text.encode(), other.encode()
    if len(new) > len(old):
        raise ValueError(f"{other!r} does not fit in place of {text!r}")
    with film.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        place = content.find(old)
        if place < 0:
            raise ValueError(f"{film}: the tags do not say {text!r}")
        while place >= 0:
            content[place : place + len(old)] = new.ljust(len(old))
            place = content.find(old, place + len(old))
