"""Which coloured pictures lend their colours to an item: those named after it, or the one that is given for all.

``1931.jpg`` takes its colours from ``1931.ref.jpg``, or from any other ``1931.ref.*``, beside it. ``--reference`` names
one picture for all photographs, or a folder in whose tree such pictures lie as the photographs do in theirs. What films
have beyond that is in `pipeline.film.reference_frames`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

from pipeline.errors import InputError

MARK = ".ref."
_FOLDERS = 4


class ReferenceFiles:
    """Finds references; what folders hold is looked up once, so make one for every run."""

    def __init__(self, given: Path | None) -> None:
        """Take what ``--reference`` names. Raises `InputError` if it is not there."""
        if given is not None and not given.exists():
            raise InputError(f"{given}: no such reference", advice="Check --reference: a coloured picture or a folder.")
        self.given = given
        self.is_tree = given is not None and given.is_dir()
        self._listed: dict[Path, list[str]] = {}

    def of(self, source: Path, item: PurePath) -> tuple[Path, ...]:
        """Return the references of the photograph ``source``, whose path below the tree of sources is ``item``.

        Those beside it come first, then those in the folder that is given, then the picture that is given. Raises
        `InputError` for folders that cannot be listed.
        """
        found = self.named(source.parent, source.stem)
        if found or self.given is None:
            return found
        return self.named(self.given / item.parent, source.stem) if self.is_tree else (self.given,)

    def may_lend(self, folder: Path) -> bool:
        """Whether any photograph of ``folder`` may have references: one look for all of them. Raises `InputError`."""
        return self.given is not None or bool(self._names(folder))

    def named(self, folder: Path, stem: str) -> tuple[Path, ...]:
        """Return the references in ``folder`` of what is called ``stem``. Raises `InputError`."""
        prefix = f"{stem}{MARK}"
        return tuple(folder / name for name in self._names(folder) if name.startswith(prefix))

    def _names(self, folder: Path) -> list[str]:
        if folder not in self._listed:
            while len(self._listed) >= _FOLDERS:
                self._listed.pop(next(iter(self._listed)))
            try:
                with os.scandir(folder) as listing:
                    self._listed[folder] = sorted(item.name for item in listing if MARK in item.name)
            except (FileNotFoundError, NotADirectoryError):
                self._listed[folder] = []
            except OSError as error:
                raise InputError(
                    f"{folder}: cannot be searched for references: {error.strerror or error}",
                    advice="Check its permissions.",
                ) from error
        return self._listed[folder]


def reference_fingerprint(references: Sequence[Path]) -> str:
    """Return what ``references`` are known by: names, sizes and times; empty without any. Raises `InputError`."""
    parts = []
    for path in references:
        size, time = size_and_time(path)
        parts.append(f"{path.name}:{size}:{time}")
    return " ".join(parts)


def size_and_time(reference: Path) -> tuple[int, int]:
    """Return how many bytes a ``reference`` has, and when it was changed, in ns. Raises `InputError`."""
    try:
        found = reference.stat()
    except OSError as error:
        raise InputError(
            f"{reference}: the reference cannot be reached: {error.strerror or error}", advice="Check --reference."
        ) from error
    return found.st_size, found.st_mtime_ns
