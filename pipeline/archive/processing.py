"""The order of work: photographs in shared batches, then films, longest first, then items that runs died with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path, PurePosixPath

from pipeline.archive.context import RunContext
from pipeline.archive.executors import Executor, Lost, Outcome, Unit
from pipeline.archive.ledger import Record
from pipeline.archive.outcomes import Outcomes
from pipeline.archive.output_folder import as_size, check_space
from pipeline.archive.walk import Kind
from pipeline.errors import OutputError
from pipeline.wording import count

WHOLE, PHOTOS = "archive", "photos"
# Number of photographs claimed at once: each claim waits for the disk.
_CLAIMS = 64


class Processing:
    """Hands the items queued in the ledger to an executor, and the outcomes to ``outcomes``, until all are done.

    It ends early when the run's `StopRequest` is made, by others, or here when the disk is too full.
    """

    def __init__(self, context: RunContext, outcomes: Outcomes) -> None:
        self._context, self._outcomes = context, outcomes
        self._claimed: dict[str, None] = {}
        # Space needed, by path: items too large for the disk while others are not.
        self._too_large: dict[str, int] = {}
        # By path: the number of workers lost while working on it; and those that a lost worker may still be working on.
        self._losses: Counter[str] = Counter()
        self._held: set[str] = set()

    def work(self, executor: Executor) -> None:
        """Do all jobs; failures that may be temporary are retried after the others of their kind.

        Items that a run died with come last, one at a time: if one kills this run too, the rest is done, and the
        culprit is known. Raises `OutputError` at the end if some items were left for lack of space.
        """
        jobs, reporter = self._outcomes.counts.jobs, self._context.reporter
        attempts = range(1, self._context.run_options.retry + 2)
        reporter.begin(WHOLE, sum(jobs.values()), "items")
        if jobs[Kind.PHOTO]:
            reporter.begin(PHOTOS, jobs[Kind.PHOTO], "photos")
            for attempt in attempts:
                if not self._photos(executor, attempt):
                    break
        for attempt in attempts:
            if not self._films(executor, attempt):
                break
        self._suspects(executor)
        if jobs[Kind.PHOTO]:
            reporter.end(PHOTOS)
        reporter.end(WHOLE)
        self._check_all_fitted()
        self._check_none_is_held()

    @property
    def lost_folders(self) -> set[Path]:
        """Folders in which lost workers may have left unfinished files."""
        records = filter(None, map(self._context.ledger.get, self._losses))
        return {(self._context.output / record.output).parent for record in records}

    def release_unfinished(self) -> None:
        """Release items that were claimed and not begun, or begun and stopped."""
        self._context.ledger.release([*self._claimed, *self._outcomes.put_off_stopped()])

    def _photos(self, executor: Executor, attempt: int) -> int:
        """Do the photographs that have no outcome; return how many should be retried."""
        put_off = 0
        for replaces in (False, True):
            queue = self._context.ledger.queue(self._context.run, Kind.PHOTO, replaces=replaces)
            units = self._claimed_in_pages(queue, attempt, replaces=replaces)
            put_off += self._keep(executor.photos(units, replaces=replaces), attempt)
        return put_off

    def _films(self, executor: Executor, attempt: int) -> int:
        """Do the films that have no outcome; return how many should be retried."""
        films = self._claimed_one_by_one(self._context.ledger.heaviest(self._context.run, Kind.FILM), attempt)
        return self._keep(executor.films(films, alone=False), attempt)

    def _suspects(self, executor: Executor) -> None:
        for path, replaces in self._context.ledger.suspects(self._context.run):
            attempt, put_off = 1, 1
            while put_off and attempt <= self._context.run_options.retry + 1 and path not in self._held:
                record, losses = self._context.ledger.get(path), self._losses[path]
                if record is None:
                    break
                if losses and record.deaths >= self._context.run_options.quarantine_after:
                    self._outcomes.give_up(record)
                    break
                replaces = replaces or losses > 0
                units = self._claimed_one_by_one([(path, replaces)], attempt)
                is_photo = record.kind == Kind.PHOTO
                outcomes = executor.photos(units, replaces=replaces) if is_photo else executor.films(units, alone=True)
                put_off = self._keep(outcomes, attempt)
                # Losing a worker is not a failure of the item.
                attempt += self._losses[path] == losses

    def _keep(self, outcomes: Generator[Outcome | None, None, None], attempt: int) -> int:
        """Record outcomes; return how many of the items should be retried."""
        put_off = 0
        with closing(outcomes):
            for outcome in outcomes:
                if outcome is None:
                    continue
                if isinstance(outcome, Lost):
                    path = outcome.source.relative_to(self._context.source).as_posix()
                    self._losses[path] += 1
                    if not outcome.is_safe:
                        self._held.add(path)
                is_last = attempt > self._context.run_options.retry
                kind = self._outcomes.finish(outcome, may_retry=not is_last)
                if kind is None:
                    put_off += 1
                    continue
                if kind == Kind.PHOTO:
                    self._context.reporter.advance(PHOTOS)
                self._context.reporter.advance(WHOLE)
        return put_off

    def _claimed_in_pages(self, records: Iterable[Record], attempt: int, *, replaces: bool) -> Iterator[Unit]:
        records = iter(records)
        while self._goes_on() and (page := list(islice(records, _CLAIMS))):
            page = [record for record in page if self._fits(record)]
            paths = [record.path for record in page]
            self._claimed.update(dict.fromkeys(paths))
            self._context.ledger.claim(paths)
            for record in page:
                if not self._goes_on():
                    return
                yield self._begun(record, attempt, replaces=replaces)

    def _claimed_one_by_one(self, items: Iterable[tuple[str, bool]], attempt: int) -> Iterator[Unit]:
        for path, replaces in items:
            record = self._context.ledger.get(path)
            if record is None or not self._goes_on():
                return
            if self._fits(record):
                self._claimed[path] = None
                self._context.ledger.claim([path])
                yield self._begun(record, attempt, replaces=replaces)

    def _begun(self, record: Record, attempt: int, *, replaces: bool) -> Unit:
        self._outcomes.begin(record, attempt=attempt)
        del self._claimed[record.path]
        source, output = self._context.source / record.path, self._context.output / record.output
        item = PurePosixPath(record.path)
        correction = self._context.corrections.path_of(item)
        return Unit(source=source, output=output, replaces=replaces, correction=correction, item=item)

    def _goes_on(self) -> bool:
        """Return whether another item may be started: no stop request, time left, enough space."""
        if self._context.stop.is_made:
            return False
        try:
            check_space(self._context.output, keep_free=self._context.run_options.keep_free)
        except OutputError as error:
            self._context.stop.fail(error)
        return self._context.stop.error is None

    def _fits(self, record: Record) -> bool:
        """Return whether there is space for a result as large as its source; others may be smaller."""
        try:
            check_space(self._context.output, keep_free=self._context.run_options.keep_free, needed=record.source_size)
        except OutputError:
            self._too_large[record.path] = record.source_size
            return False
        self._too_large.pop(record.path, None)
        return True

    def _check_none_is_held(self) -> None:
        if self._held:
            raise OutputError(
                f"{self._context.output}: {count(len(self._held), 'item')} held by lost workers that may still run",
                advice="Everything else is done. Run again.",
            )

    def _check_all_fitted(self) -> None:
        if not self._too_large:
            return
        path, size = max(self._too_large.items(), key=lambda item: item[1])
        more = f", and {len(self._too_large) - 1:,} more" if len(self._too_large) > 1 else ""
        raise OutputError(
            f"{self._context.output}: there is not enough free space for {path} ({as_size(size)}){more}; "
            "everything else is done",
            advice="Make room or choose another disk; --keep-free sets how much stays free.",
        )
