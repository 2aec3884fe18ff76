"""The output folder: who may work on it, in how many shards, what dead runs left in it, and how much room it has."""

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
# Readers that look whether a run is at work hold the lock for a moment.
_PATIENCE = 1.0
_SHARD = re.compile(r"shard-[0-9]+-of-([0-9]+)")
_LEDGERS = "ledger*.sqlite3"
_UNITS = ("kB", "MB", "GB", "TB", "PB")


def home(output: Path, shard: Shard | None) -> Path:
    """Return the folder for what a run keeps beside its results; every shard of an archive has one of its own."""
    folder = output / HOME
    return folder if shard is None else folder / f"shard-{shard.index}-of-{shard.count}"


def own_folders(output: Path) -> Iterator[Path]:
    """Yield the folder for what runs keep beside the results in ``output``, and those in it that they write into."""
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
    """What a run holds of its output folder: the lock of the whole, or a share of it and the lock of its shard."""

    held: tuple[Held, ...]

    def check(self) -> None:
        """Raise `LockedError` if another run took any of it over, see `Held.check`."""
        for one in self.held:
            one.check()


@contextmanager
def locked(output: Path, *, shard: Shard | None = None) -> Iterator[OutputLock]:
    """Hold the lock of ``output``, or of one shard of it, for the block; folders that are missing are made.

    A run over the whole excludes all others. Runs over shards exclude runs over the whole, and each itself: they work
    side by side, every one with a ledger of its own. The file says who holds it; it is left behind, empty. In the block
    no file below ``output`` gets its name once another run took the lock over. Raises `LockedError` if another run
    holds the lock, `UsageError` if the folder was begun in another number of shards,
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
    """Say whether no run is at work on this shard of ``output``, on any machine. Writes nothing."""
    try:
        with (home(output, shard) / LOCK).open("rb") as file:
            lock_file(file, SHARED | NO_WAIT)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def shard_count(output: Path) -> int | None:
    """Return in how many shards the results in ``output`` are made, 1 for the whole; None if no run began yet.

    If the file that says it is lost, the ledgers tell. Raises `OutputError` if that cannot be read.
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
    """Return the shards that the results in ``output`` are made in, None for the whole. Raises `OutputError`."""
    count = shard_count(output) or 1
    return [None] if count == 1 else [Shard(index=index, count=count) for index in range(1, count + 1)]


def check_shards(output: Path, shard: Shard | None) -> None:
    """Raise `UsageError` if the results in ``output`` are made in another number of shards than ``shard`` is of.

    Which shard a source belongs to depends on their number: with another one, results would be made twice, and those
    of changed sources would stay as they are.
    """
    known, asked = shard_count(output), shard.count if shard else 1
    if known is None or known == asked:
        return
    before = "without --shard" if known == 1 else f"in {known:,} shards (--shard I/{known})"
    now = "without --shard" if shard is None else f"in {asked:,}"
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
            # Of several runs that begin at the same moment, one decides.
            if not path.exists():
                raise
            check_shards(output, shard)


@contextmanager
def filling_bag(output: Path) -> Iterator[Callable[[], bool]]:
    """Take part in filling the bag ``output``; the function that is given says once whether no other run still does.

    To call it is to say that one's own run is over. Of the runs that end at the same time one gets True, and others
    that begin wait until the block ends: what lies in the bag does not change. Raises `OutputError`.
    """
    path = home(output, None) / BAG_LOCK
    with opened(path, output) as file:
        lock(file, path, SHARED)

        def is_last() -> bool:
            # In two steps, for in one a network share may keep what is held when it refuses more.
            lock(file, path, UNLOCK)
            try:
                lock(file, path, EXCLUSIVE | NO_WAIT)
            except BlockingIOError:
                return False
            return True

        yield is_last


def delete_partial_files(folders: Iterable[Path], *, older_than: float = 0.0) -> int:
    """Delete the unfinished files in ``folders`` that were not written for ``older_than`` seconds; return how many.

    The segments of films stay: with them a film resumes. Call this only while no other run can be at work in
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
    """Yield ``output`` and all folders in it, but for the segments of films."""
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
    """Return the bytes that this user can still write to the disk that holds ``folder``, or will.

    Raises `OutputError` if the disk does not answer.
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
    """Return ``count`` bytes for people, in decimal units: ``812 bytes``, ``5.4 GB``."""
    if count < 1000:
        return f"{count:.0f} bytes"
    power = next((power for power in range(1, len(_UNITS)) if count < 999.95 * 1000**power), len(_UNITS))
    return f"{count / 1000**power:.1f} {_UNITS[power - 1]}"
