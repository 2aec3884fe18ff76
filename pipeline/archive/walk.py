"""A tree of files, one entry at a time: what is a photograph, what is a film, what is neither."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.media.stills.registry import REFUSED_SUFFIXES, SUFFIXES

RESULT_MARK = "colorized"
# Photographs that are refused too: by name and with advice, rather than passed over.
PHOTO_SUFFIXES = SUFFIXES | REFUSED_SUFFIXES
_STREAMS = {".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob", ".dv", ".mxf"}
FILM_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".3gp", ".ogv"} | _STREAMS)
_JUNK_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini"}
_JUNK_FOLDERS = {"$recycle.bin", "system volume information", "lost+found", "__macosx", "@eadir", "#recycle"}


class Kind(StrEnum):
    """What an entry of the tree is to us."""

    PHOTO = "photo"
    FILM = "film"
    OTHER = "other"
    RESULT = "result"
    LINK = "link"
    BARRED = "barred"


@dataclass(frozen=True)
class Entry:
    """``path`` below the root; ``reason`` says why a BARRED folder is not entered."""

    path: Path
    kind: Kind
    reason: str = ""


def walk(root: Path, *, folds: bool = False, follow_links: bool = False, output: Path | None = None) -> Iterator[Entry]:
    """Yield what lies under ``root``: a folder's files in order of name, then its folders, each in the same way.

    Junk (hidden files and folders, thumbnails, the bins and indexes of file systems) is not mentioned. Links to
    folders are named as LINK and not followed, results of an earlier run beside their source as RESULT and not
    entered, folders that cannot be listed as BARRED; so is, with ``folds``, a folder whose name differs from that of
    the one before it only in case. With ``follow_links`` a link to a folder outside of ``root`` is entered, unless it
    was entered already, or is ``output``. Only one path from the root down is kept in memory, and the folders behind
    links.
    """
    waiting = [(Path(), False)]
    beyond = _Beyond(root, output) if follow_links else None
    while waiting:
        folder, is_beyond = waiting.pop()
        try:
            with os.scandir(root / folder) as listing:
                names = sorted((item for item in listing if not _is_junk(item.name)), key=lambda item: item.name)
        except OSError as error:
            yield Entry(folder, Kind.BARRED, error.strerror or str(error))
            continue
        siblings = {item.name for item in names}
        stems = {Path(name).stem for name in siblings}
        inner: dict[str, tuple[Path, bool]] = {}
        for item in names:
            path = folder / item.name
            needs_leave = is_beyond or item.is_symlink()
            if not item.is_dir():
                yield Entry(path, _kind_of_file(root / path, stems))
            elif item.name.removesuffix(f"-{RESULT_MARK}") in siblings - {item.name}:
                yield Entry(path, Kind.RESULT)
            elif needs_leave and (beyond is None or not beyond.enter(root / path)):
                yield Entry(path, Kind.LINK)
            else:
                key = item.name.casefold() if folds else item.name
                other, _ = inner.setdefault(key, (path, needs_leave))
                if other != path:
                    yield Entry(path, Kind.BARRED, f"the disk of the results cannot tell it from {other.name}")
        waiting.extend(reversed(inner.values()))


class _Beyond:
    """The folders outside of the tree that links led to."""

    def __init__(self, root: Path, output: Path | None) -> None:
        self._root = root.resolve()
        self._entered = set() if output is None else {output.resolve()}

    def enter(self, folder: Path) -> bool:
        """Say whether ``folder`` lies outside of the tree and is entered for the first time."""
        place = folder.resolve()
        if place in self._entered or self._root == place or self._root in place.parents:
            return False
        self._entered.add(place)
        return True


def _kind_of_file(path: Path, stems: set[str]) -> Kind:
    suffix = path.suffix.lower()
    if suffix not in PHOTO_SUFFIXES | FILM_SUFFIXES or not _is_regular(path):
        return Kind.OTHER
    stem = path.stem.removesuffix(f".{RESULT_MARK}")
    if stem != path.stem and stem in stems:
        return Kind.RESULT
    return Kind.PHOTO if suffix in PHOTO_SUFFIXES else Kind.FILM


def _is_regular(path: Path) -> bool:
    # Reading a pipe or a device named like a film would wait for ever. A link that leads nowhere passes: its reader
    # says so by name.
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK_FILES | _JUNK_FOLDERS
