"""Which sources of a tree a run takes: patterns over their paths, a time, a shard."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Self

from pipeline.archive.run_options import Orders, Shard
from pipeline.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What `Orders` say about single sources; get one with `of`."""

    include: tuple[re.Pattern[str], ...]
    exclude: tuple[re.Pattern[str], ...]
    earliest: float | None
    shard: Shard | None

    @classmethod
    def of(cls, orders: Orders) -> Self:
        """Return the selection that ``orders`` ask for. Raises `UsageError` for an empty pattern."""
        return cls(
            include=tuple(map(compiled, orders.include)),
            exclude=tuple(map(compiled, orders.exclude)),
            earliest=None if orders.since is None else orders.since.timestamp(),
            shard=orders.shard,
        )

    def takes(self, path: PurePosixPath, modified: float) -> bool:
        """Say whether the source at ``path`` (below the source folder), changed at ``modified``, is wanted.

        ``modified`` is in seconds since 1970. A source is taken if an ``include`` pattern matches it, or there is
        none, and no ``exclude`` pattern does.
        """
        text = unicodedata.normalize("NFC", path.as_posix())
        return (
            (not self.include or any(pattern.fullmatch(text) for pattern in self.include))
            and not any(pattern.fullmatch(text) for pattern in self.exclude)
            and (self.earliest is None or modified >= self.earliest)
            and (self.shard is None or shard_of(path, self.shard.count) == self.shard.index)
        )


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
