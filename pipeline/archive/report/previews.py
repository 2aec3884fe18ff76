"""The thumbnails of an archive for its report, packed some twenty items to a file.

A pack is a style sheet with one rule per picture, ``--STEM-NUMBER-before: url(data:...)``, because a page opened from a
disk may load those. Every picture is one line, appended in a single write; each run starts its own pack, so a line left
half-written by a dead run is at the end of a file and does no harm. The ledger stores which pack holds the pictures of
an item, and their offset.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeAlias

from pipeline.archive.ledger import Outline, Record
from pipeline.errors import OutputError
from pipeline.originals import Originals, check_own
from pipeline.results import Preview

FOLDER = "previews"
_FULL = 512 << 10  # bytes in a full pack: the page loads packs whole
_IN_A_FOLDER = 1000
EMBEDDED = 8_000_000  # bytes of pictures in the page itself
_NAME = re.compile(r"(\d{6,})\.css")
_LINE = re.compile(rb":root\{--[0-9a-f]+-\d+-before:url\(data:image/jpeg;base64,([A-Za-z0-9+/=]*)\);"
                   rb"--[0-9a-f]+-\d+-after:url\(data:image/jpeg;base64,([A-Za-z0-9+/=]*)\)\}\n")  # fmt: skip

Pictures: TypeAlias = dict[str, list[tuple[str, str]]]


class Packed(NamedTuple):
    """Location of an item's pictures: the number of a pack, and the offset in bytes."""

    pack: int
    offset: int


def packed_of(record: Record | Outline) -> Packed | None:
    """Return the location of the pictures of ``record``; None if it has none."""
    return None if record.pack is None else Packed(record.pack, record.pack_offset or 0)


def stem(path: str) -> str:
    """Return the prefix of the names of the pictures for the source at ``path``."""
    return sha256(path.encode(errors="surrogateescape")).hexdigest()[:20]


def pack_name(number: int) -> str:
    """Return the path of a pack below the folder of all packs."""
    return f"{number // _IN_A_FOLDER:03}/{number:06}.css"


class Packs:
    """The packs below ``home``, to which one run at a time adds. They never lie among ``originals``, through any link.

    A pack that has reached ``full`` bytes gets no more pictures.
    """

    def __init__(self, home: Path, *, originals: Originals, full: int = _FULL) -> None:
        self._folder, self._full = home / FOLDER, full
        self._originals = originals
        self._number: int | None = None
        self._size = 0

    def keep(self, path: str, previews: Sequence[Preview]) -> Packed | None:
        """Add the pictures of a new result of the source at ``path``; return None if there are none.

        Raises `OutputError`, and `UsageError` for a pack that would be written among the originals or through a link.
        Unlike results, they are not synced to disk one by one: nothing depends on them.
        """
        if not previews:
            return None
        lines = b"".join(_line(path, number, preview) for number, preview in enumerate(previews))
        with _reporting(self._folder):
            if self._number is None or self._size >= self._full:
                self._number, self._size = self._begun()
            file = self._folder / pack_name(self._number)
            check_own(file)
            with file.open("ab", buffering=0) as pack:
                offset = pack.tell()
                pack.write(lines)
            self._size = offset + len(lines)
        return Packed(self._number, offset)

    def _begun(self) -> tuple[int, int]:
        """Return the number and size of a new pack, after checking that it is not among the originals."""
        number = (max(self._numbers(), default=0) if self._number is None else self._number) + 1
        file = self._folder / pack_name(number)
        self._originals.check(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        return number, 0

    def discard(self, live: set[int]) -> None:
        """Delete the packs without any content in use: all but those ``live``. Raises `OutputError`."""
        with _reporting(self._folder):
            for number in self._numbers():
                if number not in live:
                    pack = self._folder / pack_name(number)
                    self._originals.check(pack)
                    pack.unlink(missing_ok=True)

    def _numbers(self) -> list[int]:
        names = (path.name for path in self._folder.glob("*/*.css"))
        return [int(found[1]) for name in names if (found := _NAME.fullmatch(name))]


def read(home: Path, packed: Packed, count: int) -> list[tuple[str, str]]:
    """Return ``count`` pictures before and after, in base64; fewer if they are gone. Raises `OutputError`."""
    file = home / FOLDER / pack_name(packed.pack)
    pairs = []
    with _reporting(file):
        try:
            with file.open("rb") as pack:
                pack.seek(packed.offset)
                for _ in range(count):
                    if not (found := _LINE.fullmatch(pack.readline())):
                        break
                    pairs.append((found[1].decode("ascii"), found[2].decode("ascii")))
        except FileNotFoundError:
            return []
    return pairs


def inside(items: Iterable[tuple[str, Path, Packed, int]], *, room: int) -> Pictures:
    """Return the pictures of the first of ``items``, up to ``room`` bytes: base64 of before and after, by `stem`.

    Items are the path of a source, the home of its packs, and the location and number of its pictures. Raises
    `OutputError`.
    """
    found = Pictures()
    for path, home, packed, count in items:
        pairs = read(home, packed, count)
        if len(pairs) < count:
            continue
        room -= sum(len(before) + len(after) for before, after in pairs)
        if room < 0:
            break
        found[stem(path)] = pairs
    return found


def _line(path: str, number: int, preview: Preview) -> bytes:
    name = f"--{stem(path)}-{number}"
    before, after = (f"url(data:image/jpeg;base64,{_base64(one)})" for one in (preview.before, preview.after))
    return f":root{{{name}-before:{before};{name}-after:{after}}}\n".encode("ascii")


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")


@contextmanager
def _reporting(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{error.filename or place}: small pictures for the report cannot be kept: {error.strerror or error}",
            advice="Check free space and permissions.",
        ) from error
