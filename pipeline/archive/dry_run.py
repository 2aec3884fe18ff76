"""What a run would do, counted; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.archive.bag import results_folder
from pipeline.archive.ledger import read_ledger
from pipeline.archive.plan import Job, Refused, Standing, Terms, check_folders, default_output, plan
from pipeline.archive.recipe import recipe
from pipeline.archive.run_options import Orders
from pipeline.archive.walk import Entry, Kind
from pipeline.color.colorizer import weights_sha256
from pipeline.options import Options
from pipeline.results import Failure

KINDS = (Kind.PHOTO, Kind.FILM)


# So many failures are kept with their reasons; the ledger has them all.
MOST_FAILURES = 1000


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a run would do: jobs by kind, how many results are there already, what is not ours to colour.

    ``skipped`` counts sources that have a result; for ``unknown`` of them it is a file that is not known to be ours.
    ``quarantined`` sources failed too often to be tried again, ``refused`` ones are of a kind that is not coloured. Of
    the jobs, the photographs take up ``photo_bytes``
    and the films ``film_bytes``, and ``film_pixels`` is the sum of frames times pixels of the films. ``set_aside``
    names links to folders and results of earlier runs found in the tree. ``failed`` counts the sources that cannot be
    planned, of which ``failures`` names the first thousand.
    """

    source: Path
    output: Path
    photos: int
    films: int
    skipped: int
    unknown: int
    quarantined: int
    refused: int
    ignored: int
    photo_bytes: int
    film_bytes: int
    film_pixels: int
    set_aside: tuple[Path, ...]
    failed: int
    failures: tuple[Failure, ...]


class Counts:
    """Counts what a plan yields."""

    def __init__(self) -> None:
        self.jobs, self.bytes = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
        self.skipped = self.unknown = self.quarantined = self.refused = self.ignored = self.pixels = self.failed = 0
        self.set_aside: list[Path] = []
        self.failures: list[Failure] = []

    def add(self, item: Job | Refused | Entry, source: Path) -> None:
        """Count ``item`` of the tree under ``source``."""
        if isinstance(item, Refused):
            self.fail(item.failure)
        elif isinstance(item, Job):
            self._add_job(item)
        elif item.kind is Kind.OTHER:
            self.ignored += 1
        else:
            self.set_aside.append(source / item.path)

    def fail(self, failure: Failure) -> None:
        """Count ``failure``, and keep it if it is among the first."""
        self.failed += 1
        if len(self.failures) < MOST_FAILURES:
            self.failures.append(failure)

    def _add_job(self, job: Job) -> None:
        if job.is_to_do:
            self.jobs[job.kind] += 1
            self.bytes[job.kind] += job.stamp.size
            self.pixels += job.weight
        elif job.standing is Standing.QUARANTINED:
            self.quarantined += 1
        elif job.standing is Standing.REFUSED:
            self.refused += 1
        else:
            self.skipped += 1
            self.unknown += job.standing is Standing.FOREIGN


def recipes(options: Options, weights: str) -> Mapping[Kind, str]:
    """Return the recipe of each kind for weights of that SHA-256."""
    return {kind: recipe(kind, options, weights_sha256=weights) for kind in KINDS}


def survey_archive(
    source: Path | str,
    output: Path | str | None = None,
    options: Options | None = None,
    *,
    orders: Orders | None = None,
) -> Survey:
    """Walk the tree and count; nothing is written and no photograph is opened.

    Raises `InputError` if ``source`` is no folder, `UsageError` if source and output lie in each other, `WeightsError`
    if there is no recipe without weights, `OutputError` if the ledger cannot be read.
    """
    source, options, orders = Path(source), options or Options(), orders or Orders()
    output = default_output(source) if output is None else Path(output)
    check_folders(source, output)
    counts = Counts()
    with _terms(output, options, orders) as terms:
        for item in plan(source, output, terms):
            counts.add(item, source)
    return Survey(
        source=source,
        output=output,
        photos=counts.jobs[Kind.PHOTO],
        films=counts.jobs[Kind.FILM],
        skipped=counts.skipped,
        unknown=counts.unknown,
        quarantined=counts.quarantined,
        refused=counts.refused,
        ignored=counts.ignored,
        photo_bytes=counts.bytes[Kind.PHOTO],
        film_bytes=counts.bytes[Kind.FILM],
        film_pixels=counts.pixels,
        set_aside=tuple(counts.set_aside),
        failed=counts.failed,
        failures=tuple(counts.failures),
    )


@contextmanager
def _terms(output: Path, options: Options, orders: Orders) -> Iterator[Terms]:
    tree = results_folder(output, bag=orders.bag).relative_to(output)
    ledger = read_ledger(output, shard=orders.shard)
    if ledger is None:
        no_recipe = dict.fromkeys(KINDS, "")
        yield Terms(options=options, orders=orders, recipes=no_recipe, known=lambda _path: None, tree=tree)
        return
    with ledger:
        found = recipes(options, weights_sha256(options))
        yield Terms(options=options, orders=orders, recipes=found, known=ledger.get, tree=tree)
