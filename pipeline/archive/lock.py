"""Who may work on an output folder: locks that the system lets go of when their process dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from pipeline.archive.ledger_file import home
from pipeline.archive.run_options import Shard
from pipeline.errors import LockedError, OutputError

LOCK, BAG_LOCK = "lock", "bag-lock"
_ADVICE = "Wait for it to end, or stop it. A run that died holds nothing: the lock goes with its process."


@contextmanager
def locked(output: Path, *, shard: Shard | None = None) -> Iterator[None]:
    """Hold the lock of ``output`` for the block; folders that are missing are made.

    A whole run excludes all others. The shards of a run exclude whole runs and each itself: they work side by side,
    every one with a ledger of its own. The file tells who holds it; it is left behind, and says nothing then. Raises
    `LockedError` if another run holds the lock, `OutputError` if the folder cannot be written or its disk has no locks.
    """
    with ExitStack() as stack:
        stack.enter_context(_held(home(output, None) / LOCK, output, shared=shard is not None))
        if shard is not None:
            stack.enter_context(_held(home(output, shard) / LOCK, output, shared=False))
        yield


@contextmanager
def filling_bag(output: Path) -> Iterator[Callable[[], bool]]:
    """Take part in filling the bag ``output``; the function that is given says once whether no other run still does.

    To ask it is to say that one's own part is over. Of the shards that end at the same time one is told so, and others
    that begin wait until the block ends: what lies in the bag stands still. Raises `OutputError`.
    """
    path = home(output, None) / BAG_LOCK
    with _opened(path, output) as file:
        _lock(file, path, fcntl.LOCK_SH)

        def is_last() -> bool:
            # In two steps, for in one a network share may keep what is held when it refuses more.
            _lock(file, path, fcntl.LOCK_UN)
            try:
                _lock(file, path, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        yield is_last


@contextmanager
def _held(path: Path, output: Path, *, shared: bool) -> Iterator[None]:
    with _opened(path, output) as file:
        try:
            _lock(file, path, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(f"{output}: another run is at work on it{_described(path)}", advice=_ADVICE) from error
        try:
            _write(file, "" if shared else _holder())
            yield
        finally:
            if not shared:
                _write(file, "")


def _opened(path: Path, output: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{output}: cannot be written: {error.strerror or error}", advice="Check its permissions and its disk."
        ) from error


def _lock(file: IO[str], path: Path, how: int) -> None:
    """Lock ``file``, or let it go. Raises `BlockingIOError` where ``how`` does not wait for others, `OutputError`."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be locked: {error.strerror or error}",
            advice="Mount the disk of the output folder with file locks, or write to another one.",
        ) from error


def _holder() -> str:
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": round(time.time())})


def _write(file: IO[str], text: str) -> None:
    # What stands here is only for the message of the others: a full disk must not end the run for its sake.
    with contextlib.suppress(OSError):
        file.seek(0)
        file.truncate()
        file.write(text)
        file.flush()


def _described(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        since = datetime.fromtimestamp(holder["started"]).isoformat(" ", "minutes")
        return f" (process {holder['pid']} on {holder['host']}, since {since})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
