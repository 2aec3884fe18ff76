"""A run over a whole archive: every photograph and film of a tree, into an identical tree beside it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.archive.bag import begin_bag, complete_bag
from pipeline.archive.closing import SOME_FAILED, Step, write_in_order
from pipeline.archive.context import RunContext, archive_at
from pipeline.archive.counts import NAMED
from pipeline.archive.executors import executor_for
from pipeline.archive.ledger import RunEnd, RunOutcome, ShardRecord, all_shards, open_ledger
from pipeline.archive.metrics import (
    Figures,
    known_figures,
    metrics_of_failed_start,
    shard_label,
    write_metrics,
)
from pipeline.archive.outcomes import Outcomes
from pipeline.archive.output_folder import (
    delete_partial_files,
    filling_bag,
    folders_below,
    free_space,
    home,
    locked,
)
from pipeline.archive.processing import Processing
from pipeline.archive.queueing import check_any, keep_decision, queue_all, report_plan
from pipeline.archive.report import write_report
from pipeline.archive.run_log import Event, Reporter, RunLog
from pipeline.archive.run_options import RunOptions
from pipeline.archive.walk import Kind
from pipeline.callbacks import guarded
from pipeline.color.colorizer import Colorizer, fingerprint
from pipeline.documents import to_json
from pipeline.errors import AutochromeError
from pipeline.file_systems import network_file_system
from pipeline.interruption import Cancelled, StopReason, StopRequest
from pipeline.options import Options
from pipeline.progress import Progress, Silent
from pipeline.results import Failure
from pipeline.version import program_version

logger = logging.getLogger(__name__)

_LONG_AGO = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class ArchiveResult:
    """Summary of a run; the outcome of each item is in the ledger (`pipeline.archive.ledger.read_ledger`).

    ``photos`` and ``films`` were coloured, ``kept`` ones got no new colour: they are already coloured, their tint is
    wanted, or a saturation of 0 was requested. ``skipped`` results existed before; of these, ``unknown`` are files not
    known to be ours. ``quarantined`` sources failed in too many runs and have no result, ``quarantined_sources`` lists
    the first thousand of them; ``refused`` ones are of a kind that is deliberately not coloured; neither count as
    failed. ``gone`` sources existed in an earlier run. ``waiting`` items are left for the next run, because of the
    deadline or a stop request. ``ignored`` files are neither photograph nor film, ``ignored_suffixes`` counts them by
    suffix; ``hidden`` files and folders were left out. ``failed`` counts the failures, of which ``failures`` holds the
    first thousand. ``report`` is the path of the report, None if none was requested. ``exit_code`` is the command's
    exit code.
    """

    source: Path
    output: Path
    photos: int
    films: int
    kept: int
    failed: int
    failures: tuple[Failure, ...]
    skipped: int
    unknown: int
    quarantined: int
    quarantined_sources: tuple[Path, ...]
    refused: int
    gone: int
    waiting: int
    ignored: int
    ignored_suffixes: Mapping[str, int]
    hidden: int
    seconds: float
    report: Path | None
    outcome: RunOutcome
    exit_code: int


def colorize_archive(
    source: Path | str,
    output: Path | str | None = None,
    options: Options | None = None,
    *,
    run_options: RunOptions | None = None,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
    stop: StopRequest | None = None,
) -> ArchiveResult:
    """Colour every photograph and film under ``source`` into the same tree under ``output``.

    Photographs come first, then films, longest first and ``run_options.jobs`` at a time. Work finished by an earlier
    run is skipped, unless its source, the options that affect it, the weights or the program changed; then the old
    result is kept until the new one replaces it. A file under a result's name that is not known to be ours is kept,
    unless ``options.overwrite``. A file that cannot be coloured becomes a `Failure` and the rest continues; errors of
    the run as a whole (folders, engine, weights, a full disk, another run: `LockedError`) are raised. When
    ``run_options.until`` has passed or ``stop`` is made, current work is finished, for a film the current segment, and
    the rest waits for the next run. The run may be killed at any moment, or be cancelled by ``progress``: the next one
    resumes. An engine is opened only if there is work for it, unless ``colorizer`` is given, which is left open.
    """
    archive = archive_at(source, output, options, run_options)
    source, output, options, run_options = archive.source, archive.output, archive.options, archive.run_options
    stop = StopRequest() if stop is None else stop
    stop.until = stop.until or run_options.until
    with metrics_of_failed_start(archive) as begun:
        archive.check()
        if not output.exists():
            # A wrong path must not leave an output folder behind.
            check_any(archive)
        with (
            locked(output, shard=run_options.shard) as lock,
            open_ledger(output, shard=run_options.shard, lock=lock) as ledger,
            RunLog(run_options.log, originals=archive.originals) as log,
            guarded(progress or Silent(), stop) as events,
        ):
            settings = {
                "source": str(source.absolute()),
                "options": to_json(options),
                "run_options": to_json(run_options),
            }
            run = ledger.begin_run(version=program_version(), options=settings)
            begun()
            context = RunContext(
                source=source,
                output=output,
                options=options,
                run_options=run_options,
                ledger=ledger,
                reporter=Reporter(events, log, source, run),
                stop=stop,
                run=run,
            )
            return _Run(context).carry_out(colorizer)


class _Run:
    """One run, from the moment it holds the lock."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._started = time.time()
        self._clock = time.monotonic()
        self._outcomes = Outcomes(context)
        self._processing = Processing(context, self._outcomes)
        self._gone = 0
        self._report: Path | None = None

    def carry_out(self, colorizer: Colorizer | None) -> ArchiveResult:
        stop = self._context.stop
        try:
            self._work(colorizer)
        except BaseException as error:
            if isinstance(error, Cancelled) and stop.error is not None:
                self._end(stop.error)
                raise stop.error from None
            self._end(error)
            raise
        if stop.reason is StopReason.ASKED:
            return self._close(RunOutcome.INTERRUPTED, stop.exit_code)
        counts = self._outcomes.counts
        code = SOME_FAILED if counts.failed or counts.quarantined else 0
        outcome = RunOutcome.UNTIL if stop.reason is StopReason.TIME else RunOutcome.FINISHED
        return self._close(outcome, code)

    def _end(self, error: BaseException) -> None:
        exit_code = getattr(error, "exit_code", 1)
        if isinstance(error, Cancelled | KeyboardInterrupt):
            end = RunEnd(outcome=RunOutcome.INTERRUPTED, exit_code=exit_code)
        else:
            end = RunEnd(outcome=None, exit_code=exit_code, error=type(error).__name__)
        # Report the error that ended the run, even if its end cannot be recorded on the disk.
        with suppress(AutochromeError):
            self._write_end(end)

    def _work(self, colorizer: Colorizer | None) -> None:
        context = self._context
        if kind := network_file_system(context.output):
            context.reporter.say(
                f"{context.output} is on a network file system ({kind}): what keeps runs on other machines from it are "
                "its locks, if it passes them on as NFS 4 and SMB do"
            )
        if context.ledger.has_news:
            context.ledger.publish_snapshot()
        if context.run_options.verify_all:
            context.ledger.check()
        # Other shards may be in progress.
        delete_partial_files(self._left_folders(), older_than=_LONG_AGO if context.run_options.shard else 0.0)
        with ExitStack() as stack:
            if context.run_options.bag:
                is_last = stack.enter_context(filling_bag(context.output))
                begin_bag(context.output, originals=context.originals)
            self._outcomes.seal_unsealed()
            keep_decision(context)
            network = fingerprint(context.options) if colorizer is None else colorizer.spec.fingerprint
            self._gone = queue_all(context, self._outcomes, network=network)
            report_plan(context, self._outcomes.counts, gone=self._gone)
            if any(self._outcomes.counts.jobs.values()) and not context.is_asked_to_stop:
                context.ledger.publish_snapshot()
                try:
                    with executor_for(context, colorizer, network=network) as executor:
                        self._processing.work(executor)
                finally:
                    if context.run_options.shard is None:
                        context.ledger.check_lock()
                        delete_partial_files(self._processing.lost_folders)
            if context.stop.error is not None:
                raise context.stop.error
            context.ledger.check_lock()
            self._outcomes.discard_unused_previews()
            if context.run_options.bag and is_last():
                with self._shards() as shards:
                    complete_bag(context.output, shards, originals=context.originals)

    def _left_folders(self) -> Iterable[Path]:
        """Return the folders in which dead runs may have left unfinished files."""
        context = self._context
        if context.run_options.verify_all:
            return folders_below(context.output)
        names = {record.output.rpartition("/")[0] for record in context.ledger.unfinished()}
        own = (context.output, home(context.output, None), context.home)
        return {*own, *(context.output / name for name in names)}

    def _close(self, outcome: RunOutcome, exit_code: int) -> ArchiveResult:
        self._write_end(RunEnd(outcome=outcome, exit_code=exit_code))
        return self._result(outcome, exit_code)

    def _write_end(self, end: RunEnd) -> None:
        """Record how the run ended, consistently in ledger, report, log and, last, the metrics.

        A write that fails turns a run that did all its work into a failed one, and what was written before is written
        again. Raises `OutputError`.
        """
        self._processing.release_unfinished()
        steps = [
            Step(self._end_ledger),
            Step(self._write_report, mentions_end=False),
            Step(self._end_log),
            Step(self._write_metrics),
        ]
        write_in_order(steps, end)

    def _shards(self) -> AbstractContextManager[list[ShardRecord]]:
        context = self._context
        return all_shards(context.output, shard=context.run_options.shard, own=context.ledger)

    def _end_ledger(self, end: RunEnd) -> None:
        counts = self._outcomes.counts
        left_out = {
            "ignored": dict(counts.suffixes.most_common()),
            "hidden": counts.hidden_count,
            "hidden_names": [str(path) for path in counts.hidden[:NAMED]],
        }
        ledger = self._context.ledger
        logger.info("%s: run %s, exit code %d, %s", self._context.output, end.word, end.exit_code, self._counts())
        ledger.end_run(self._context.run, end, left_out=left_out, **self._counts())
        ledger.publish_snapshot()

    def _write_report(self, _end: RunEnd) -> None:
        context = self._context
        if context.run_options.report:
            with self._shards() as shards:
                for damage in filter(None, (shard.damage for shard in shards)):
                    context.reporter.say(f"not in the report: {damage}. {damage.advice}")
                self._report = write_report(context, shards)

    def _end_log(self, end: RunEnd) -> None:
        ended = {"outcome": end.word, "exit_code": end.exit_code, "gone": self._gone, "seconds": self._seconds}
        waiting = self._context.ledger.left(self._context.run)
        self._context.reporter.write(Event.RUN_ENDED, **ended, waiting=waiting, **self._counts())

    def _write_metrics(self, end: RunEnd) -> None:
        context = self._context
        if context.run_options.metrics is not None:
            figures = Figures(
                archive=str(context.output),
                shard=shard_label(context.run_options),
                version=program_version(),
                started=self._started,
                seconds=self._seconds,
                exit_code=end.exit_code,
                free_bytes=free_space(context.output),
                **known_figures(context.ledger),
                **self._counts(),
            )
            write_metrics(context.run_options.metrics, figures, originals=context.originals)

    @property
    def _seconds(self) -> float:
        return round(time.monotonic() - self._clock, 3)

    def _counts(self) -> dict[str, Any]:
        counts, kept = self._outcomes.counts, sum(self._outcomes.kept.values())
        done = sum(self._outcomes.done.values()) + kept
        return {"done": done, "kept": kept, "failed": counts.failed, "skipped": counts.skipped}

    def _result(self, outcome: RunOutcome, exit_code: int) -> ArchiveResult:
        counts, outcomes = self._outcomes.counts, self._outcomes
        return ArchiveResult(
            source=self._context.source,
            output=self._context.output,
            photos=outcomes.done[Kind.PHOTO],
            films=outcomes.done[Kind.FILM],
            kept=sum(outcomes.kept.values()),
            failed=counts.failed,
            failures=tuple(counts.failures),
            skipped=counts.skipped,
            unknown=counts.unknown,
            quarantined=counts.quarantined,
            quarantined_sources=tuple(counts.quarantined_sources),
            refused=counts.refused,
            gone=self._gone,
            waiting=self._context.ledger.left(self._context.run),
            ignored=counts.ignored,
            ignored_suffixes=dict(counts.suffixes),
            hidden=counts.hidden_count,
            seconds=self._seconds,
            report=self._report,
            outcome=outcome,
            exit_code=exit_code,
        )
