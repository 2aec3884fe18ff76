"""A tree of files, one entry at a time: what is a photograph, what is a film, what is neither; and which are wanted."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Self

from pipeline.archive.run_options import RunOptions, Shard
from pipeline.errors import UsageError
from pipeline.media.film_formats import FILM_SUFFIXES, begins_like_film
from pipeline.media.stills.bmp import BMP
from pipeline.media.stills.refused import FILM
from pipeline.media.stills.registry import HEAD, REFUSED_SUFFIXES, SUFFIXES, format_of

RESULT_MARK = "colorized"
# Photographs that are refused too: by name and with advice, rather than passed over.
PHOTO_SUFFIXES = SUFFIXES | REFUSED_SUFFIXES
# Files that are not opened to see whether they are pictures: sound, text, tables, programs, archives, what is ours.
_OTHER_SUFFIXES = frozenset(
    {".mp3", ".m4a", ".m4b", ".wav", ".flac", ".ogg", ".oga", ".opus", ".aac", ".wma", ".aif", ".aiff", ".mid"}
    | {".txt", ".md", ".rtf", ".doc", ".docx", ".odt", ".xls", ".xlsx", ".ods", ".csv", ".tsv", ".json", ".jsonl"}
    | {".xml", ".xmp", ".html", ".htm", ".css", ".js", ".py", ".sh", ".db", ".sqlite", ".log", ".ini", ".toml", ".yaml"}
    | {".zip", ".gz", ".xz", ".bz2", ".zst", ".tar", ".7z", ".rar", ".iso", ".exe", ".dll", ".url", ".lnk", ".ttf"}
    | {".srt", ".vtt", ".sub", ".idx", ".ass", ".ifo", ".bup", ".md5", ".sha1", ".sha256", ".par2"}
)
# Suffixes of films that texts have as well: programs (TypeScript), translations (Qt).
_AMBIGUOUS = frozenset({".ts", ".mts"})
_TEXT_HEAD, _BINARY = 1024, set(range(32)) - set(b"\t\n\r\f\x1b")
_JUNK_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store"}
_JUNK_FOLDERS = {"$recycle.bin", "system volume information", "__macosx", "@eadir", "#recycle"}


class Kind(StrEnum):
    """What an entry of the tree is to us."""

    PHOTO = "photo"
    FILM = "film"
    OTHER = "other"
    HIDDEN = "hidden"
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

    A file is a photograph or a film by its suffix; one of an unknown suffix by its first bytes. Hidden files and
    folders and ``lost+found`` are named as HIDDEN and not entered; thumbnails, the bins and indexes of systems and
    what is ours are not mentioned. Links to folders are named as LINK and not followed, results of an earlier run
    beside their source as RESULT and not entered, folders that cannot be listed as BARRED; so is, with ``folds``, a
    folder whose name differs from that of the one before it only in case. With ``follow_links`` a link to a folder
    outside of ``root`` is entered, unless it was entered already, or is ``output``. Only one path from the root down
    is kept in memory, and the folders behind links.
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
            if item.name.startswith(".") or item.name.lower() == "lost+found":
                yield Entry(path, Kind.HIDDEN)
            elif not _is_folder(item):
                yield Entry(path, _kind_of_file(root / path, stems))
            elif item.name.removesuffix(f"-{RESULT_MARK}") in siblings - {item.name}:
                yield Entry(path, Kind.RESULT)
            elif needs_leave and (beyond is None or not beyond.enter(root / path)):
                yield Entry(path, Kind.LINK)
            else:
                key = item.name.casefold() if folds else item.name
                other, _ = inner.setdefault(key, (path, needs_leave))
                if other != path:
                    yield Entry(path, Kind.BARRED, f"on the disk of the results it has the same name as {other.name}")
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


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:
        # A link that leads to itself: whoever reads it says so by name.
        return False


def _kind_of_file(path: Path, stems: set[str]) -> Kind:
    suffix = path.suffix.lower()
    if suffix in _OTHER_SUFFIXES or not _is_regular(path):
        return Kind.OTHER
    is_known = suffix in PHOTO_SUFFIXES | FILM_SUFFIXES
    stem = path.stem.removesuffix(f".{RESULT_MARK}")
    if is_known and stem != path.stem and stem in stems:
        return Kind.RESULT
    if not is_known:
        return _kind_of_content(path)
    if suffix in PHOTO_SUFFIXES:
        return Kind.PHOTO
    return Kind.OTHER if suffix in _AMBIGUOUS and _is_text(path) else Kind.FILM


def _is_text(path: Path) -> bool:
    """Whether the file begins with text; one that cannot be opened does not: its reader says so by name."""
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


def _is_regular(path: Path) -> bool:
    # Reading a pipe or a device named like a film would wait for ever. A link that leads nowhere passes: its reader
    # says so by name.
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def _is_junk(name: str) -> bool:
    return name.startswith(("._", ".autochrome")) or name.lower() in _JUNK_FILES | _JUNK_FOLDERS


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What `RunOptions` say about single sources; get one with `of`."""

    include: tuple[re.Pattern[str], ...]
    exclude: tuple[re.Pattern[str], ...]
    earliest: float | None
    shard: Shard | None

    @classmethod
    def of(cls, options: RunOptions) -> Self:
        """Return the selection that ``options`` ask for. Raises `UsageError` for an empty pattern."""
        return cls(
            include=tuple(map(compiled, options.include)),
            exclude=tuple(map(compiled, options.exclude)),
            earliest=None if options.since is None else options.since.timestamp(),
            shard=options.shard,
        )

    def takes_path(self, path: PurePosixPath) -> bool:
        """Say whether the source at ``path`` (below the source folder) is wanted, as far as its path decides.

        A source is taken if an ``include`` pattern matches it, or there is none, and no ``exclude`` pattern does.
        """
        text = unicodedata.normalize("NFC", path.as_posix())
        return (
            (self.shard is None or shard_of(path, self.shard.count) == self.shard.index)
            and (not self.include or any(pattern.fullmatch(text) for pattern in self.include))
            and not any(pattern.fullmatch(text) for pattern in self.exclude)
        )

    def takes_time(self, modified: float) -> bool:
        """Say whether a source changed at ``modified`` (seconds since 1970) is wanted."""
        return self.earliest is None or modified >= self.earliest


def shard_of(path: PurePosixPath, count: int) -> int:
    """Return the shard, from 1 to ``count``, that ``path`` (below the source folder) belongs to.

    It follows from the SHA-256 of the path in Unicode form NFC, so all machines agree, in every run, however their
    disks spell a name.
    """
    text = unicodedata.normalize("NFC", path.as_posix())
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8]) % count + 1


def compiled(pattern: str) -> re.Pattern[str]:
    """Return ``pattern`` as a regular expression for whole paths with ``/``. Raises `UsageError` if it is empty.

    ``?`` and ``*`` match within a name, ``[abc]`` one character, ``**`` any number of folders. A pattern without a
    slash is looked for in every folder; one with a slash begins at the source folder. What matches a folder matches
    all that lies in it. Upper and lower case differ.
    """
    parts = [part for part in unicodedata.normalize("NFC", pattern).split("/") if part not in ("", ".")]
    if not parts:
        raise UsageError(f"{pattern!r}: an empty pattern", advice="Write one like '*.tif' or 'people/**/1920*'.")
    if "/" not in pattern.strip("/") and not pattern.startswith("/"):
        parts.insert(0, "**")
    *folders, last = parts
    body = "".join("(?:[^/]+/)*" if part == "**" else f"{_name(part)}/" for part in folders)
    return re.compile(body + (".+" if last == "**" else f"{_name(last)}(?:/.*)?"), re.DOTALL)


def _name(pattern: str) -> str:
    """Return the regular expression of one name."""
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
