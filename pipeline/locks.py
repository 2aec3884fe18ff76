"""Lock files: one run at a time. The operating system holds the lock and releases it when the process dies."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from pipeline.errors import LockedError, OutputError
from pipeline.file_locks import EXCLUSIVE, NO_WAIT, SHARED, lock_file
from pipeline.open_files import delete_locked
from pipeline.originals import check_own
from pipeline.os_errors import unwritable

logger = logging.getLogger(__name__)

_ADVICE = "Wait for it to end, or stop it. A run that died holds nothing: the lock goes with its process."
_TRIES = 10
_PAUSE = 0.05
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class NoLocksError(OutputError):
    """The disk does not support file locks."""


class Held:
    """A held lock file; ``content`` is the text its holder wrote into it, "" for shared locks.

    ``is_written`` is false if the disk did not accept that text; the content of the file then means nothing. If
    ``is_to_go`` is set, the file is deleted when the lock is released. It is passed to worker processes for `check`.
    """

    def __init__(self, path: Path, subject: Path, content: str) -> None:
        self._path, self._subject, self._content = path, subject, content
        self.is_written = True
        self.is_to_go = False

    def check(self) -> None:
        """Raise `LockedError` if another run has since taken the lock.

        Network disks allow that when this machine was disconnected for longer than they keep locks; disks without locks
        between machines allow it at any time.
        """
        if self.is_written and not self.is_ours():
            raise LockedError(
                f"{self._subject}: another run took it over{_described(self._path)}",
                advice="Was this machine cut off from its disk? Finished work is kept; the other run does the rest.",
            )

    def is_ours(self) -> bool:
        """Return whether the file still contains what this holder wrote, as far as it can be read."""
        try:
            return self._path.read_text(encoding="utf-8") == self._content
        except FileNotFoundError:
            return False
        except (OSError, ValueError):
            # Other problems with the disk are reported where it is used.
            return True


@contextmanager
def held(path: Path, subject: Path, *, shared: bool = False, patience: float = 0.0) -> Iterator[Held]:
    """Hold the lock file ``path`` for the block, exclusively or ``shared``, creating missing folders.

    ``subject`` is what errors refer to. The file names its exclusive holder; on release it is emptied, or deleted if
    the holder asks for that. Because checking whether a lock is held also holds it for a moment, taking it is retried
    for ``patience`` seconds. Raises `LockedError` if another run holds it, `NoLocksError`, `OutputError` if it cannot
    be written, `UsageError` if it is a link.
    """
    how = (SHARED if shared else EXCLUSIVE) | NO_WAIT
    with _opened_and_locked(path, subject, how, time.monotonic() + patience) as file:
        content = "" if shared else _holder()
        lock_held = Held(path, subject, content)
        try:
            lock_held.is_written = _write(file, content)
            logger.debug("%s: locked%s", path, ", shared" if shared else "")
            yield lock_held
        finally:
            if lock_held.is_to_go:
                delete_locked(file, path)
            elif not shared and lock_held.is_ours():
                _write(file, "")


@contextmanager
def _opened_and_locked(path: Path, subject: Path, how: int, deadline: float) -> Iterator[IO[str]]:
    while True:
        with opened(path, subject) as file:
            try:
                lock(file, path, how)
            except BlockingIOError as error:
                if time.monotonic() < deadline:
                    time.sleep(_PAUSE)
                    continue
                raise LockedError(
                    f"{subject}: another run is working on it{_described(path)}", advice=_ADVICE
                ) from error
            # A run that has just ended may have deleted the file; a lock on the deleted file would exclude nobody.
            if _is_still(file, path):
                yield file
                return


def _is_still(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def opened(path: Path, subject: Path) -> IO[str]:
    """Open the lock file ``path`` without locking it. Raises `OutputError`, and `UsageError` if it is a link."""
    try:
        for _ in range(_TRIES):
            # A run that has just ended may remove its folder after we found it to exist.
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                return _made(path)
        return _made(path)
    except OSError as error:
        raise unwritable(subject, error) from error


def _made(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    check_own(path)
    return path.open("a+", encoding="utf-8")


def lock(file: IO[str], path: Path, how: int) -> None:
    """Lock or unlock ``file``.

    Raises `BlockingIOError` if it is locked and ``how`` does not wait, `NoLocksError`, `OutputError`.
    """
    try:
        lock_file(file, how)
    except BlockingIOError:
        raise
    except OSError as error:
        kind = NoLocksError if error.errno in _UNSUPPORTED else OutputError
        raise kind(
            f"{path}: cannot be locked: {error.strerror or error}",
            advice="Mount the disk of the output folder with file locks, or write to another one.",
        ) from error


def _holder() -> str:
    # Containers may share a host name and a process id.
    only = secrets.token_hex(8)
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": round(time.time()), "id": only})


def _write(file: IO[str], text: str) -> bool:
    """Write ``text`` and sync, so that other machines see it; return False if the disk refuses, which ends no run."""
    handle, content = file.fileno(), text.encode()
    try:
        os.ftruncate(handle, 0)
        is_written = os.write(handle, content) == len(content)
    except OSError:
        return False
    # A disk that cannot sync still holds the text.
    with contextlib.suppress(OSError):
        os.fsync(handle)
    return is_written


def _described(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        since = datetime.fromtimestamp(holder["started"]).isoformat(" ", "minutes")
        return f" (process {holder['pid']} on {holder['host']}, since {since})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
