"""Files and folders that no output may replace or be written into: the sources of a run."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError


@dataclass(frozen=True)
class Originals:
    """Source files, and folders of sources with everything below them.

    Identity is the file system's (device and inode), not the spelling of a path: symbolic and hard links, different
    letter case and bind mounts all lead to the same original.
    """

    paths: tuple[Path, ...] = ()

    def and_of(self, *paths: Path) -> Originals:
        """Return these originals and ``paths``."""
        return Originals((*self.paths, *paths))

    def check(self, target: Path) -> None:
        """Raise `UsageError` if writing ``target`` would replace an original, or a file in a folder of originals."""
        # Folders on the way that are not there yet, as in new/../scan.jpg, are created for the result.
        whole = Path(os.path.realpath(target))
        for path in self.paths:
            # Nothing can lie below a source file: the operating system rejects writes there.
            if is_same(whole, path) or (is_folder(path) and lies_in(whole, path)):
                raise UsageError(
                    f"{target}: is an original, or lies in a folder of originals ({path}); nothing was written",
                    advice="Name another place for it, outside the sources.",
                )


NO_ORIGINALS = Originals()


def check_own(path: Path) -> None:
    """Raise `UsageError` unless ``path``, which is modified in place, is a regular file with one name, or missing."""
    try:
        state = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISREG(state.st_mode) or state.st_nlink > 1:
        kind = "a hard link" if stat.S_ISREG(state.st_mode) else "a link" if path.is_symlink() else "no file"
        raise UsageError(
            f"{path}: is {kind}, and a file of this program's own is changed in place there; nothing was written",
            advice="Delete this name, which leaves other names of the file as they are. If the file is "
            "Autochrome's own, put a copy of it in its place.",
        )


def is_folder(path: Path) -> bool:
    """Return whether there is a folder at ``path``, as far as the system tells: whoever opens it gets the error."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_same(one: Path, other: Path) -> bool:
    """Return whether both paths lead to the same existing file or folder."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def lies_in(path: Path, folder: Path) -> bool:
    """Return whether ``path``, which need not exist, is the existing ``folder`` (or file) or below it by any route."""
    # Not Path.resolve(), which before Python 3.13 raises RuntimeError for links that point to themselves.
    whole = Path(os.path.realpath(path))
    return any(is_same(place, folder) for place in (whole, *whole.parents))
