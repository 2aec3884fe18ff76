"""Delete and replace files that a process may have open: POSIX allows it, Windows refuses while they are open."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

# Seconds within which a process that only reads a file will have closed it.
_PATIENCE = 5.0
_PAUSE = 0.05


def delete(path: Path) -> None:
    """Delete the file at ``path``, if it exists. Raises `OSError`; on Windows also if it stays open for seconds."""
    patiently(lambda: path.unlink(missing_ok=True))


def delete_locked(file: IO[Any], path: Path) -> None:
    """Delete the file at ``path``, which is open and locked as ``file``, and close it.

    No other process can lock it in between: on Windows, where it must be closed first, it is not deleted if another
    process has opened it by then. Raises `OSError`.
    """
    if sys.platform == "win32":
        file.close()
        with suppress(PermissionError):
            path.unlink(missing_ok=True)
    else:
        path.unlink(missing_ok=True)
        file.close()


def is_in_use(error: BaseException | None) -> bool:
    """Return whether ``error`` may mean that the file to be deleted or replaced is open elsewhere."""
    return sys.platform == "win32" and isinstance(error, PermissionError)


def patiently(act: Callable[[], None]) -> None:
    """Call ``act``, which deletes or replaces a file, and retry for some seconds if Windows refuses."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return act()
        except PermissionError as error:
            if not is_in_use(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)
