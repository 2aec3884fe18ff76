"""Walk a tree of files one entry at a time: which are photographs, films or neither; and which are wanted."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from operator import attrgetter
from pathlib import Path, PureWindowsPath
from typing import NamedTuple, Self

from pipeline.archive.run_options import RunOptions, Shard
from pipeline.errors import UsageError
from pipeline.film.reference_frames import SUFFIX as REFERENCES
from pipeline.media.film_formats import FILM_SUFFIXES, begins_like_film
from pipeline.media.stills.bmp import BMP
from pipeline.media.stills.refused import FILM
from pipeline.media.stills.registry import HEAD, REFUSED_SUFFIXES, SUFFIXES, format_of
from pipeline.reference_files import MARK

RESULT_MARK = "colorized"
# Including photographs that are refused, by name and with advice, rather than ignored.
PHOTO_SUFFIXES = SUFFIXES | REFUSED_SUFFIXES
# Files that are not opened to check for pictures: sound, text, tables, programs, archives, and our own.
_OTHER_SUFFIXES = frozenset(
    {".mp3", ".m4a", ".m4b", ".wav", ".flac", ".oga", ".opus", ".aac", ".wma", ".aif", ".aiff", ".mid"}
    | {".txt", ".md", ".rtf", ".doc", ".docx", ".odt", ".xls", ".xlsx", ".ods", ".csv", ".tsv", ".json", ".jsonl"}
    | {".xml", ".xmp", ".html", ".htm", ".css", ".js", ".py", ".sh", ".db", ".sqlite", ".log", ".ini", ".toml", ".yaml"}
    | {".zip", ".gz", ".xz", ".bz2", ".zst", ".tar", ".7z", ".rar", ".iso", ".exe", ".dll", ".url", ".lnk", ".ttf"}
    | {".srt", ".vtt", ".sub", ".idx", ".ass", ".ifo", ".bup", ".md5", ".sha1", ".sha256", ".par2"}
)
# Suffixes of films that text files have as well: programs (TypeScript), translations (Qt).
_AMBIGUOUS = frozenset({".ts", ".mts"})
_TEXT_HEAD, _BINARY = 1024, set(range(32)) - set(b"\t\n\r\f\x1b")
_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store"}
_JUNK |= {"$recycle.bin", "system volume information", "__macosx", "@eadir", "#recycle"}


class Kind(StrEnum):
    """What kind of entry of the tree it is."""

    PHOTO = "photo"
    FILM = "film"
    OTHER = "other"
    ELSEWHERE = "elsewhere"
    HIDDEN = "hidden"
    RESULT = "result"
    LINK = "link"
    BARRED = "barred"


_KINDS = {**dict.fromkeys(FILM_SUFFIXES, Kind.FILM), **dict.fromkeys(PHOTO_SUFFIXES, Kind.PHOTO)}
_KINDS |= dict.fromkeys(_OTHER_SUFFIXES, Kind.OTHER)
_MARKS = re.compile(f"(?={re.escape(MARK)})")


class Entry(NamedTuple):
    """``name`` is the path below the root, with ``/``; ``reason`` is why a BARRED folder is not entered."""

    name: str
    kind: Kind
    reason: str = ""

    @property
    def path(self) -> Path:
        """The path below the root."""
        return Path(self.name)

    @property
    def suffix(self) -> str:
        """The suffix of the name in lower case, with its dot, or empty."""
        return _split(self.name.rpartition("/")[2])[1]


def _split(name: str) -> tuple[str, str]:
    """Return the name of a file without its suffix, and the suffix in lower case, with its dot, or empty."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, f"{dot}{suffix.lower()}") if stem and suffix else (name, "")


def walk(
    root: Path,
    *,
    folds: bool = False,
    follow_links: bool = False,
    output: Path | None = None,
    takes: Callable[[str], bool] | None = None,
) -> Iterator[Entry]:
    """Yield the entries under ``root``: a folder's files in order of name, then its folders, each in the same way.

    A file is a photograph or a film by its suffix; if that is unknown, by its first bytes. Hidden files and folders and
    ``lost+found`` are yielded as HIDDEN and not entered; thumbnails, the bins and indexes of operating systems and our
    own files are omitted. Links to folders are yielded as LINK and not followed, results of an earlier run and
    references beside their items (``film.refs``, ``1931.ref.jpg``) as RESULT and not entered, folders that cannot be
    listed as BARRED; with ``folds``, so is a folder whose name differs from the previous one only in case. With
    ``follow_links`` a link to a folder outside ``root`` is entered, unless it was entered already, or is ``output``.
    With ``takes`` an entry is yielded only if it accepts the entry's path below ``root``; of other files, which are not
    opened, the first in a folder that may be a photograph or a film is yielded as ELSEWHERE. Only one path from the
    root down is kept in memory, and the folders behind links.
    """
    waiting = [("", False)]
    beyond = _Beyond(root, output) if follow_links else None
    takes = takes or _takes_all
    while waiting:
        folder, is_beyond = waiting.pop()
        try:
            with os.scandir(root / folder) as listing:
                items = sorted((item for item in listing if not _is_junk(item.name)), key=attrgetter("name"))
        except OSError as error:
            if not folder or takes(folder):
                yield Entry(folder or ".", Kind.BARRED, error.strerror or str(error))
            continue
        siblings = _Siblings({item.name for item in items})
        has_others = False
        inner: dict[str, tuple[str, bool]] = {}
        kind: Kind | None
        for item in items:
            path = f"{folder}/{item.name}" if folder else item.name
            if not _is_folder(item) and not item.name.startswith("."):
                if takes(path):
                    kind = _kind_of_file(item, siblings)
                    if MARK in item.name and kind is Kind.PHOTO and _is_reference(item.name, siblings.sources):
                        kind = Kind.RESULT
                    yield Entry(path, kind)
                elif not has_others and _KINDS.get(_split(item.name)[1]) is not Kind.OTHER:
                    has_others = True
                    yield Entry(path, Kind.ELSEWHERE)
                continue
            needs_leave = is_beyond or item.is_symlink()
            kind, reason = None, ""
            if item.name.startswith(".") or item.name.lower() == "lost+found":
                kind = Kind.HIDDEN
            elif item.name.removesuffix(f"-{RESULT_MARK}") in siblings.names - {item.name} or _holds_references(
                item.name, siblings.names
            ):
                kind = Kind.RESULT
            elif needs_leave and (beyond is None or not beyond.enter(root / path)):
                kind = Kind.LINK
            else:
                key = item.name.casefold() if folds else item.name
                other, _ = inner.setdefault(key, (path, needs_leave))
                if other != path:
                    first = other.rpartition("/")[2]
                    kind, reason = Kind.BARRED, f"on the disk of the results it has the same name as {first}"
            if kind is not None and takes(path):
                yield Entry(path, kind, reason)
        waiting.extend(reversed(inner.values()))


@dataclass(frozen=True)
class _Siblings:
    """The ``names`` in one folder; what few files need of them is made when it is needed."""

    names: set[str]

    @cached_property
    def stems(self) -> set[str]:
        """The names without suffix."""
        return {_split(name)[0] for name in self.names}

    @cached_property
    def sources(self) -> set[str]:
        """The names, without suffix, of photographs and films."""
        return {stem for stem, suffix in map(_split, self.names) if _KINDS.get(suffix) in (Kind.PHOTO, Kind.FILM)}


def _holds_references(folder: str, siblings: set[str]) -> bool:
    """Return whether ``folder`` holds the references of a film among ``siblings``."""
    stem = folder.removesuffix(REFERENCES)
    films = (_split(name) for name in siblings if stem != folder)
    return any(stem == name and _KINDS.get(suffix) is Kind.FILM for name, suffix in films)


def _is_reference(name: str, sources: set[str]) -> bool:
    """Return whether the picture ``name`` is a reference for one of ``sources``."""
    return any(name[: found.start()] in sources for found in _MARKS.finditer(name))


def _takes_all(_path: str) -> bool:
    return True


class _Beyond:
    """The folders outside the tree that links led to."""

    def __init__(self, root: Path, output: Path | None) -> None:
        self._root = root.resolve()
        self._entered = set() if output is None else {output.resolve()}

    def enter(self, folder: Path) -> bool:
        """Return whether ``folder`` lies outside the tree and is entered for the first time."""
        place = folder.resolve()
        if place in self._entered or self._root == place or self._root in place.parents:
            return False
        self._entered.add(place)
        return True


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:
        # A link that points to itself is reported when it is read.
        return False


def _kind_of_file(item: os.DirEntry[str], siblings: _Siblings) -> Kind:
    stem, suffix = _split(item.name)
    known = _KINDS.get(suffix)
    if known is Kind.OTHER or not _is_regular(item):
        return Kind.OTHER
    if known is None:
        return _kind_of_content(Path(item.path))
    if stem.endswith(f".{RESULT_MARK}") and stem.removesuffix(f".{RESULT_MARK}") in siblings.stems:
        return Kind.RESULT
    return Kind.OTHER if suffix in _AMBIGUOUS and _is_text(Path(item.path)) else known


def _is_text(path: Path) -> bool:
    """Return whether the file begins with text; False if it cannot be opened, which is reported when it is read."""
    try:
        with path.open("rb") as file:
            head = file.read(_TEXT_HEAD)
    except OSError:
        return False
    return bool(head) and not _BINARY & set(head)


def _kind_of_content(path: Path) -> Kind:
    try:
        if begins_like_film(path):
            return Kind.FILM
        with path.open("rb") as file:
            found = format_of(file.read(HEAD))
    except OSError:
        return Kind.OTHER
    # The two letters that a BMP begins with are too little evidence.
    return Kind.OTHER if found in (None, FILM, BMP) else Kind.PHOTO


def _is_regular(item: os.DirEntry[str]) -> bool:
    # Reading a pipe or a device named like a film would block forever. A broken link passes: it is reported when it is
    # read. The listing shows what is not a link without access to the file itself.
    if not item.is_symlink():
        return item.is_file()
    try:
        return stat.S_ISREG(item.stat().st_mode)
    except OSError:
        return True


def _is_junk(name: str) -> bool:
    return name.startswith(("._", ".autochrome")) or name.lower() in _JUNK


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which single sources `RunOptions` select; get one with `of`."""

    include: tuple[re.Pattern[str], ...]
    exclude: tuple[re.Pattern[str], ...]
    earliest: float | None
    shard: Shard | None

    @classmethod
    def of(cls, options: RunOptions) -> Self:
        """Return the selection for ``options``. Raises `UsageError` for an empty pattern."""
        return cls(
            include=tuple(map(compiled, options.include)),
            exclude=tuple(map(compiled, options.exclude)),
            earliest=None if options.since is None else options.since.timestamp(),
            shard=options.shard,
        )

    def takes_shard(self, path: str) -> bool:
        """Return whether ``path`` (below the source folder) belongs to the selected shard of the archive."""
        return self.shard is None or shard_of(path, self.shard.count) == self.shard.index

    def takes_path(self, path: str) -> bool:
        """Return whether the source at ``path`` (below the source folder) is selected, as far as its path decides.

        A source is taken if an ``include`` pattern matches it, or there is none, and no ``exclude`` pattern does.
        """
        if not self.include and not self.exclude:
            return True
        text = _normal(path)
        return (not self.include or any(pattern.fullmatch(text) for pattern in self.include)) and not any(
            pattern.fullmatch(text) for pattern in self.exclude
        )

    def takes_time(self, modified: float) -> bool:
        """Return whether a source changed at ``modified`` (seconds since 1970) is selected."""
        return self.earliest is None or modified >= self.earliest


def shard_of(path: str, count: int) -> int:
    """Return the shard, from 1 to ``count``, that ``path`` (below the source folder, with ``/``) belongs to.

    It is derived from the SHA-256 of the path in Unicode form NFC, so all machines agree, in every run, however their
    disks spell a name.
    """
    digest = hashlib.sha256(_normal(path).encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8]) % count + 1


def _normal(path: str) -> str:
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def compiled(pattern: str) -> re.Pattern[str]:
    """Return ``pattern`` as a regular expression for whole paths with ``/``.

    ``?`` and ``*`` match within a name, ``[abc]`` one character, ``**`` any number of folders. A pattern without a
    slash is matched in every folder; one with a slash starts at the source folder. A pattern that matches a folder
    matches everything in it. Case matters. On Windows a backslash counts as a slash. Raises `UsageError` if the pattern
    is empty or, on Windows, begins with a drive or a share.
    """
    if sys.platform == "win32":
        if drive := PureWindowsPath(pattern).drive:
            raise UsageError(
                f"{pattern!r}: begins with {drive}, and patterns are for paths below the source folder",
                advice=r"Leave out the path of that folder: people\**\1920*, or \*.tif for its own files only.",
            )
        pattern = pattern.replace("\\", "/")
    parts = [part for part in unicodedata.normalize("NFC", pattern).split("/") if part not in ("", ".")]
    if not parts:
        raise UsageError(f"{pattern!r}: an empty pattern", advice="Write one like '*.tif' or 'people/**/1920*'.")
    if "/" not in pattern.strip("/") and not pattern.startswith("/"):
        parts.insert(0, "**")
    *folders, last = parts
    body = "".join("(?:[^/]+/)*" if part == "**" else f"{_name(part)}/" for part in folders)
    return re.compile(body + (".+" if last == "**" else f"{_name(last)}(?:/.*)?"), re.DOTALL)


def pattern_of(path: str) -> str:
    """Return the pattern that matches only ``path``."""
    return re.sub(r"[*?[]", r"[\g<0>]", path)


def _name(pattern: str) -> str:
    """Return the regular expression for one name."""
    text, position = "", 0
    while position < len(pattern):
        character, position = pattern[position], position + 1
        # A bracket right after the opening one belongs to the set.
        closing = pattern.find("]", position + 1 + pattern.startswith("!", position)) if character == "[" else -1
        if closing > 0:
            negated = pattern.startswith("!", position)
            members = re.sub(r"([\\\[\]^&~|])", r"\\\1", pattern[position + negated : closing])
            text += f"(?!/)[{'^' if negated else ''}{members}]"
            position = closing + 1
        else:
            text += {"*": "[^/]*", "?": "[^/]"}.get(character, re.escape(character))
    return text
