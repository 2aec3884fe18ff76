"""The ledger file and its snapshot: their location, schema, how they are opened, and errors for the user."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from io import FileIO
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from urllib.parse import quote_from_bytes

from pipeline.archive.output_folder import home, is_at_rest
from pipeline.archive.run_options import Shard
from pipeline.errors import OutputError
from pipeline.originals import NO_ORIGINALS, check_own
from pipeline.publish import publishing

logger = logging.getLogger(__name__)

LEDGER, SNAPSHOT = "ledger.sqlite3", "ledger-snapshot.sqlite3"
VERSION = 4
APPLICATION = 0x41434C47
_PATIENCE = 30.0
_BLOCK = 1 << 20
_LOCK_BYTES = 1 << 30
# Suffixes of the files that SQLite writes beside a ledger.
_BESIDE = ("-wal", "-shm", "-journal")
# Two bytes of the header (https://www.sqlite.org/fileformat.html, 1.3) say that there may be a write-ahead log. A
# snapshot has none, so that any SQLite reader can open it without write access.
_AS_IT_IS = "mode=ro&immutable=1"
_JOURNAL_MODE, _NO_LOG = 18, b"\1\1"
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE items (
    path PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    output NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    deaths INTEGER NOT NULL DEFAULT 0,
    progress INTEGER NOT NULL DEFAULT 0,
    source_size INTEGER NOT NULL,
    source_mtime_ns INTEGER NOT NULL,
    source_sha256 TEXT NOT NULL DEFAULT '',
    recipe TEXT NOT NULL,
    result_size INTEGER,
    result_mtime_ns INTEGER,
    result_sha256 TEXT,
    engine TEXT,
    started REAL,
    seconds REAL,
    result TEXT,
    previews TEXT,
    pack INTEGER,
    pack_offset INTEGER,
    error NOT NULL DEFAULT '',
    advice NOT NULL DEFAULT '',
    exit_code INTEGER NOT NULL DEFAULT 0,
    weight INTEGER NOT NULL,
    replaces INTEGER NOT NULL,
    planned INTEGER NOT NULL
);
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    started REAL NOT NULL,
    ended REAL,
    outcome TEXT NOT NULL DEFAULT '',
    exit_code INTEGER,
    version TEXT NOT NULL,
    options TEXT NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,
    kept INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    left_out TEXT NOT NULL DEFAULT '{{}}'
);
CREATE INDEX items_by_state ON items (state, path);
CREATE INDEX items_by_pack ON items (pack);
CREATE INDEX items_unsealed ON items (path) WHERE state = 'done' AND result_sha256 IS NULL;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""
_START_ANEW = (
    "Restore it from a backup, or move it elsewhere (with its -wal and -shm): a new one is begun then, and the "
    "results that are there are kept and not made again."
)


class DamagedLedgerError(OutputError):
    """The file is not a ledger, or is incomplete: retrying would not help."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the ledger at ``path`` for a run, creating it if needed.

    Raises `OutputError`, and `UsageError` if it or one of SQLite's logs beside it is a link: they are modified in
    place.
    """
    with reporting(path):
        for own in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in _BESIDE)):
            check_own(own)
        if not path.exists():
            logger.info("%s: a new ledger", path)
            _make(path)
        # In exclusive mode SQLite keeps the index of its log in memory instead of a memory-mapped file, which would end
        # the process with SIGBUS when a network file system loses its locks.
        connection = _opened(path, path, "mode=rw", "PRAGMA locking_mode = EXCLUSIVE")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except BaseException:
            connection.close()
            raise
        return connection


def connect_snapshot(
    output: Path, shard: Shard | None
) -> tuple[sqlite3.Connection, TemporaryDirectory[str] | None] | None:
    """Open a read-only view of a ledger without disturbing its run; return None if there is no ledger yet.

    The ledger itself belongs to its run: on a network share, a write-ahead log growing on another machine looks like
    damage. So readers get the snapshot that the run last published or, if no run is in progress but the last one died,
    a copy of the ledger in a temporary folder, which is returned as well. Nothing is written elsewhere. Raises
    `OutputError`.
    """
    path, snapshot = home(output, shard) / LEDGER, home(output, shard) / SNAPSHOT
    with reporting(path):
        if has_news(path, snapshot):
            found = _opened_copy(path, lambda copy: _copied(output, shard, path, copy), "mode=rw")
            if found is not None:
                logger.debug("%s: read as a copy, no run is at work", path)
                return found
        if snapshot.exists():
            if sys.platform == "win32":
                # Windows cannot replace a file that is open, so readers open a copy.
                return _opened_copy(snapshot, lambda copy: _copy(snapshot, copy), _AS_IT_IS)
            return _opened(snapshot, snapshot, _AS_IT_IS, "PRAGMA query_only = ON"), None
    return None


def _opened_copy(
    path: Path, copied: Callable[[Path], bool], mode: str
) -> tuple[sqlite3.Connection, TemporaryDirectory[str]] | None:
    """Open a temporary copy of ``path``, made by ``copied``, for reading; None if that returns False."""
    scratch = TemporaryDirectory(prefix="autochrome-")
    try:
        copy = Path(scratch.name, path.name)
        if copied(copy):
            return _opened(copy, path, mode, "PRAGMA query_only = ON"), scratch
    except BaseException:
        scratch.cleanup()
        raise
    scratch.cleanup()
    return None


def publish_snapshot(connection: sqlite3.Connection, path: Path, whole: FileIO) -> None:
    """Publish the state of the ledger at ``path`` to readers, replacing the last snapshot. Raises `OutputError`.

    ``whole`` is the file at ``path``, open for unbuffered reading.
    """
    snapshot = path.with_name(SNAPSHOT)
    with publishing(snapshot, overwrite=True, originals=NO_ORIGINALS) as temporary:
        _busy, logged, folded = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if logged == folded and not _covers_locks(path):
            # The file is complete and has no other writer: this is ten times as fast as copying page by page.
            whole.seek(0)
            with temporary.open("wb") as file:
                shutil.copyfileobj(whole, file, _BLOCK)
                file.seek(_JOURNAL_MODE)
                file.write(_NO_LOG)
            return
        with closing(sqlite3.connect(temporary, isolation_level=None)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")


def _covers_locks(path: Path) -> bool:
    """Return whether SQLite's locks lie within the file, on a system where locks block reading the bytes they cover.

    That is Windows; SQLite itself never reads those bytes (https://www.sqlite.org/fileformat.html, 1.4).
    """
    return sys.platform == "win32" and path.stat().st_size > _LOCK_BYTES


def has_news(path: Path, snapshot: Path) -> bool:
    """Return whether the ledger is newer than its snapshot: a run that ends well leaves an up-to-date one."""
    if not path.exists():
        return False
    log = _log_of(path)
    return not snapshot.exists() or (log.exists() and log.stat().st_size > 0)


def _copied(output: Path, shard: Shard | None, path: Path, copy: Path) -> bool:
    """Copy a ledger that has no active run; return False if it has one, or had one meanwhile."""
    if not is_at_rest(output, shard=shard):
        return False
    log = _log_of(path)
    before = _stats(path, log)
    for source, target in ((path, copy), (log, _log_of(copy))):
        if source.exists():
            _copy(source, target)
    return is_at_rest(output, shard=shard) and _stats(path, log) == before


def _copy(source: Path, target: Path) -> bool:
    with source.open("rb") as reading, target.open("wb") as writing:
        shutil.copyfileobj(reading, writing, _BLOCK)
    return True


def _stats(*paths: Path) -> list[tuple[int, int]]:
    return [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path.exists()]


def _opened(path: Path, named: Path, mode: str, pragma: str) -> sqlite3.Connection:
    """Open the file at ``path`` with ``pragma``; errors refer to ``named``."""
    connection = sqlite3.connect(
        f"{as_uri(path.absolute())}?{mode}",
        uri=True,
        timeout=_PATIENCE,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute(pragma)
        _check(connection, named)
    except BaseException:
        connection.close()
        raise
    return connection


def as_uri(path: PurePath) -> str:
    """Return the absolute ``path`` as a URI for SQLite.

    SQLite rejects URIs with a host, the usual form for network shares, so the path is quoted as the system writes it.
    """
    return f"file:{quote_from_bytes(os.fsencode(path), safe='')}"


def _make(path: Path) -> None:
    # A ledger gets its name only once it has its tables, so that a run may die at any moment, and never has two names,
    # as files published without overwriting have for a moment: the lock keeps others from creating one.
    with (
        publishing(path, overwrite=True, originals=NO_ORIGINALS) as temporary,
        closing(sqlite3.connect(temporary)) as connection,
    ):
        connection.executescript(_SCHEMA)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise DamagedLedgerError(f"{path}: is not a ledger of Autochrome", advice=_START_ANEW)
    if version > VERSION:
        raise OutputError(
            f"{path}: was written by a newer Autochrome (version {version} of the ledger; this one knows {VERSION})",
            advice="Update Autochrome.",
        )
    if version < VERSION:
        raise OutputError(f"{path}: is of version {version}, which this Autochrome cannot read", advice=_START_ANEW)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    if path.stat().st_size < pages * size and not _log_of(path).exists():
        raise DamagedLedgerError(f"{path}: is damaged: its end is missing", advice=_START_ANEW)


def check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Read the whole ledger, which takes seconds for a million items. Raises `OutputError` if it is damaged."""
    (found,) = connection.execute("PRAGMA quick_check(items)").fetchone()
    if found != "ok":
        raise DamagedLedgerError(f"{path}: is damaged: {found}", advice=_START_ANEW)


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Turn SQLite and disk errors into `OutputError`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OutputError(
            f"{path}: the ledger cannot be used: {error}",
            advice="Check free space and permissions of this folder, and that its disk is not read-only.",
        ) from error
    except sqlite3.DatabaseError as error:
        raise DamagedLedgerError(f"{path}: is damaged: {error}", advice=_START_ANEW) from error
    except OSError as error:
        raise OutputError(
            f"{error.filename or path}: cannot be written: {error.strerror or error}",
            advice="Check free space and permissions.",
        ) from error
