"""What a file is known by: its size and time, which cost nothing, and its fingerprint, which costs reading it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pipeline.errors import InputError


@dataclass(frozen=True)
class Stamp:
    """Size in bytes and time of the last change in nanoseconds."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the stamp of the file at ``path``. Raises `OSError`."""
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns)


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of the file at ``path`` as 64 hexadecimal digits. Raises `InputError`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or error}", advice="Check its permissions."
        ) from error


def is_same(path: Path, found: Stamp, known: Stamp | None, sha256: str | None, *, thorough: bool = False) -> bool:
    """Say whether the file at ``path``, whose stamp is ``found``, is still the one that is ``known``.

    By its stamp; if only the time differs, and always if ``thorough``, by the fingerprint, where there is one. Raises
    `InputError` if it cannot be read.
    """
    if known is None or found.size != known.size:
        return False
    if found == known and not (thorough and sha256):
        return True
    return bool(sha256) and fingerprint(path) == sha256
