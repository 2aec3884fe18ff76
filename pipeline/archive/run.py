"""A whole archive: every photograph and film of a tree, into the same tree beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice, takewhile
from pathlib import Path

from pipeline.archive import preview_store
from pipeline.archive.bag import begin_bag, results_folder, write_bag
from pipeline.archive.dry_run import recipes
from pipeline.archive.ledger import Ledger, State, open_ledger, read_other_ledgers
from pipeline.archive.leftovers import sweep
from pipeline.archive.lock import filling_bag, locked
from pipeline.archive.metrics import Figures, check_metrics_file, write_metrics
from pipeline.archive.plan import Terms, check_folders, default_output, plan
from pipeline.archive.processing import Shift
from pipeline.archive.records import Heard, Records
from pipeline.archive.report import write_report
from pipeline.archive.run_log import Event, Journal
from pipeline.archive.run_options import Orders
from pipeline.archive.space import free_space
from pipeline.archive.walk import Kind
from pipeline.callbacks import guarded
from pipeline.color.colorizer import Colorizer, open_colorizer, weights_sha256
from pipeline.documents import to_json
from pipeline.errors import AutochromeError
from pipeline.interruption import Cancelled, StopReason, StopRequest
from pipeline.options import Options
from pipeline.originals import Originals
from pipeline.progress import Progress, Silent
from pipeline.results import Failure
from pipeline.version import program_version

_FINISHED, _UNTIL, _INTERRUPTED = "finished", "until", "interrupted"
_SOME_FAILED = 3
_PAGE = 500
_LONG_AGO = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class ArchiveResult:
    """What a run did; what became of each item is in the ledger (`pipeline.archive.ledger.read_ledger`).

    ``photos`` and ``films`` were coloured. ``skipped`` results were there before; of these, ``unknown`` are files that
    are not known to be ours. ``quarantined`` sources failed in too many runs, ``refused`` ones are of a kind that is
    not coloured, by design; neither count as failed. ``waiting`` items are left for the next run, because time was up
    or it was told to stop. ``ignored`` files are neither photograph nor film. ``failed`` counts the failures, of which
    ``failures`` holds the first thousand. ``report`` is the page about it all, None if none was asked for. ``outcome``
    is ``finished``, ``until`` or ``interrupted``; ``exit_code`` is what the command ends with.
    """

    source: Path
    output: Path
    photos: int
    films: int
    failed: int
    failures: tuple[Failure, ...]
    skipped: int
    unknown: int
    quarantined: int
    refused: int
    waiting: int
    ignored: int
    seconds: float
    report: Path | None
    outcome: str
    exit_code: int


def colorize_archive(
    source: Path | str,
    output: Path | str | None = None,
    options: Options | None = None,
    *,
    orders: Orders | None = None,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
    stop: StopRequest | None = None,
) -> ArchiveResult:
    """Colour every photograph and film under ``source`` into the same tree under ``output``.

    Photographs first, then films, the longest first and ``orders.jobs`` at a time. What an earlier run finished is
    skipped, unless its source, the options that shape it, the weights or the program changed; then the old result is
    kept until the new one takes its place. A file under a result's name that is not known to be ours is kept, unless
    ``options.overwrite``. A file that cannot be coloured becomes a `Failure` and the rest goes on; what concerns the
    run as a whole (folders, engine, weights, a full disk, another run: `LockedError`) is raised. When ``orders.until``
    has come or ``stop`` is made, what is under way is finished, of a film the running segment, and the rest waits for
    the next run. The run may be killed at any moment, or be cancelled by ``progress``: the next one goes on. The engine
    is opened only when there is work for it, or ``colorizer`` is used and left open.
    """
    source, options, orders = Path(source), options or Options(), orders or Orders()
    output = default_output(source) if output is None else Path(output)
    check_folders(source, output)
    if orders.metrics is not None:
        check_metrics_file(orders.metrics, originals=Originals((source,)))
    tree = results_folder(output, bag=orders.bag)
    stop = StopRequest() if stop is None else stop
    stop.until = stop.until or orders.until
    with (
        locked(output, shard=orders.shard),
        open_ledger(output, shard=orders.shard) as ledger,
        Journal(orders.log, originals=Originals((source,))) as journal,
        guarded(progress or Silent(), stop) as told,
    ):
        heard = Heard(told, journal, source)
        return _Run(source, output, tree, options, orders, ledger, heard, stop).carry_out(colorizer)


class _Run:
    """One run, from the moment it holds the lock."""

    def __init__(
        self,
        source: Path,
        output: Path,
        tree: Path,
        options: Options,
        orders: Orders,
        ledger: Ledger,
        heard: Heard,
        stop: StopRequest,
    ) -> None:
        self._source, self._output, self._tree = source, output, tree
        self._originals = Originals((source,))
        self._options, self._orders = options, orders
        self._ledger, self._heard = ledger, heard
        self._stop = stop
        self._started = time.time()
        self._clock = time.monotonic()
        said = {"options": to_json(options), "orders": to_json(orders)}
        self._number = heard.run = ledger.begin_run(version=program_version(), options=said)
        self._records = Records(source, output, options, orders, ledger, heard)
        self._shift = Shift(self._number, source, output, options, orders, ledger, self._records, heard, self._stop)

    def carry_out(self, colorizer: Colorizer | None) -> ArchiveResult:
        try:
            self._work(colorizer)
        except BaseException as error:
            if isinstance(error, Cancelled) and self._stop.error is not None:
                self._end(self._stop.error)
                raise self._stop.error from None
            self._end(error)
            raise
        if self._stop.reason is StopReason.ASKED:
            return self._close(_INTERRUPTED, self._stop.exit_code)
        code = _SOME_FAILED if self._records.counts.failed else 0
        return self._close(_UNTIL if self._stop.reason is StopReason.TIME else _FINISHED, code)

    def _end(self, error: BaseException) -> None:
        is_asked = isinstance(error, Cancelled | KeyboardInterrupt)
        # What ended the run is what is told, even if the disk does not take its last words.
        with suppress(AutochromeError):
            self._close(_INTERRUPTED if is_asked else type(error).__name__, getattr(error, "exit_code", 1))

    def _work(self, colorizer: Colorizer | None) -> None:
        # Other shards may be at work on theirs.
        sweep(self._output, older_than=_LONG_AGO if self._orders.shard else 0.0)
        with ExitStack() as stack:
            if self._orders.bag:
                is_last = stack.enter_context(filling_bag(self._output))
                begin_bag(self._output, originals=self._originals)
            self._records.catch_up()
            self._queue(colorizer)
            if any(self._records.counts.jobs.values()) and not self._is_asked_to_stop():
                colorizer = colorizer or stack.enter_context(open_colorizer(self._options, progress=self._heard))
                self._shift.work(colorizer)
            if self._stop.error is not None:
                raise self._stop.error
            if self._orders.bag and is_last():
                with self._other_ledgers() as others:
                    write_bag(self._output, self._entries(others), originals=self._originals)

    def _queue(self, colorizer: Colorizer | None) -> None:
        """Walk the tree and queue what is to be done."""
        weights = weights_sha256(self._options) if colorizer is None else colorizer.spec.weights_sha256
        terms = Terms(
            options=self._options,
            orders=self._orders,
            recipes=recipes(self._options, weights),
            known=self._ledger.get,
            tree=self._tree.relative_to(self._output),
        )
        items = takewhile(lambda _: not self._is_asked_to_stop(), plan(self._source, self._output, terms))
        while page := list(islice(items, _PAGE)):
            self._records.plan(self._number, page)
        if not self._is_asked_to_stop():
            for path in self._ledger.forget(self._number, self._source):
                preview_store.drop(self._output, path)
        self._tell_plan()

    def _is_asked_to_stop(self) -> bool:
        # When only the time is up, the plan is made all the same: it says what waits.
        return self._stop.reason not in (None, StopReason.TIME)

    def _tell_plan(self) -> None:
        counts = self._records.counts
        for path in counts.set_aside:
            self._heard.say(f"{path}: set aside, a link or the result of an earlier run")
        if counts.unknown:
            self._heard.say(
                f"{counts.unknown:,} sources skipped: under the names of their results are files that are not known to "
                "be ours"
            )
        if counts.quarantined:
            self._heard.say(f"{counts.quarantined:,} sources skipped: they failed in too many runs")
        if counts.refused:
            self._heard.say(f"{counts.refused:,} sources skipped: they are of a kind that is not coloured")
        self._heard.write(
            Event.RUN_STARTED,
            version=program_version(),
            source=self._source,
            output=self._output,
            options=self._options,
            orders=self._orders,
            waiting=sum(counts.jobs.values()),
            skipped=counts.skipped,
        )

    def _entries(self, others: list[Ledger]) -> dict[str, str]:
        """Return the fingerprints of all results in the bag, where several ledgers know one that of the last."""
        found: dict[str, tuple[float, str]] = {}
        for record in chain.from_iterable(ledger.records(State.DONE) for ledger in (self._ledger, *others)):
            if record.result_sha256 and (self._output / record.output).is_relative_to(self._tree):
                known = (record.started or 0.0, record.result_sha256)
                found[record.output] = max(known, found.get(record.output, known))
        return {name: fingerprint for name, (_, fingerprint) in found.items()}

    @contextmanager
    def _other_ledgers(self) -> Iterator[list[Ledger]]:
        """Give the ledgers of the other shards, and that of runs without one."""
        with ExitStack() as stack:
            others = read_other_ledgers(self._output, shard=self._orders.shard)
            for other in others:
                stack.enter_context(other)
            yield others

    def _close(self, outcome: str, exit_code: int) -> ArchiveResult:
        self._shift.put_back()
        planned, done = self._records.counts, self._records.done
        counts = {"done": sum(done.values()), "failed": planned.failed, "skipped": planned.skipped}
        self._ledger.end_run(self._number, outcome=outcome, **counts)
        waiting, seconds = self._ledger.left(self._number), round(time.monotonic() - self._clock, 3)
        told = {"outcome": outcome, "exit_code": exit_code, "waiting": waiting, "seconds": seconds}
        self._heard.write(Event.RUN_ENDED, **told, **counts)
        if self._orders.metrics is not None:
            write_metrics(self._orders.metrics, self._figures(exit_code, seconds, counts), originals=self._originals)
        return ArchiveResult(
            source=self._source,
            output=self._output,
            photos=done[Kind.PHOTO],
            films=done[Kind.FILM],
            failed=planned.failed,
            failures=tuple(planned.failures),
            skipped=planned.skipped,
            unknown=planned.unknown,
            quarantined=planned.quarantined,
            refused=planned.refused,
            waiting=waiting,
            ignored=planned.ignored,
            seconds=seconds,
            report=self._report() if self._orders.report else None,
            outcome=outcome,
            exit_code=exit_code,
        )

    def _report(self) -> Path:
        """Write the page about this archive; one shard's tells of the others as well."""
        with self._other_ledgers() as others:
            return write_report(self._source, self._output, self._ledger, *others)

    def _figures(self, exit_code: int, seconds: float, counts: dict[str, int]) -> Figures:
        good = [run.ended for run in self._ledger.runs() if run.outcome in (_FINISHED, _UNTIL) and not run.failed]
        shard = self._orders.shard
        return Figures(
            archive=str(self._output),
            shard=f"{shard.index}/{shard.count}" if shard else "",
            version=program_version(),
            items={state.value: count for state, count in self._ledger.counts().items()},
            started=self._started,
            seconds=seconds,
            exit_code=exit_code,
            last_success=good[-1] if good else None,
            free_bytes=free_space(self._output),
            **counts,
        )
