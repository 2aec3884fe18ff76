"""Record the outcome of every item in the ledger, the log and its sidecar, and count it."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from pipeline.archive.context import RunContext
from pipeline.archive.counts import Counts
from pipeline.archive.executors import Lost, Outcome
from pipeline.archive.fingerprints import FileStat
from pipeline.archive.ledger import FOLDER_KIND, Record, State
from pipeline.archive.provenance import (
    STILL_CHANGING,
    Sealed,
    sealed,
    vanished,
    with_commands,
)
from pipeline.archive.report.previews import Packs
from pipeline.archive.run_log import Event
from pipeline.archive.run_options import MAY_PASS
from pipeline.archive.walk import Kind
from pipeline.documents import result_from_json
from pipeline.errors import InputError
from pipeline.film.segment_folder import bytes_in_segments
from pipeline.os_errors import says_no_file
from pipeline.results import Failure, FilmResult, PhotoResult
from pipeline.wording import count

logger = logging.getLogger(__name__)

# A full disk, colliding names, a failing engine, missing packages or weights: not the fault of the item that met them.
_NOT_ITS_OWN = {2, 5, 6, 8, 9, 75}
_LOOKED_AT = 1 << 20
_Reported: TypeAlias = PhotoResult | FilmResult | Failure | Sealed


@dataclass(frozen=True)
class _Begun:
    record: Record
    stat: FileStat | None
    at: float


class Outcomes:
    """The outcomes of one run. ``counts`` counts its plan, ``done`` what was coloured, ``kept`` what was copied.

    Photographs and films are copied if they are already coloured, or their tint is wanted.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._begun: dict[Path, _Begun] = {}
        self._packs = Packs(context.home, originals=context.originals)
        self._free_since = time.monotonic()
        self.counts = Counts()
        self.done = {Kind.PHOTO: 0, Kind.FILM: 0}
        self.kept = {Kind.PHOTO: 0, Kind.FILM: 0}

    def begin(self, record: Record, *, attempt: int) -> None:
        """Record that work on an item starts, and the current size and time of its source."""
        source = self._context.source / record.path
        progress = bytes_in_segments(self._context.output / record.output) if record.kind == Kind.FILM else 0
        self._context.ledger.begin(record.path, progress=progress)
        self._begun[source] = _Begun(record, FileStat.found(source), time.monotonic())
        self._context.reporter.write(Event.ITEM_STARTED, path=record.path, kind=record.kind, attempt=attempt)

    def put_off_stopped(self) -> list[str]:
        """Put off the items that were begun and have no outcome; return those that cannot have a result of this run."""
        left = [begun.record for begun in self._begun.values()]
        for record in left:
            self._context.ledger.put_off(record.path)
        return [record.path for record in left if not (self._context.output / record.output).exists()]

    def finish(self, outcome: Outcome, *, may_retry: bool) -> str | None:
        """Record ``outcome``; return the kind of the item, or None if it will be retried in this run."""
        begun = self._begun.pop(outcome.source)
        if isinstance(outcome, Lost):
            self._context.ledger.lost(begun.record.path)
            return None
        record, now = begun.record, time.monotonic()
        # Photographs overlap: each is charged the time since the previous one.
        seconds = now - (max(begun.at, self._free_since) if record.kind == Kind.PHOTO else begun.at)
        self._free_since = now
        outcome = self._checked(outcome, begun.stat)
        logger.debug("%s: %s in %.2f s", record.path, "failed" if isinstance(outcome, Failure) else "done", seconds)
        if not isinstance(outcome, Failure):
            self._keep(begun, outcome, seconds)
        elif outcome.exit_code in MAY_PASS and may_retry:
            logger.warning("%s: to be tried again, exit code %d: %s", record.path, outcome.exit_code, outcome.error)
            self._context.reporter.say(f"to be tried again: {outcome.error}")
            why = {"error": outcome.error, "exit_code": outcome.exit_code}
            self._context.reporter.write(Event.ITEM_RETRIED, path=record.path, kind=record.kind, **why)
            self._context.ledger.put_off(record.path)
            return None
        else:
            self.fail(record.path, record.kind, record.attempts, outcome, seconds=seconds)
        self._context.ledger.publish_snapshot(if_due=True)
        return record.kind

    def give_up(self, record: Record) -> None:
        """Record that an item is to blame, after several workers were lost while working on it."""
        source = self._context.source / record.path
        error = f"{source}: {count(record.deaths, 'worker')} lost at work on it"
        advice = "Process it in a separate folder to see why, then repair the file, or raise --quarantine-after."
        failure = Failure(source=source, error=error, advice=advice, exit_code=InputError.exit_code)
        self.fail(record.path, record.kind, record.attempts, failure, seconds=0.0)

    def discard_unused_previews(self) -> None:
        """Delete the thumbnails that no item needs any more."""
        self._packs.discard(self._context.ledger.packs())

    def seal_unsealed(self) -> None:
        """Seal the items that an earlier run finished but, because it died, did not seal."""
        for record in self._context.ledger.unsealed():
            source, output = self._context.source / record.path, self._context.output / record.output
            stat, found = FileStat.found(source), FileStat.found(output)
            if record.result and stat and found and (stat, found) == (record.source_stat, record.result_stat):
                result = result_from_json(record.result)
                self._seal(record.path, sealed(result, self._context, path=record.path, source=stat, found=found))

    def _checked(self, outcome: _Reported, before: FileStat | None) -> _Reported:
        """Return ``outcome``, or a failure if the source has changed since work on it began."""
        source, now = outcome.source, FileStat.found(outcome.source)
        if now == before:
            return outcome
        if not isinstance(outcome, Failure):
            self._context.ledger.check_lock()
            with suppress(OSError):
                (outcome.result if isinstance(outcome, Sealed) else outcome).output.unlink()
        what = "is gone" if now is None else "changed while it was read"
        return Failure(source=source, error=f"{source}: {what}", advice=STILL_CHANGING, exit_code=InputError.exit_code)

    def _keep(self, begun: _Begun, found: PhotoResult | FilmResult | Sealed, seconds: float) -> None:
        record, ledger = begun.record, self._context.ledger
        # A new file may become visible to other machines with a delay.
        outcome = found.result if isinstance(found, Sealed) else found
        result = found.result_stat if isinstance(found, Sealed) else FileStat.found(outcome.output)
        if result is None or begun.stat is None:
            self.fail(record.path, record.kind, record.attempts, vanished(outcome), seconds=seconds)
            return
        if not isinstance(found, Sealed):
            outcome = with_commands(outcome, self._context, record.path)
        packed = self._packs.keep(record.path, outcome.previews)
        started = time.time() - seconds
        ledger.done(
            record.path, outcome, source=begun.stat, result=result, started=started, seconds=seconds, packed=packed
        )
        (self.done if outcome.has_new_colour else self.kept)[Kind(record.kind)] += 1
        self._context.reporter.write(
            Event.ITEM_DONE,
            path=record.path,
            kind=record.kind,
            output=record.output,
            seconds=round(seconds, 3),
            engine=outcome.engine,
            notes=outcome.notes,
        )
        self._seal(
            record.path,
            found
            if isinstance(found, Sealed)
            else sealed(outcome, self._context, path=record.path, source=begun.stat, found=result),
        )

    def _seal(self, path: str, found: Sealed) -> None:
        if found.failure is not None:
            # The result exists; the next run will notice what is missing.
            self.counts.fail(found.failure)
            self._context.reporter.say(f"done, but {found.failure.error}")
            return
        self._context.ledger.seal(path, source_sha256=found.source_sha256, result_sha256=found.result_sha256)

    def fail(self, path: str, kind: str, attempts: int, failure: Failure, *, seconds: float) -> None:
        """Record that an item failed, after ``attempts`` earlier failures, or was refused."""
        reporter = self._context.reporter
        own = not failure.refused and failure.exit_code not in _NOT_ITS_OWN and kind != FOLDER_KIND
        # A file that cannot be read may be intact: it is retried whenever it can be opened.
        if own and failure.unreadable:
            own = False
        elif own and _is_out_of_reach(self._context.source / path):
            own, failure = False, replace(failure, advice="Check its permissions and its disk.")
        limit = self._context.run_options.quarantine_after if own else None
        state = self._context.ledger.failed(path, failure, seconds=seconds, quarantine_after=limit)
        if failure.refused:
            self.counts.refused += 1
            reporter.say(f"refused: {failure.error}")
            why = {"error": failure.error, "advice": failure.advice}
            reporter.write(Event.ITEM_REFUSED, path=path, kind=kind, **why)
            return
        self.counts.fail(failure)
        reporter.say(f"failed: {failure.error}")
        what = {"path": path, "kind": kind, "error": failure.error, "attempts": attempts + own}
        reporter.write(Event.ITEM_FAILED, **what, advice=failure.advice, exit_code=failure.exit_code)
        if state is State.QUARANTINED:
            reporter.write(Event.ITEM_QUARANTINED, **what)


def _is_out_of_reach(path: Path) -> bool:
    """Return whether a file exists at ``path`` that cannot be read at present: permissions, a failing share or disk."""
    try:
        with path.open("rb") as file:
            file.read(_LOOKED_AT)
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOOKED_AT))
            file.read(_LOOKED_AT)
    except OSError as error:
        return not says_no_file(error)
    return False
