"""Lock files: one run at a time, held by the system, which lets go of them when their process dies."""

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
    """The disk has no file locks."""


class Held:
    """A lock file that is held; ``said`` is what its holder writes into it, "" by those who share it.

    ``is_written`` is false where the disk did not take that: what stands in the file tells nothing then. With
    ``is_to_go`` the file is deleted when the lock is let go of. Workers in other processes are given it to `check`.
    """

    def __init__(self, path: Path, subject: Path, said: str) -> None:
        self._path, self._subject, self._said = path, subject, said
        self.is_written = True
        self.is_to_go = False

    def check(self) -> None:
        """Raise `LockedError` if another run took the lock meanwhile.

        Network disks let it when this machine was cut off for longer than locks are kept there, and those without locks
        between machines let it at any time.
        """
        if self.is_written and not self.is_ours():
            raise LockedError(
                f"{self._subject}: another run took it over{_described(self._path)}",
                advice="Was this machine cut off from its disk? Finished work is kept; the other run does the rest.",
            )

    def is_ours(self) -> bool:
        """Say whether the file still says what this holder wrote, as far as it can be read."""
        try:
            return self._path.read_text(encoding="utf-8") == self._said
        except FileNotFoundError:
            return False
        except (OSError, ValueError):
            # What else is wrong with the disk tells whoever uses it.
            return True


@contextmanager
def held(path: Path, subject: Path, *, shared: bool = False, patience: float = 0.0) -> Iterator[Held]:
    """Hold the lock file ``path`` for the block, alone or ``shared``; folders that are missing are made.

    ``subject`` is what errors are about. The file tells who holds it alone; it is left behind, and says nothing then,
    or the holder deletes it. One who looks whether it is held does so for a moment: ``patience`` is for how many
    seconds it is tried again. Raises `LockedError` if another run holds it, `NoLocksError`, `OutputError` if it cannot
    be written, `UsageError` if it is a link.
    """
    how = (SHARED if shared else EXCLUSIVE) | NO_WAIT
    with _opened_and_locked(path, subject, how, time.monotonic() + patience) as file:
        said = "" if shared else _holder()
        lock_held = Held(path, subject, said)
        try:
            lock_held.is_written = _write(file, said)
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
            # One that ended meanwhile may have deleted the file: what is held then keeps nobody out.
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
            # A run that ended just now has removed its folder, maybe after it was found to be there.
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
    """Lock ``file``, or let it go.

    Raises `BlockingIOError` where ``how`` does not wait for others, `NoLocksError`, `OutputError`.
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
    # Containers may share a host's name and the number of a process.
    only = secrets.token_hex(8)
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": round(time.time()), "id": only})


def _write(file: IO[str], text: str) -> bool:
    """Write ``text``, so that other machines see it; False if the disk does not take it, which must end no run."""
    handle, content = file.fileno(), text.encode()
    try:
        os.ftruncate(handle, 0)
        is_written = os.write(handle, content) == len(content)
    except OSError:
        return False
    # A disk that does not sync holds it all the same.
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
