"""The start of a run: plan the whole tree, queue what must be done, and find out what is missing."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path, PurePosixPath

from pipeline.archive.context import Archive, RunContext
from pipeline.archive.counts import NAMED, Counts
from pipeline.archive.fingerprints import recipes
from pipeline.archive.ledger import FOLDER_KIND, Planned, State
from pipeline.archive.outcomes import Outcomes
from pipeline.archive.plan import KINDS, Job, Rejected, Status, plan, rejected_folder
from pipeline.archive.run_log import Event
from pipeline.archive.walk import Entry, Kind, Selection, walk
from pipeline.errors import InputError, UsageError
from pipeline.options import TreatAs
from pipeline.os_errors import says_no_file
from pipeline.version import program_version
from pipeline.wording import count

logger = logging.getLogger(__name__)

_PAGE = 500


def check_any(archive: Archive) -> None:
    """Raise `InputError` if there is no photograph or film in the source folder; stops at the first."""
    counts = Counts()
    for entry in walk(archive.source, follow_links=archive.run_options.follow_links, output=archive.output):
        if entry.kind in (*KINDS, Kind.BARRED):
            return
        counts.add(entry)
    counts.check_any(archive.source, known=0)


def keep_decision(context: RunContext) -> None:
    """Save ``run_options.decide`` as the correction of every source that the run takes; AUTO removes it.

    Raises `UsageError` if the run takes all sources, `OutputError` if the disk refuses.
    """
    decide, tree = context.run_options.decide, context.corrections
    if decide is None:
        return
    if not context.run_options.include:
        raise UsageError("--decide would apply to all files of the archive", advice="Choose files with --include.")
    wanted = Selection.of(context.run_options)
    follow = context.run_options.follow_links
    for entry in walk(context.source, follow_links=follow, output=context.output, takes=wanted.takes_shard):
        path = PurePosixPath(entry.name)
        if entry.kind not in KINDS or not wanted.takes_path(entry.name):
            continue
        try:
            file = tree.read(path)
        except InputError:
            # The run reports it as an error of this item.
            continue
        treat_as = None if decide is TreatAs.AUTO else decide
        if file.correction.treat_as is not treat_as:
            tree.write(path, file.revised(replace(file.correction, treat_as=treat_as)))


def queue_all(context: RunContext, outcomes: Outcomes, *, network: str) -> int:
    """Queue what must be done in the ledger and count the rest; return how many sources of earlier runs are gone.

    ``network`` is the fingerprint of the one that will be used. Raises `InputError` if the source folder is empty.
    """
    found = plan(context, recipes=recipes(context.options, network), known=context.ledger.known)
    items = takewhile(lambda _: not context.is_asked_to_stop, found)
    while page := list(islice(items, _PAGE)):
        _queue(page, context, outcomes)
    return 0 if context.is_asked_to_stop else _check_missing(context, outcomes)


def _queue(items: Sequence[Job | Rejected | Entry], context: RunContext, outcomes: Outcomes) -> None:
    """Queue the jobs among ``items``, and record and count the others."""
    ledger = context.ledger
    jobs = [item for item in items if isinstance(item, Job)]
    rejected = [item for item in items if isinstance(item, Rejected)]
    to_do = [_planned(job) for job in jobs if job.is_to_do]
    ledger.plan(context.run, [*to_do, *map(_planned, rejected)])
    for item in rejected:
        outcomes.fail(item.path, item.kind, item.attempts, item.failure, seconds=0.0)
    for one in items:
        if isinstance(one, Rejected):
            outcomes.counts.sources += 1
        else:
            outcomes.counts.add(one)
    for job in jobs:
        record, found = job.record, job.found
        if record is None or found is None or job.is_to_do:
            continue
        if record.state is State.GONE:
            ledger.found_again(job.path)
        if job.status is Status.DONE and (record.source_stat, record.result_stat) != (job.stat, found):
            ledger.update_stats(job.path, source=job.stat, result=found)


def _planned(item: Job | Rejected) -> Planned:
    return Planned(
        path=item.path,
        kind=item.kind,
        output=item.name,
        source=item.stat,
        recipe=item.recipe,
        attempts=item.attempts,
        deaths=item.deaths,
        weight=item.weight if isinstance(item, Job) else 0,
        replaces=isinstance(item, Job) and item.status is Status.STALE,
    )


def _check_missing(context: RunContext, outcomes: Outcomes) -> int:
    """Record which sources of earlier runs are gone, once the whole tree was planned; return their number.

    A folder that is now empty but held some of them is a failure of this run. Raises `InputError` if all sources are
    gone.
    """
    ledger, counts, source = context.ledger, outcomes.counts, context.source
    states = ledger.counts()
    counts.check_any(source, known=sum(states.values()))
    gone: list[str] = []
    if counts.finished < states[State.DONE] and context.run_options.since is None:
        gone = [path for path in ledger.paths(State.DONE) if _is_gone(source / path)]
        ledger.mark_gone(gone)
    if gone:
        more = f" and {len(gone) - NAMED:,} more" if len(gone) > NAMED else ""
        context.reporter.say(
            f"{count(len(gone), 'source')} no longer there, with results that are kept: {', '.join(gone[:NAMED])}{more}"
        )
    _queue(list(_emptied_folders(source, ledger.paths(State.GONE))), context, outcomes)
    forgotten = [
        record.path
        for record in ledger.not_met(context.run)
        if record.kind == FOLDER_KIND or _is_gone(source / record.path)
    ]
    ledger.forget(forgotten)
    return len(gone)


def _emptied_folders(source: Path, gone: Iterable[str]) -> Iterator[Rejected]:
    """Yield the folders below ``source`` that are now empty and held some of the sources ``gone``.

    An unmounted disk looks like that; a user who removed the sources on purpose can remove the folder too.
    """
    counts: Counter[str] = Counter()
    nearest: dict[str, str] = {}
    for path in gone:
        folder = path.rpartition("/")[0]
        if folder not in nearest:
            nearest[folder] = _nearest(source, folder)
        counts[nearest[folder]] += 1
    for folder, number in sorted(counts.items()):
        if folder and _is_empty(source / folder):
            error = InputError(
                f"{source / folder}: is empty, but held {count(number, 'source')} in earlier runs",
                advice="Check that its disk is mounted. If they were removed on purpose, remove this folder too.",
            )
            yield rejected_folder(folder, source / folder, error)


def _nearest(source: Path, folder: str) -> str:
    """Return ``folder``, or its nearest existing parent."""
    while folder and not (source / folder).is_dir():
        folder = folder.rpartition("/")[0]
    return folder


def _is_empty(folder: Path) -> bool:
    try:
        return next(folder.iterdir(), None) is None
    except OSError:
        # The walk reports it.
        return False


def _is_gone(path: Path) -> bool:
    """Return whether nothing exists at ``path``; what cannot be reached, in a closed folder or a share, may exist."""
    try:
        path.lstat()
    except OSError as error:
        return says_no_file(error)
    return False


def report_plan(context: RunContext, counts: Counts, *, gone: int) -> None:
    """Report, to people and in the log, what the plan contains and what it leaves out."""
    reporter = context.reporter
    logger.info(
        "%s into %s: %s to do, %d done before, %d ignored, %d quarantined, %d gone",
        context.source,
        context.output,
        ", ".join(f"{number} {kind}" for kind, number in counts.jobs.items()) or "nothing",
        counts.skipped,
        counts.ignored,
        counts.quarantined,
        gone,
    )
    reporter.write(
        Event.RUN_STARTED,
        version=program_version(),
        source=context.source,
        output=context.output,
        options=context.options,
        run_options=context.run_options,
        waiting=sum(counts.jobs.values()),
        skipped=counts.skipped,
    )
    for path in counts.links:
        reporter.say(f"{context.source / path}: left out, a link, a reference or the result of an earlier run")
    if counts.hidden_count:
        reporter.say(counts.hidden_text())
    if counts.ignored:
        kinds = ", ".join(
            f"{number:,} {suffix or 'without suffix'}" for suffix, number in counts.suffixes.most_common()
        )
        reporter.say(f"{count(counts.ignored, 'file')} left out, neither photograph nor film: {kinds}")
    if counts.unknown:
        number = count(counts.unknown, "source")
        reporter.say(f"{number} skipped: under the names of their results are files that are not known to be ours")
    if counts.quarantined:
        reporter.say(f"{count(counts.quarantined, 'source')} skipped, which failed in too many runs")
    if counts.refused:
        reporter.say(f"{count(counts.refused, 'source')} skipped, of a kind that is not coloured")
