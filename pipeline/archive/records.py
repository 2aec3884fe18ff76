"""What becomes of every item: written into the ledger, the log and its sidecar, told and counted."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.archive import preview_store
from pipeline.archive.dry_run import Counts
from pipeline.archive.fingerprints import Stamp, fingerprint
from pipeline.archive.ledger import Ledger, Planned, Record, State
from pipeline.archive.plan import Job, Refused, Standing
from pipeline.archive.provenance import write_sidecar
from pipeline.archive.run_log import Event, Journal
from pipeline.archive.run_options import Orders
from pipeline.archive.walk import Entry, Kind
from pipeline.documents import result_from_json
from pipeline.errors import InputError, OutputError
from pipeline.options import Options
from pipeline.originals import Originals
from pipeline.progress import Progress
from pipeline.results import Failure, FilmResult, Note, PhotoResult

# A full disk, names that collide, packages and weights that are missing: no fault of the one item that met them.
_NOT_ITS_OWN = {2, 5, 8, 9}
_MAY_PASS = {5, 6, 75}
_STILL_CHANGING = "Wait until it is copied whole: the next run takes it again."


@dataclass(frozen=True)
class _Begun:
    record: Record
    stamp: Stamp | None
    at: float


class Heard:
    """Passes what happens on, one call at a time, and writes what is said into the log. Threads may share it."""

    def __init__(self, progress: Progress, journal: Journal, root: Path) -> None:
        self._progress, self._journal, self._root = progress, journal, root
        self._turn = threading.RLock()
        self.run = 0

    def write(self, event: Event, **fields: Any) -> None:
        """Write ``event`` of this run into the log."""
        with self._turn:
            self._journal.write(event, run=self.run, **fields)

    def begin(self, item: str, total: int | None, unit: str) -> None:
        """Pass on."""
        with self._turn:
            self._progress.begin(item, total, unit)

    def advance(self, item: str, count: int = 1) -> None:
        """Pass on."""
        with self._turn:
            self._progress.advance(item, count)

    def end(self, item: str) -> None:
        """Pass on."""
        with self._turn:
            self._progress.end(item)

    def say(self, text: str) -> None:
        """Pass on and write down."""
        with self._turn:
            self._progress.say(text)
            self.write(Event.MESSAGE, text=text)

    def note(self, item: str, note: Note) -> None:
        """Pass on and write down."""
        path = Path(item)
        name = path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else item
        with self._turn:
            self._progress.note(item, note)
            self.write(Event.NOTE, path=name, kind=note.kind, text=note.text)


class Records:
    """The books of one run over ``source``; ``counts`` counts, ``done`` by kind."""

    def __init__(
        self, source: Path, output: Path, options: Options, orders: Orders, ledger: Ledger, heard: Heard
    ) -> None:
        self._source, self._output, self._options, self._orders = source, output, options, orders
        self._ledger, self._heard = ledger, heard
        self._begun: dict[Path, _Begun] = {}
        self._free_since = time.monotonic()
        self.counts = Counts()
        self.done = {Kind.PHOTO: 0, Kind.FILM: 0}

    def plan(self, run: int, items: list[Job | Refused | Entry]) -> None:
        """Queue the jobs among ``items`` for ``run``, and write down and count the others."""
        jobs = [item for item in items if isinstance(item, Job)]
        refused = [item for item in items if isinstance(item, Refused)]
        self._ledger.plan(run, [*(_planned(job) for job in jobs if job.is_to_do), *map(_planned, refused)])
        for item in refused:
            self._fail(item.path, item.kind, item.attempts, item.failure, seconds=0.0)
        for one in items:
            if not isinstance(one, Refused):
                self.counts.add(one, self._source)
        for job in jobs:
            record, found = job.record, job.found
            if record is None or found is None or job.standing is not Standing.DONE:
                continue
            if (record.source_stamp, record.result_stamp) != (job.stamp, found):
                self._ledger.restamp(job.path, source=job.stamp, result=found)

    def begin(self, record: Record, *, chance: int) -> None:
        """Write down that work on an item begins, and how its source looks now."""
        source = self._source / record.path
        self._begun[source] = _Begun(record, _stamp(source), time.monotonic())
        self._heard.write(Event.ITEM_STARTED, path=record.path, kind=record.kind, attempt=chance)

    def unfinished(self) -> list[str]:
        """Return the items that have begun, have no outcome, and cannot have a result of this run."""
        left = [begun.record for begun in self._begun.values()]
        return [record.path for record in left if not (self._output / record.output).exists()]

    def book(self, outcome: PhotoResult | FilmResult | Failure, *, is_last_chance: bool) -> bool:
        """Write down ``outcome``; return False if the item is to be tried once more in this run."""
        begun = self._begun.pop(outcome.source)
        record, now = begun.record, time.monotonic()
        # Photographs overlap: each is given the time since the one before it.
        seconds = now - (max(begun.at, self._free_since) if record.kind == Kind.PHOTO else begun.at)
        self._free_since = now
        outcome = self._checked(outcome, begun.stamp)
        if not isinstance(outcome, Failure):
            self._keep(begun, outcome, seconds)
        elif outcome.exit_code in _MAY_PASS and not is_last_chance:
            self._heard.say(f"to be tried again: {outcome.error}")
            told = {"error": outcome.error, "exit_code": outcome.exit_code}
            self._heard.write(Event.ITEM_RETRIED, path=record.path, kind=record.kind, **told)
            return False
        else:
            self._fail(record.path, record.kind, record.attempts, outcome, seconds=seconds)
        return True

    def catch_up(self) -> None:
        """Seal what an earlier run finished and, because it died, did not seal."""
        for record in self._ledger.unsealed():
            source, output = self._source / record.path, self._output / record.output
            if record.result and (_stamp(source), _stamp(output)) == (record.source_stamp, record.result_stamp):
                self._seal(record.path, result_from_json(record.result), record.source_stamp)

    def _checked(
        self, outcome: PhotoResult | FilmResult | Failure, before: Stamp | None
    ) -> PhotoResult | FilmResult | Failure:
        """Return ``outcome``, or a failure if the source is no more what it was when work on it began."""
        source, now = outcome.source, _stamp(outcome.source)
        if now == before:
            return outcome
        if not isinstance(outcome, Failure):
            with suppress(OSError):
                outcome.output.unlink()
        what = "is gone" if now is None else "changed while it was read"
        return Failure(source=source, error=f"{source}: {what}", advice=_STILL_CHANGING, exit_code=InputError.exit_code)

    def _keep(self, begun: _Begun, outcome: PhotoResult | FilmResult, seconds: float) -> None:
        record, result = begun.record, _stamp(outcome.output)
        if result is None or begun.stamp is None:
            error = OutputError(f"{outcome.output}: is gone, right after it was made", advice="Check its disk.")
            self._fail(record.path, record.kind, record.attempts, Failure.of(outcome.source, error), seconds=seconds)
            return
        preview_store.keep(self._output, record.path, outcome.previews)
        started = time.time() - seconds
        self._ledger.done(record.path, outcome, source=begun.stamp, result=result, started=started, seconds=seconds)
        self.done[Kind(record.kind)] += 1
        self._heard.write(
            Event.ITEM_DONE,
            path=record.path,
            kind=record.kind,
            output=record.output,
            seconds=round(seconds, 3),
            engine=outcome.engine,
            notes=outcome.notes,
        )
        self._seal(record.path, outcome, begun.stamp)

    def _seal(self, path: str, outcome: PhotoResult | FilmResult, stamp: Stamp) -> None:
        try:
            source_sha256, result_sha256 = fingerprint(outcome.source), fingerprint(outcome.output)
            if _stamp(outcome.source) != stamp:
                raise InputError(f"{outcome.source}: changed after it was read", advice=_STILL_CHANGING)
            if self._orders.sidecars:
                write_sidecar(
                    outcome,
                    source_sha256=source_sha256,
                    result_sha256=result_sha256,
                    options=self._options,
                    root=self._source,
                    originals=Originals((self._source,)),
                )
        except Exception as error:  # noqa: BLE001 - what is wrong with one item must not stop the rest
            # The result is there; the next run sees that this is missing.
            failure = Failure.of(outcome.source, error)
            self.counts.fail(failure)
            self._heard.say(f"done, but {failure.error}")
            return
        self._ledger.seal(path, source_sha256=source_sha256, result_sha256=result_sha256)

    def _fail(self, path: str, kind: str, attempts: int, failure: Failure, *, seconds: float) -> None:
        own = not failure.refused and failure.exit_code not in _NOT_ITS_OWN and kind in set(Kind)
        limit = self._orders.quarantine_after if own else None
        state = self._ledger.failed(path, failure, seconds=seconds, quarantine_after=limit)
        if failure.refused:
            self.counts.refused += 1
            self._heard.say(f"refused: {failure.error}")
            why = {"error": failure.error, "advice": failure.advice}
            self._heard.write(Event.ITEM_REFUSED, path=path, kind=kind, **why)
            return
        self.counts.fail(failure)
        self._heard.say(f"failed: {failure.error}")
        told = {"path": path, "kind": kind, "error": failure.error, "attempts": attempts + own}
        self._heard.write(Event.ITEM_FAILED, **told, advice=failure.advice, exit_code=failure.exit_code)
        if state is State.QUARANTINED:
            self._heard.write(Event.ITEM_QUARANTINED, **told)


def _planned(item: Job | Refused) -> Planned:
    return Planned(
        path=item.path,
        kind=item.kind,
        output=item.name,
        source=item.stamp,
        recipe=item.recipe,
        attempts=item.attempts,
        weight=item.weight if isinstance(item, Job) else 0,
        replaces=isinstance(item, Job) and item.standing is Standing.STALE,
    )


def _stamp(path: Path) -> Stamp | None:
    try:
        return Stamp.of(path)
    except OSError:
        return None
