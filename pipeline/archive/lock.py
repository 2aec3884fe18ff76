"""Who may work on an output folder: locks that the system lets go of when their process dies."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.archive.ledger_file import home
from pipeline.archive.run_options import Shard
from pipeline.locks import held, lock, opened

LOCK, BAG_LOCK = "lock", "bag-lock"


@contextmanager
def locked(output: Path, *, shard: Shard | None = None) -> Iterator[None]:
    """Hold the lock of ``output`` for the block; folders that are missing are made.

    A whole run excludes all others. The shards of a run exclude whole runs and each itself: they work side by side,
    every one with a ledger of its own. The file tells who holds it; it is left behind, and says nothing then. Raises
    `LockedError` if another run holds the lock, `OutputError` if the folder cannot be written or its disk has no locks.
    """
    with ExitStack() as stack:
        stack.enter_context(held(home(output, None) / LOCK, output, shared=shard is not None))
        if shard is not None:
            stack.enter_context(held(home(output, shard) / LOCK, output, shared=False))
        yield


@contextmanager
def filling_bag(output: Path) -> Iterator[Callable[[], bool]]:
    """Take part in filling the bag ``output``; the function that is given says once whether no other run still does.

    To ask it is to say that one's own part is over. Of the shards that end at the same time one is told so, and others
    that begin wait until the block ends: what lies in the bag stands still. Raises `OutputError`.
    """
    path = home(output, None) / BAG_LOCK
    with opened(path, output) as file:
        lock(file, path, fcntl.LOCK_SH)

        def is_last() -> bool:
            # In two steps, for in one a network share may keep what is held when it refuses more.
            lock(file, path, fcntl.LOCK_UN)
            try:
                lock(file, path, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        yield is_last
