"""Files of training photographs in folders and zip files: list and read them."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from PIL import Image

from engines.errors import AutochromeError

PICTURE_SUFFIXES = frozenset({".avif", ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""Errors that Pillow raises for files that are not pictures, are damaged, or are far too large."""


class PhotosError(AutochromeError):
    """Training photographs that are missing or cannot be used."""

    exit_code = 4


def check_sources(sources: Sequence[Path]) -> None:
    """Raise `PhotosError` for a source that is missing, or is a file but no zip file."""
    for source in sources:
        if not source.exists():
            raise PhotosError(f"{source}: no such folder or zip file", advice="Check the path.")
        if source.is_file() and not zipfile.is_zipfile(source):
            raise PhotosError(
                f"{source}: no folder and no zip file",
                advice="Name the folder that it lies in; an incomplete zip file must be downloaded again.",
            )


def photos_fingerprint(sources: Sequence[Path]) -> dict[str, Any]:
    """Return the number of ``pictures``, and a ``digest`` of their `pictures` entries."""
    listed = [one for source in sorted(sources, key=Path.resolve) for one in pictures(source)]
    return {"pictures": len(listed), "digest": hashlib.sha256(json.dumps(listed).encode()).hexdigest()}


def contents(names: list[tuple[Path, str]]) -> Iterator[bytes | None]:
    """Yield the content of every picture, None for one that cannot be read."""
    for source, group in groupby(names, key=itemgetter(0)):
        if source.is_file():
            with zipfile.ZipFile(source) as archive:
                yield from (_member(archive, name) for _, name in group)
        else:
            yield from (_file(source / name) for _, name in group)


def _member(archive: zipfile.ZipFile, name: str) -> bytes | None:
    try:
        return archive.read(name)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError):
        # Damaged, encrypted, or compressed by a method unknown to Python.
        return None


def _file(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError:
        return None


def pictures(source: Path) -> list[tuple[str, int, int]]:
    """Return the pictures in a folder or a zip file, in the order in which they are read.

    Each has a name, a size in bytes, and a value that changes with it: its modification time in ns, or its checksum.
    Raises `PhotosError` for a zip file without a readable table of contents.
    """
    if source.is_file():
        try:
            with zipfile.ZipFile(source) as archive:
                members = [one for one in archive.infolist() if not one.is_dir() and _is_picture(Path(one.filename))]
        except (OSError, zipfile.BadZipFile) as error:
            raise PhotosError(f"{source}: a damaged zip file: {error}", advice="Make it again.") from error
        return sorted((one.filename, one.file_size, one.CRC) for one in members)
    files = [path for path in sorted(source.rglob("*")) if _is_picture(path) and not path.is_dir()]
    return [(str(path.relative_to(source)), *_file_stat(path)) for path in files]


def _file_stat(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES
