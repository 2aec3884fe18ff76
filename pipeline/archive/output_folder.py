"""The output folder: its lock, its number of shards, leftovers of dead runs, and its free space."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.archive.run_options import Shard
from pipeline.errors import OutputError, UsageError
from pipeline.file_locks import EXCLUSIVE, NO_WAIT, SHARED, UNLOCK, lock_file
from pipeline.locks import Held, held, lock, opened
from pipeline.open_files import delete
from pipeline.originals import NO_ORIGINALS
from pipeline.publish import HOME, PARTIAL, PARTIAL_PREFIX, names_checked, publishing

LOCK, BAG_LOCK, SHARDS = "lock", "bag-lock", "shards.json"
# Readers that check whether a run is in progress hold the lock for a moment.
_PATIENCE = 1.0
_SHARD = re.compile(r"shard-[0-9]+-of-([0-9]+)")
_LEDGERS = "ledger*.sqlite3"
_UNITS = ("kB", "MB", "GB", "TB", "PB")


def home(output: Path, shard: Shard | None) -> Path:
    """Return the folder for files that a run keeps beside its results; every shard of an archive has its own."""
    folder = output / HOME
    return folder if shard is None else folder / f"shard-{shard.index}-of-{shard.count}"


def own_folders(output: Path) -> Iterator[Path]:
    """Yield the folder for files that runs keep beside the results in ``output``, and its subfolders they write to."""
    whole = home(output, None)
    yield whole
    for folder in _folders_in(whole):
        yield folder
        if folder.name.startswith("shard-"):
            yield from _folders_in(folder)


def _folders_in(folder: Path) -> list[Path]:
    return [folder / name for name in _names_in(folder) if (folder / name).is_dir()]


@dataclass(frozen=True)
class OutputLock:
    """A run's hold on its output folder: the lock of the whole, or a share of it and the lock of its shard."""

    held: tuple[Held, ...]

    def check(self) -> None:
        """Raise `LockedError` if another run took over any of it, see `Held.check`."""
        for one in self.held:
            one.check()


@contextmanager
def locked(output: Path, *, shard: Shard | None = None) -> Iterator[OutputLock]:
    """Hold the lock of ``output``, or of one shard of it, for the block, creating missing folders.

    A run over the whole excludes all others. Runs over shards exclude runs over the whole and other runs of the same
    shard; different shards run in parallel, each with its own ledger. The lock file names its holder; afterwards it is
    left empty. In the block no file below ``output`` gets its name once another run has taken over the lock. Raises
    `LockedError` if another run holds the lock, `UsageError` if the folder was begun with another number of shards,
    `OutputError` if it cannot be written or its disk has no locks.
    """
    check_shards(output, shard)
    with ExitStack() as stack:
        whole = held(home(output, None) / LOCK, output, shared=shard is not None, patience=_PATIENCE)
        own = [stack.enter_context(whole)]
        if shard is not None:
            own.append(stack.enter_context(held(home(output, shard) / LOCK, output, patience=_PATIENCE)))
        _pin_shards(output, shard)
        output_lock = OutputLock(tuple(own))
        with names_checked(output, output_lock.check):
            yield output_lock


def is_at_rest(output: Path, *, shard: Shard | None) -> bool:
    """Return whether no run is in progress on this shard of ``output``, on any machine. Writes nothing."""
    try:
        with (home(output, shard) / LOCK).open("rb") as file:
            lock_file(file, SHARED | NO_WAIT)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def shard_count(output: Path) -> int | None:
    """Return the number of shards of the results in ``output``, 1 for the whole; None if no run has begun.

    If the file that stores it is lost, the ledgers tell. Raises `OutputError` if neither can be read.
    """
    path = home(output, None) / SHARDS
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["shards"])
    except (FileNotFoundError, NotADirectoryError):
        return _count_by_ledgers(output)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: cannot be read: {error}", advice="Restore it from a backup.") from error


def _count_by_ledgers(output: Path) -> int | None:
    whole = home(output, None)
    counts = {1} if any(whole.glob(_LEDGERS)) else set()
    for path in whole.glob(f"shard-*/{_LEDGERS}"):
        if found := _SHARD.fullmatch(path.parent.name):
            counts.add(int(found[1]))
    if len(counts) > 1:
        raise OutputError(
            f"{whole / SHARDS}: is lost, and there are ledgers of {' and of '.join(map(str, sorted(counts)))} shards",
            advice="Restore it from a backup, or move the ledgers that do not belong here elsewhere.",
        )
    return min(counts, default=None)


def shards_of(output: Path) -> list[Shard | None]:
    """Return the shards of the results in ``output``, None for the whole. Raises `OutputError`."""
    count = shard_count(output) or 1
    return [None] if count == 1 else [Shard(index=index, count=count) for index in range(1, count + 1)]


def check_shards(output: Path, shard: Shard | None) -> None:
    """Raise `UsageError` if the results in ``output`` were made with a different number of shards than ``shard`` has.

    The number of shards decides which one a source belongs to: with another number, results would be made twice, and
    those of changed sources would not be updated.
    """
    known, wanted = shard_count(output), shard.count if shard else 1
    if known is None or known == wanted:
        return
    before = "without --shard" if known == 1 else f"in {known:,} shards (--shard I/{known})"
    now = "without --shard" if shard is None else f"in {wanted:,}"
    raise UsageError(
        f"{output}: was begun {before}, and cannot be continued {now}",
        advice="Continue it as it was begun, or name a new folder with --output.",
    )


def _pin_shards(output: Path, shard: Shard | None) -> None:
    check_shards(output, shard)
    path = home(output, None) / SHARDS
    if not path.exists():
        try:
            with publishing(path, overwrite=False, originals=NO_ORIGINALS) as temporary:
                temporary.write_text(json.dumps({"shards": shard.count if shard else 1}), encoding="utf-8")
        except (OutputError, UsageError):
            # If several runs start at the same moment, one of them decides.
            if not path.exists():
                raise
            check_shards(output, shard)


@contextmanager
def filling_bag(output: Path) -> Iterator[Callable[[], bool]]:
    """Take part in filling the bag ``output``; the yielded function, called once, tells whether all others are done."""
    path = home(output, None) / BAG_LOCK
    with opened(path, output) as file:
        lock(file, path, SHARED)

        def is_last() -> bool:
            # In two steps, because in a single one a network share may keep the old lock when it refuses the new one.
            lock(file, path, UNLOCK)
            try:
                lock(file, path, EXCLUSIVE | NO_WAIT)
            except BlockingIOError:
                return False
            return True

        yield is_last


def delete_partial_files(folders: Iterable[Path], *, older_than: float = 0.0) -> int:
    """Delete unfinished files in ``folders`` not written to for ``older_than`` seconds; return their number.

    Film segments are kept, since a film resumes from them. Call this only while no other run can be working in
    ``folders``, or with an age beyond doubt. Raises `OutputError`.
    """
    latest, count = time.time() - older_than, 0
    for folder in folders:
        for name in filter(PARTIAL.fullmatch, _names_in(folder)):
            path = folder / name
            try:
                if older_than and path.stat().st_mtime > latest:
                    continue
                delete(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise OutputError(
                    f"{path}: left by a run that died, cannot be deleted: {error.strerror or error}",
                    advice="Check the permissions of its folder.",
                ) from error
            count += 1
    return count


def folders_below(output: Path) -> Iterator[Path]:
    """Yield ``output`` and all folders in it, except those of film segments."""
    for folder, inner, _files in os.walk(output):
        inner[:] = [name for name in inner if not name.startswith(PARTIAL_PREFIX)]
        yield Path(folder)


def _names_in(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def check_space(folder: Path, *, keep_free: int, needed: int = 0) -> None:
    """Raise `OutputError` unless ``needed`` bytes fit on the disk of ``folder`` and leave ``keep_free`` bytes free.

    ``folder`` need not exist yet.
    """
    free = free_space(folder)
    if free - needed >= keep_free:
        return
    wanted = f", and {as_size(needed)} are needed" if needed else ""
    raise OutputError(
        f"{folder}: {as_size(free)} are free on its disk, {as_size(keep_free)} must stay free{wanted}",
        advice="Make room or choose another disk; --keep-free sets how much stays free.",
    )


def free_space(folder: Path) -> int:
    """Return the bytes that this user can write to the disk that holds, or will hold, ``folder``.

    Raises `OutputError` if the disk does not respond.
    """
    known = folder.absolute()
    while not known.exists() and known != known.parent:
        known = known.parent
    try:
        return shutil.disk_usage(known).free
    except OSError as error:
        raise OutputError(
            f"{folder}: its free space cannot be read: {error.strerror or error}",
            advice="Check that its disk is mounted.",
        ) from error


def as_size(count: float) -> str:
    """Format ``count`` bytes for people, in decimal units: ``812 bytes``, ``5.4 GB``."""
    if count < 1000:
        return f"{count:.0f} bytes"
    power = next((power for power in range(1, len(_UNITS)) if count < 999.95 * 1000**power), len(_UNITS))
    return f"{count / 1000**power:.1f} {_UNITS[power - 1]}"
