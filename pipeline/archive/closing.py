"""Write everything due at the end of a run, in order; `report_archive` does so alone, across all shards."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pipeline.archive.bag import complete_bag
from pipeline.archive.context import Archive, archive_at
from pipeline.archive.ledger import (
    LEDGER,
    RunEnd,
    RunOutcome,
    ShardRecord,
    ShardStatus,
    State,
    all_shards,
    to_run_again,
)
from pipeline.archive.metrics import Figures, metrics_of_failed_start, write_metrics
from pipeline.archive.output_folder import filling_bag, free_space
from pipeline.archive.report import write_report
from pipeline.archive.run_log import Event, RunLog
from pipeline.archive.run_options import RunOptions
from pipeline.errors import AutochromeError, InputError, UsageError
from pipeline.results import Failure
from pipeline.version import program_version

Write: TypeAlias = Callable[[RunEnd], None]

SOME_FAILED = 3


@dataclass(frozen=True)
class Step:
    """Something to write at the end of a run, given how it ended.

    If ``mentions_end``, its content mentions how the run ended, so it is written again when a later step fails.
    """

    write: Write
    mentions_end: bool = True


def write_in_order(steps: Sequence[Step], end: RunEnd) -> None:
    """Carry out ``steps`` in order.

    A step that fails turns a run that did all its work into a failed one: later steps report that, and earlier ones are
    repeated. All are tried, then the first error is raised.
    """
    problem: AutochromeError | None = None
    written: list[Write] = []
    for step in steps:
        try:
            step.write(end)
        except AutochromeError as error:
            problem = problem or error
            if end.exit_code in (0, SOME_FAILED):
                end = RunEnd(outcome=None, exit_code=error.exit_code, error=type(error).__name__)
                for earlier in written:
                    with suppress(AutochromeError):
                        earlier(end)
        else:
            if step.mentions_end:
                written.append(step.write)
    if problem is not None:
        raise problem


@dataclass(frozen=True, kw_only=True)
class JointReport:
    """The state of an archive: the number of ``items`` in each state, and the status of each of its ``shards``.

    ``missing``, ``running``, ``stopped``, ``failed``, ``died`` and ``damaged`` are shard numbers, from 1, see
    `ShardStatus`; ``failures`` describe the damaged ledgers. ``again`` lists the shards that another run has work in,
    as Slurm's ``--array`` takes them; empty if there are none. ``exit_code`` is 0 if all shards finished and nothing
    failed, otherwise 3.
    """

    source: Path
    output: Path
    report: Path
    shards: int
    items: Mapping[str, int]
    missing: tuple[int, ...]
    running: tuple[int, ...]
    stopped: tuple[int, ...]
    failed: tuple[int, ...]
    died: tuple[int, ...]
    damaged: tuple[int, ...]
    failures: tuple[Failure, ...]
    again: str
    bag: bool
    seconds: float
    exit_code: int


def report_archive(
    source: Path | str, output: Path | str | None = None, *, run_options: RunOptions | None = None
) -> JointReport:
    """Write the report of all shards of ``output``, the manifests of its bag, a line of the log, and the metrics.

    Nothing is coloured and no ledger is written; runs may be in progress. The report is written first and the metrics
    last; a failed write is reported by all later ones. Shards with damaged ledgers are named, and the rest is reported.
    The bag is left unchanged while a run adds to it or a shard is damaged. Raises `InputError` if there was never a
    run, `UsageError`, `OutputError`, also if no ledger can be read.
    """
    archive = archive_at(source, output, run_options=run_options)
    if archive.run_options.shard is not None:
        raise UsageError("--report-only reports on all shards", advice="Leave out --shard.")
    with metrics_of_failed_start(archive) as begun:
        archive.check()
        with (
            all_shards(archive.output) as shards,
            RunLog(archive.run_options.log, originals=archive.originals) as log,
        ):
            if all(shard.status is ShardStatus.MISSING for shard in shards):
                raise InputError(
                    f"{archive.output}: no run was made yet", advice="Check --output, or run without --report-only."
                )
            if all(shard.ledger is None for shard in shards):
                raise next(shard.damage for shard in shards if shard.damage is not None)
            begun()
            return _Joint(archive, shards, log).write()


class _Joint:
    def __init__(self, archive: Archive, shards: Sequence[ShardRecord], log: RunLog) -> None:
        self._archive, self._shards, self._log = archive, shards, log
        self._started, self._clock = time.time(), time.monotonic()
        self._items: Counter[str] = Counter(dict.fromkeys(map(str, State), 0))
        for shard in shards:
            if shard.ledger is not None:
                self._items.update({state.value: count for state, count in shard.ledger.counts().items()})
        self._again = to_run_again(shards)
        self._report = archive.output
        self._is_bag_written = False

    def write(self) -> JointReport:
        is_whole = all(shard.status is ShardStatus.FINISHED for shard in self._shards)
        broken = self._items[State.FAILED] + self._items[State.QUARANTINED]
        is_good = is_whole and not broken and not self._again
        steps = [
            Step(self._write_report, mentions_end=False),
            Step(self._write_bag, mentions_end=False),
            Step(self._write_log),
            Step(self._write_metrics),
        ]
        end = RunEnd(outcome=RunOutcome.FINISHED, exit_code=0 if is_good else SOME_FAILED)
        write_in_order(steps, end)
        return JointReport(
            source=self._archive.source,
            output=self._archive.output,
            report=self._report,
            shards=len(self._shards),
            items=dict(self._items),
            missing=self._of(ShardStatus.MISSING),
            running=self._of(ShardStatus.RUNNING),
            stopped=self._of(ShardStatus.STOPPED),
            failed=self._of(ShardStatus.FAILED),
            died=self._of(ShardStatus.DIED),
            damaged=self._of(ShardStatus.DAMAGED),
            failures=tuple(Failure.of(shard.home / LEDGER, shard.damage) for shard in self._shards if shard.damage),
            again=self._again,
            bag=self._is_bag_written,
            seconds=self._seconds,
            exit_code=end.exit_code,
        )

    def _of(self, status: ShardStatus) -> tuple[int, ...]:
        return tuple(shard.index for shard in self._shards if shard.status is status)

    @property
    def _seconds(self) -> float:
        return round(time.monotonic() - self._clock, 3)

    def _write_report(self, _end: RunEnd) -> None:
        self._report = write_report(self._archive, self._shards)

    def _write_bag(self, _end: RunEnd) -> None:
        if not self._archive.run_options.bag or self._of(ShardStatus.DAMAGED):
            return
        with filling_bag(self._archive.output) as is_last:
            if is_last():
                complete_bag(self._archive.output, self._shards, originals=self._archive.originals)
                self._is_bag_written = True

    def _write_log(self, end: RunEnd) -> None:
        self._log.write(
            Event.REPORTED,
            source=self._archive.source,
            output=self._archive.output,
            outcome=end.word,
            exit_code=end.exit_code,
            items=self._items,
            shards={str(shard.index): shard.status for shard in self._shards},
            again=self._again,
            seconds=self._seconds,
        )

    def _write_metrics(self, end: RunEnd) -> None:
        if self._archive.run_options.metrics is None:
            return
        last = [shard.runs[-1] for shard in self._shards if shard.runs]
        good = [[run.ended for run in shard.runs if run.exit_code == 0 and run.ended] for shard in self._shards]
        figures = Figures(
            archive=str(self._archive.output),
            version=program_version(),
            items=self._items,
            shards=Counter(shard.status.value for shard in self._shards),
            done=sum(run.done for run in last),
            kept=sum(run.kept for run in last),
            failed=sum(run.failed for run in last),
            skipped=sum(run.skipped for run in last),
            started=min((run.started for run in last), default=self._started),
            seconds=round(
                max((run.ended or self._started for run in last), default=0)
                - min((run.started for run in last), default=0),
                3,
            ),
            exit_code=end.exit_code,
            # All shards were good at the latest when the last one became so.
            last_success=min(ends[-1] for ends in good) if all(good) else None,
            free_bytes=free_space(self._archive.output),
        )
        write_metrics(self._archive.run_options.metrics, figures, originals=self._archive.originals)
