"""Deleting and replacing files that a process has open: POSIX does at once, Windows refuses as long as that lasts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

# Seconds in which one who only reads a file has closed it.
_PATIENCE = 5.0
_PAUSE = 0.05


def delete(path: Path) -> None:
    """Delete the file at ``path``, if there is one. Raises `OSError`: on Windows if others have it open for seconds."""
    patiently(lambda: path.unlink(missing_ok=True))


def delete_locked(file: IO[Any], path: Path) -> None:
    """Delete the file at ``path``, which is open and locked as ``file``, and close it.

    No other process gets hold of it in between: on Windows, where it must be closed first, one that opened it by then
    keeps it from being deleted. Raises `OSError`.
    """
    if sys.platform == "win32":
        file.close()
        with suppress(PermissionError):
            path.unlink(missing_ok=True)
    else:
        path.unlink(missing_ok=True)
        file.close()


def is_in_use(error: BaseException | None) -> bool:
    """Say whether ``error`` can mean that others have the file open that was to be deleted or replaced."""
    return sys.platform == "win32" and isinstance(error, PermissionError)


def patiently(act: Callable[[], None]) -> None:
    """Do ``act``, which deletes or replaces a file; again, for some seconds, where Windows does not let it."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return act()
        except PermissionError as error:
            if not is_in_use(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)
