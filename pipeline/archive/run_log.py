"""The log of a run as JSON Lines: one object per line, for machines. docs/operations.md describes every event."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.documents import to_json
from pipeline.errors import OutputError, UsageError
from pipeline.originals import Originals
from pipeline.progress import Progress
from pipeline.results import Note


class Event(StrEnum):
    """The event that a line of the log reports."""

    RUN_STARTED = "run_started"
    ITEM_STARTED = "item_started"
    ITEM_DONE = "item_done"
    ITEM_FAILED = "item_failed"
    ITEM_RETRIED = "item_retried"
    ITEM_QUARANTINED = "item_quarantined"
    ITEM_REFUSED = "item_refused"
    NOTE = "note"
    MESSAGE = "message"
    RUN_ENDED = "run_ended"
    REPORTED = "reported"


# The schema: the fields of every event besides "ts" and "event", all of them always present.
FIELDS: Mapping[Event, frozenset[str]] = {
    Event.RUN_STARTED: frozenset(
        {"run", "version", "source", "output", "options", "run_options", "waiting", "skipped"}
    ),
    Event.ITEM_STARTED: frozenset({"run", "path", "kind", "attempt"}),
    Event.ITEM_DONE: frozenset({"run", "path", "kind", "output", "seconds", "engine", "notes"}),
    Event.ITEM_FAILED: frozenset({"run", "path", "kind", "error", "advice", "exit_code", "attempts"}),
    Event.ITEM_RETRIED: frozenset({"run", "path", "kind", "error", "exit_code"}),
    Event.ITEM_QUARANTINED: frozenset({"run", "path", "kind", "error", "attempts"}),
    Event.ITEM_REFUSED: frozenset({"run", "path", "kind", "error", "advice"}),
    Event.NOTE: frozenset({"run", "path", "kind", "text"}),
    Event.MESSAGE: frozenset({"run", "text"}),
    Event.RUN_ENDED: frozenset(
        {"run", "outcome", "exit_code", "done", "kept", "failed", "skipped", "gone", "waiting", "seconds"}
    ),
    Event.REPORTED: frozenset({"source", "output", "outcome", "exit_code", "items", "shards", "again", "seconds"}),
}


_BEGINS = b'{"ts": "'


class RunLog:
    """Appends lines to ``path``; with None, writes nothing. Use it in a ``with`` block.

    Raises `UsageError` if the file is an original or not a log, `OutputError` if it cannot be opened or written.
    """

    def __init__(self, path: Path | None, *, originals: Originals) -> None:
        self._path, self._originals = path, originals
        self._file: FileIO | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            self._originals.check(self._path)
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("ab+", buffering=0)
                self._refuse_other_content(self._file)
            except OSError as error:
                raise self._refused(error) from error
        return self

    def _refuse_other_content(self, file: FileIO) -> None:
        """Refuse a file with other content, or with other names: lines are appended in place."""
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            return
        file.seek(0)
        start = file.read(len(_BEGINS))
        # An empty file with several hard links may not be ours.
        if start != _BEGINS and (start or state.st_nlink > 1):
            file.close()
            self._file = None
            raise UsageError(
                f"{self._path}: is not a log of this program; nothing was written",
                advice="Name another file with --log.",
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def write(self, event: str, **fields: Any) -> None:
        """Append one line with the time, ``event`` and its ``fields``, and flush it to the disk.

        Fields are written as by ``--json``. Raises `ValueError` unless they are those in `FIELDS`.
        """
        expected = FIELDS[Event(event)]
        if fields.keys() != expected:
            raise ValueError(f"{event}: its fields are {sorted(expected)}, not {sorted(fields)}")
        if self._file is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"ts": now, "event": str(event), **to_json(fields)}, allow_nan=False)
        content = f"{line}\n".encode("ascii")
        try:
            # A single write, so that runs that share a log do not interleave their lines.
            if self._file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._path}: the log cannot be written: {error.strerror or error}",
            advice="Check free space and permissions, or name another file with --log.",
        )


class Reporter:
    """Forwards the events of a run, one call at a time, and logs messages. Can be shared between threads."""

    def __init__(self, progress: Progress, log: RunLog, source: Path, run: int) -> None:
        self._progress, self._log, self._source, self._run = progress, log, source, run
        self._turn = threading.RLock()

    def write(self, event: Event, **fields: Any) -> None:
        """Write ``event`` of this run to the log."""
        with self._turn:
            self._log.write(event, run=self._run, **fields)

    def begin(self, item: str, total: int | None, unit: str) -> None:
        """Forward."""
        with self._turn:
            self._progress.begin(item, total, unit)

    def advance(self, item: str, count: int = 1) -> None:
        """Forward."""
        with self._turn:
            self._progress.advance(item, count)

    def end(self, item: str) -> None:
        """Forward."""
        with self._turn:
            self._progress.end(item)

    def say(self, text: str) -> None:
        """Forward and log."""
        with self._turn:
            self._progress.say(text)
            self.write(Event.MESSAGE, text=text)

    def note(self, item: str, note: Note) -> None:
        """Forward and log."""
        path = Path(item)
        name = path.relative_to(self._source).as_posix() if path.is_relative_to(self._source) else item
        with self._turn:
            self._progress.note(item, note)
            self.write(Event.NOTE, path=name, kind=note.kind, text=note.text)
