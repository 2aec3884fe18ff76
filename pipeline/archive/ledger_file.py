"""The ledger's file: where it lies, its tables, how it is opened, and what its errors mean to the user."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipeline.archive.run_options import Shard
from pipeline.errors import OutputError
from pipeline.originals import Originals
from pipeline.publish import publishing

HOME = ".autochrome"
LEDGER = "ledger.sqlite3"
VERSION = 2
APPLICATION = 0x41434C47
_PATIENCE = 30.0
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE items (
    path PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    output NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
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
    version TEXT NOT NULL,
    options TEXT NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX items_by_state ON items (state);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""
_START_ANEW = (
    "Restore it from a backup, or move it elsewhere (with its -wal and -shm): a new one is begun then, and the "
    "results that are there are kept and not made again."
)


def home(output: Path, shard: Shard | None) -> Path:
    """Return the folder for what a run keeps beside its results; every shard has one of its own."""
    whole = output / HOME
    return whole if shard is None else whole / f"shard-{shard.index}-of-{shard.count}"


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open the ledger at ``path``; make it if there is none, unless ``read_only``. Raises `OutputError`."""
    with reporting(path):
        if not read_only and not path.exists():
            _make(path)
        # Without a log there is no writer, and a file taken for unchanging gets no log from its readers either.
        at_rest = read_only and not path.with_name(f"{path.name}-wal").exists()
        mode = f"mode={'ro' if read_only else 'rw'}{'&immutable=1' if at_rest else ''}"
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?{mode}",
            uri=True,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _prepare(connection, path, read_only=read_only)
        except BaseException:
            connection.close()
            raise
    return connection


def _make(path: Path) -> None:
    # A ledger has its name only when it has its tables, whenever the run may die.
    with (
        publishing(path, overwrite=False, originals=Originals()) as temporary,
        closing(sqlite3.connect(temporary)) as connection,
    ):
        connection.executescript(_SCHEMA)


def _prepare(connection: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise OutputError(f"{path}: is not a ledger of Autochrome", advice=_START_ANEW)
    if version > VERSION:
        raise OutputError(
            f"{path}: was written by a newer Autochrome (version {version} of the ledger; this one knows {VERSION})",
            advice="Update Autochrome.",
        )
    if version < VERSION:
        raise OutputError(f"{path}: is of version {version}, which this Autochrome cannot read", advice=_START_ANEW)
    if not read_only:
        connection.execute("PRAGMA journal_mode = WAL")
    (found,) = connection.execute("PRAGMA quick_check(items)").fetchone()
    if found != "ok":
        raise OutputError(f"{path}: is damaged: {found}", advice=_START_ANEW)


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the disk into `OutputError`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OutputError(
            f"{path}: the ledger cannot be used: {error}",
            advice="Check free space and permissions of this folder, and that its disk is not read-only.",
        ) from error
    except sqlite3.DatabaseError as error:
        raise OutputError(f"{path}: is damaged: {error}", advice=_START_ANEW) from error
    except OSError as error:
        raise OutputError(
            f"{error.filename or path}: cannot be written: {error.strerror or error}",
            advice="Check free space and permissions.",
        ) from error
