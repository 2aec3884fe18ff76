"""Find the coloured pictures whose colours an item uses: those named after it, or the one given for all items.

``1931.jpg`` takes its colours from ``1931.ref.jpg``, or from any other ``1931.ref.*``, beside it. ``--reference`` names
one picture for all photographs, or a folder whose tree mirrors that of the photographs. Additional rules for films are
in `pipeline.film.reference_frames`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

from pipeline.errors import InputError
from pipeline.os_errors import is_there

MARK = ".ref."
_FOLDERS = 4


class ReferenceFiles:
    """Finds references; folder listings are cached, so create one instance per run."""

    def __init__(self, given: Path | None) -> None:
        """Use the value of ``--reference``. Raises `InputError` if it does not exist."""
        if given is not None and not is_there(given):
            raise InputError(f"{given}: no such reference", advice="Check --reference: a coloured picture or a folder.")
        self.given = given
        self.is_tree = given is not None and given.is_dir()
        self._listed: dict[Path, list[str]] = {}

    def of(self, source: Path, item: PurePath) -> tuple[Path, ...]:
        """Return the references of the photograph ``source``, whose path below the tree of sources is ``item``.

        Pictures beside it come first, then those in the given folder, then the given picture. Raises `InputError` for
        folders that cannot be listed.
        """
        found = self.named(source.parent, source.stem)
        if found or self.given is None:
            return found
        return self.named(self.given / item.parent, source.stem) if self.is_tree else (self.given,)

    def may_have_any(self, folder: Path) -> bool:
        """Return whether any photograph in ``folder`` may have references, in a single lookup. Raises `InputError`."""
        return self.given is not None or bool(self._names(folder))

    def named(self, folder: Path, stem: str) -> tuple[Path, ...]:
        """Return the references in ``folder`` for the name ``stem``. Raises `InputError`."""
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
    """Return a fingerprint of ``references`` (names, sizes and times), empty if there are none. Raises `InputError`."""
    parts = []
    for path in references:
        size, time = size_and_time(path)
        parts.append(f"{path.name}:{size}:{time}")
    return " ".join(parts)


def size_and_time(reference: Path) -> tuple[int, int]:
    """Return the size of ``reference`` in bytes and its modification time in ns. Raises `InputError`."""
    try:
        found = reference.stat()
    except OSError as error:
        raise InputError(
            f"{reference}: the reference cannot be reached: {error.strerror or error}", advice="Check --reference."
        ) from error
    return found.st_size, found.st_mtime_ns
