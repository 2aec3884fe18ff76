"""Count the contents of a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.archive.ledger import State
from pipeline.archive.plan import KINDS, Job, Rejected, Status
from pipeline.archive.walk import Entry, Kind
from pipeline.errors import InputError
from pipeline.results import Failure

# Number of failures kept with their reasons; the ledger has them all.
MOST_FAILURES = 1000
_MOST_NAMES = 1000
_MOST_NAMED = 5
# Maximum number of names in one line.
NAMED = 20


class Counts:
    """Counts the items that a plan yields.

    ``jobs``, ``bytes`` and ``pixels`` cover the work to be done; ``skipped`` sources have a result, ``unknown`` of them
    one not known to be ours; ``finished`` of them are recorded as done in the ledger. ``sources`` counts all
    photographs and films, including those excluded by options, ``has_others`` tells whether other shards have files,
    ``suffixes`` counts all other files by suffix; ``quarantined_sources`` lists the first thousand of the
    ``quarantined``, ``hidden`` the first thousand hidden files and folders, ``links`` as many links to folders,
    references and results of earlier runs.
    """

    def __init__(self) -> None:
        self.jobs, self.bytes = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
        self.skipped = self.finished = self.unknown = self.quarantined = self.refused = self.pixels = self.failed = 0
        self.sources = self.hidden_count = 0
        self.has_others = False
        self.suffixes: Counter[str] = Counter()
        self.hidden: list[Path] = []
        self.links: list[Path] = []
        self.failures: list[Failure] = []
        self.quarantined_sources: list[Path] = []

    @property
    def ignored(self) -> int:
        """Number of files that are neither photograph nor film."""
        return self.suffixes.total()

    def add(self, item: Job | Rejected | Entry) -> None:
        """Count ``item``."""
        if isinstance(item, Job):
            self.sources += 1
            self._add_job(item)
        elif isinstance(item, Rejected):
            self.sources += 1
            if item.failure.refused:
                self.refused += 1
            else:
                self.fail(item.failure)
        elif item.kind in KINDS:
            self.sources += 1
        elif item.kind is Kind.OTHER:
            self.suffixes[item.suffix] += 1
        elif item.kind is Kind.ELSEWHERE:
            self.has_others = True
        else:
            self.hidden_count += item.kind is Kind.HIDDEN
            names = self.hidden if item.kind is Kind.HIDDEN else self.links
            if len(names) < _MOST_NAMES:
                names.append(item.path)

    def check_any(self, source: Path, *, known: int) -> None:
        """Raise `InputError` if nothing at all was found in ``source``; earlier runs had ``known`` items."""
        if self.sources or self.has_others:
            return
        before = f", but {known:,} were there in earlier runs" if known else ""
        most = ", ".join(suffix or "without suffix" for suffix, _count in self.suffixes.most_common(_MOST_NAMED))
        instead = f" (there are others: {most})" if most else ""
        left_out = f"; {self.hidden_text()}" if self.hidden_count else ""
        if self.links:
            left_out += f"; links to folders and results of earlier runs, left out: {_listed(self.links)}"
        raise InputError(
            f"{source}: there is no photograph or film in it{before}{instead}{left_out}",
            advice="Check the path, and that its disk is mounted. If all were removed on purpose, there is nothing "
            "to do here.",
        )

    def hidden_text(self) -> str:
        """Describe the hidden files and folders that were left out, naming the first of them."""
        return f"{self.hidden_count:,} hidden, files and folders, left out: {_listed(self.hidden, self.hidden_count)}"

    def fail(self, failure: Failure) -> None:
        """Count ``failure``, and keep it if it is one of the first."""
        self.failed += 1
        if len(self.failures) < MOST_FAILURES:
            self.failures.append(failure)

    def _add_job(self, job: Job) -> None:
        if job.is_to_do:
            self.jobs[job.kind] += 1
            self.bytes[job.kind] += job.stat.size
            self.pixels += job.weight
        elif job.status is Status.QUARANTINED:
            self.quarantined += 1
            if len(self.quarantined_sources) < _MOST_NAMES:
                self.quarantined_sources.append(Path(job.path))
        elif job.status is Status.REFUSED:
            self.refused += 1
        else:
            self.skipped += 1
            self.unknown += job.status is Status.FOREIGN
            self.finished += job.record is not None and job.record.state in (State.DONE, State.GONE)


def _listed(names: Sequence[Path], number: int | None = None) -> str:
    """Return the first of ``names``, and how many more there are out of ``number``, by default of ``names``."""
    more = (len(names) if number is None else number) - NAMED
    return ", ".join(map(str, names[:NAMED])) + (f" and {more:,} more" if more > 0 else "")
