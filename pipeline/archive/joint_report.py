"""``--report-only``: one report, bag and metrics file over all parts of an archive, from what their runs published."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.archive.bag import results_folder
from pipeline.archive.context import correction_tree
from pipeline.archive.ending import SOME_FAILED, Step, complete_bag, write_in_order
from pipeline.archive.ledger import State
from pipeline.archive.metrics import Figures, metrics_if_it_never_begins, write_metrics
from pipeline.archive.output_folder import filling_bag, free_space
from pipeline.archive.parts import Part, Standing, all_parts, as_ranges
from pipeline.archive.plan import check_folders, default_output
from pipeline.archive.report import write_report
from pipeline.archive.run_log import Event, RunLog
from pipeline.archive.run_options import RunOptions
from pipeline.errors import InputError, UsageError
from pipeline.originals import Originals
from pipeline.version import program_version


@dataclass(frozen=True, kw_only=True)
class JointReport:
    """Where an archive stands: how many ``items`` there are in each state, and how each of its ``parts``.

    ``missing``, ``running`` and ``unfinished`` are numbers of parts, from 1 on: no run was made of them, one is at
    work now, or the last one did not end well. ``again`` names the parts that another run has work in, as Slurm's
    ``--array`` takes them; empty if there are none. ``exit_code`` is 0 if all parts finished and nothing failed,
    otherwise 3.
    """

    source: Path
    output: Path
    report: Path
    parts: int
    items: Mapping[str, int]
    missing: tuple[int, ...]
    running: tuple[int, ...]
    unfinished: tuple[int, ...]
    again: str
    bag: bool
    seconds: float
    exit_code: int


def report_archive(
    source: Path | str, output: Path | str | None = None, *, run_options: RunOptions | None = None
) -> JointReport:
    """Write the report of all parts of ``output``, the manifests of its bag, a line of the log, and the metrics.

    Nothing is coloured and no ledger is written; runs may be at work. The report is written first and the metrics last,
    and what cannot be written is said by all that comes after. The bag is left as it is while a run adds to it. Raises
    `InputError` if no run was ever made, `UsageError`, `OutputError`.
    """
    source, run_options = Path(source), run_options or RunOptions()
    output = default_output(source) if output is None else Path(output)
    originals = Originals((source,))
    if run_options.shard is not None:
        raise UsageError("--report-only reports on all parts", advice="Leave out --shard.")
    with metrics_if_it_never_begins(output, run_options, originals) as has_begun:
        check_folders(source, output)
        results_folder(output, bag=run_options.bag)
        with all_parts(output) as parts, RunLog(run_options.log, originals=originals) as log:
            if all(part.ledger is None for part in parts):
                raise InputError(
                    f"{output}: no run was made yet", advice="Check --output, or run without --report-only."
                )
            has_begun()
            return _Joint(source, output, run_options, parts, log).write()


class _Joint:
    def __init__(self, source: Path, output: Path, run_options: RunOptions, parts: Sequence[Part], log: RunLog) -> None:
        self._source, self._output, self._run_options = source, output, run_options
        self._parts, self._log = parts, log
        self._started, self._clock = time.time(), time.monotonic()
        self._originals = Originals((source,))
        self._items: Counter[str] = Counter(dict.fromkeys(map(str, State), 0))
        for part in parts:
            if part.ledger is not None:
                self._items.update({state.value: count for state, count in part.ledger.counts().items()})
        self._again = as_ranges(part.index for part in parts if part.is_to_run_again)
        self._report = output
        self._is_bag_written = False

    def write(self) -> JointReport:
        is_whole = all(part.standing is Standing.FINISHED for part in self._parts)
        broken = self._items[State.FAILED] + self._items[State.QUARANTINED]
        is_good = is_whole and not broken and not self._again
        steps = [
            Step(self._write_report, says=False),
            Step(self._write_bag, says=False),
            Step(self._write_log),
            Step(self._write_metrics),
        ]
        _, exit_code = write_in_order(steps, "finished", 0 if is_good else SOME_FAILED)
        return JointReport(
            source=self._source,
            output=self._output,
            report=self._report,
            parts=len(self._parts),
            items=dict(self._items),
            missing=self._of(Standing.MISSING),
            running=self._of(Standing.RUNNING),
            unfinished=self._of(Standing.STOPPED, Standing.FAILED, Standing.DIED),
            again=self._again,
            bag=self._is_bag_written,
            seconds=self._seconds,
            exit_code=exit_code,
        )

    def _of(self, *standings: Standing) -> tuple[int, ...]:
        return tuple(part.index for part in self._parts if part.standing in standings)

    @property
    def _seconds(self) -> float:
        return round(time.monotonic() - self._clock, 3)

    def _write_report(self, _outcome: str, _exit_code: int) -> None:
        corrections = correction_tree(self._source, self._output, self._run_options)
        self._report = write_report(self._source, self._output, self._parts, corrections=corrections)

    def _write_bag(self, _outcome: str, _exit_code: int) -> None:
        if not self._run_options.bag:
            return
        tree = results_folder(self._output, bag=True)
        with filling_bag(self._output) as is_last:
            if is_last():
                complete_bag(self._output, tree, self._parts, originals=self._originals)
                self._is_bag_written = True

    def _write_log(self, outcome: str, exit_code: int) -> None:
        self._log.write(
            Event.REPORTED,
            source=self._source,
            output=self._output,
            outcome=outcome,
            exit_code=exit_code,
            items=self._items,
            parts={str(part.index): part.standing for part in self._parts},
            again=self._again,
            seconds=self._seconds,
        )

    def _write_metrics(self, _outcome: str, exit_code: int) -> None:
        if self._run_options.metrics is None:
            return
        last = [part.runs[-1] for part in self._parts if part.runs]
        good = [[run.ended for run in part.runs if run.exit_code == 0 and run.ended] for part in self._parts]
        figures = Figures(
            archive=str(self._output),
            version=program_version(),
            items=self._items,
            parts=Counter(part.standing.value for part in self._parts),
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
            exit_code=exit_code,
            # All parts were good at the latest when the last of them was.
            last_success=min(ends[-1] for ends in good) if all(good) else None,
            free_bytes=free_space(self._output),
        )
        write_metrics(self._run_options.metrics, figures, originals=self._originals)
