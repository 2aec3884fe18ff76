"""Fences: an abandoned worker may still be alive; its fence keeps it from giving any file its final name.

A fence is a file that says "open" while its worker is trusted. The worker holds it shared while it gives a file its
name; the driver locks it exclusively, empties and deletes it, before handing the worker's items to another. So a worker
that was merely paused has either published before that, or never does. This relies on file locks, which network disks
have too.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.file_locks import EXCLUSIVE, NO_WAIT, SHARED, lock_file
from pipeline.open_files import delete_locked
from pipeline.os_errors import writing

FOLDER = "workers"
_SUFFIX = ".fence"
_NAME = re.compile(rf"[0-9a-f]{{16}}{re.escape(_SUFFIX)}")
_OPEN = b"open"
_PAUSE = 0.05


class FencedError(OutputError):
    """The worker was abandoned; its items now belong to another one."""

    exit_code = 75


def raise_fence(home: Path) -> Path:
    """Create a fence for a new worker below ``home`` and return its path. Raises `OutputError`."""
    path = home / FOLDER / f"{secrets.token_hex(8)}{_SUFFIX}"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(_OPEN)
    return path


def close_fence(path: Path, *, patience: float = 60.0) -> bool:
    """Stop the worker behind ``path`` from publishing; return False if it still is after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with path.open("rb+") as file:
                lock_file(file, EXCLUSIVE | NO_WAIT)
                # Windows cannot delete a file that the worker has open. Truncating it needs no space on a full disk.
                file.truncate(0)
                delete_locked(file, path)
                return True
        except FileNotFoundError:
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)


def close_all_fences(home: Path, *, patience: float = 60.0) -> bool:
    """Close the fences of workers that may have survived dead runs below ``home``."""
    fences = (path for path in (home / FOLDER).glob(f"*{_SUFFIX}") if _NAME.fullmatch(path.name))
    closed = [close_fence(path, patience=patience) for path in fences]
    return all(closed)


@contextmanager
def behind(path: Path) -> Iterator[None]:
    """Hold the fence ``path`` while a file gets its name. Raises `FencedError` if it was closed."""
    try:
        with path.open("rb") as file:
            lock_file(file, SHARED)
            with suppress(FileNotFoundError):
                if file.read() == _OPEN and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    yield
                    return
    except FileNotFoundError:
        pass
    raise FencedError(f"{path}: the run has abandoned this worker, which can no longer publish")
