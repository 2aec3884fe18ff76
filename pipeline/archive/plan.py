"""Turn entries of the tree into jobs: where the result goes, whether it exists, and what prevents it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeAlias

from pipeline.archive.context import Archive
from pipeline.archive.fingerprints import FileStat, for_item, is_same
from pipeline.archive.ledger import FOLDER_KIND, Known, State
from pipeline.archive.walk import Entry, Kind, Selection, walk
from pipeline.corrections import NO_CORRECTION
from pipeline.errors import InputError, UsageError
from pipeline.film.job import outline
from pipeline.film.reference_frames import film_references
from pipeline.options import Options
from pipeline.os_errors import advice_for, says_no_file
from pipeline.photo.job import result_name as photo_name
from pipeline.publish import LONGEST_NAME
from pipeline.reference_files import ReferenceFiles
from pipeline.results import Failure
from pipeline.wording import count

Lookup: TypeAlias = Callable[[Sequence[str]], Mapping[str, Known]]

KINDS = (Kind.PHOTO, Kind.FILM)
_NO_STAT = FileStat(0, 0)
# Headers of damaged films claim any number of frames; this is the limit of a ledger column.
_HEAVIEST = (1 << 63) - 1
# Number of entries looked up in the ledger at once.
_PAGE = 500


class Status(StrEnum):
    """What to do with a source.

    DUE has no result yet; STALE has one of ours that should be replaced; DONE has one that matches source and recipe;
    FOREIGN has, under its result's name, a file not known to be ours; QUARANTINED failed too often; REFUSED is of a
    kind that is not coloured.
    """

    DUE = "due"
    STALE = "stale"
    DONE = "done"
    FOREIGN = "foreign"
    QUARANTINED = "quarantined"
    REFUSED = "refused"


_TO_DO, _FINISHED = (Status.DUE, Status.STALE), (State.DONE, State.GONE)


class Job(NamedTuple):
    """A source, the name of its result, and their status.

    ``path`` is below the source folder, ``name`` that of the result below the output folder, both with ``/``.
    ``record`` is the item as known before, ``attempts`` counts the runs in which this source failed with this recipe,
    ``deaths`` those that died while working on it. ``weight`` is the amount of work of a film, 0 if there is none to
    do. ``found`` is the size and time of the file under the result's name.
    """

    path: str
    name: str
    kind: Kind
    stat: FileStat
    recipe: str
    status: Status
    attempts: int
    deaths: int
    weight: int
    record: Known | None
    found: FileStat | None

    @property
    def is_to_do(self) -> bool:
        """Whether a result should be made."""
        return self.status in _TO_DO

    def rejected(self, failure: Failure) -> Rejected:
        """Return the same source without a job."""
        return Rejected(
            path=self.path,
            name=self.name,
            kind=self.kind,
            stat=self.stat,
            recipe=self.recipe,
            attempts=self.attempts,
            deaths=self.deaths,
            failure=failure,
        )


class Rejected(NamedTuple):
    """A source, or a folder (of kind ``folder``) that could not be entered, that cannot become a job.

    ``name`` is that of its latest result, or empty.
    """

    path: str
    name: str
    kind: str
    stat: FileStat
    recipe: str
    attempts: int
    deaths: int
    failure: Failure


def plan(archive: Archive, *, recipes: Mapping[Kind, str], known: Lookup) -> Iterator[Job | Rejected | Entry]:
    """Yield a `Job` for every wanted source with a recipe, `Rejected` if none can be made, else an `Entry`.

    ``recipes`` contains one recipe for each wanted kind; ``known`` looks up what earlier runs knew of some paths. The
    tree of the sources is preserved. A result keeps the name of its source; if the container changes, the new suffix is
    appended to the whole name (``film.avi`` gives ``film.avi.mkv``), so that sources with the same stem do not collide.
    If two sources would still share a name on the output's disk, the later one is refused. Sources excluded by options
    are an `Entry` as well. Raises `InputError` if the source folder cannot be listed.
    """
    planner = _Planner(archive, recipes)
    source, options = archive.source, archive.run_options
    wanted = Selection.of(options)
    entered = Selection.of(replace(options, include=()))
    entries = walk(
        source,
        folds=planner.folds,
        follow_links=options.follow_links,
        output=archive.output,
        takes=None if options.shard is None else wanted.takes_shard,
    )
    while page := list(islice(entries, _PAGE)):
        names = [entry.name for entry in page if entry.kind in recipes or entry.kind is Kind.BARRED]
        records = known(names) if names else {}
        for entry in page:
            if entry.kind is Kind.BARRED:
                if entry.name == ".":
                    raise InputError(
                        f"{source}: cannot be listed: {entry.reason}", advice="Check its permissions and its disk."
                    )
                if entered.takes_path(entry.name):
                    yield planner.barred(entry, records.get(entry.name))
            elif entry.kind not in recipes or not wanted.takes_path(entry.name):
                yield entry
            else:
                stat, error = _reach(planner.source_of(entry.name))
                is_wanted = wanted.takes_time(math.inf if stat is None else stat.mtime_ns / 1e9)
                yield planner.item(entry, records.get(entry.name), stat, error) if is_wanted else entry


class _Planner:
    """Makes jobs; it remembers the names taken in one folder."""

    def __init__(self, archive: Archive, recipes: Mapping[Kind, str]) -> None:
        self._source, self._options, self._run_options = archive.source, archive.options, archive.run_options
        self._recipes, self._corrections = recipes, archive.corrections
        self._tree = archive.tree.relative_to(archive.output)
        # As text: with very many files, path objects would take longer than everything else.
        self._below_source, self._below_output = (str(folder / "-")[:-1] for folder in (archive.source, archive.output))
        self.folds = ignores_case(archive.output)
        self._folder = ""
        self._taken: dict[str, str] = {}
        # One lookup instead of one for each of very many items.
        self._is_corrected = self._corrections.folder.is_dir()
        self._references = ReferenceFiles(self._options.reference)
        self._last_folder: tuple[str | None, bool] = (None, False)  # the last folder, and whether it has references

    def source_of(self, name: str) -> str:
        return below(self._below_source, name)

    def barred(self, entry: Entry, record: Known | None) -> Rejected:
        path = self._source / entry.path
        error = InputError(
            f"{path}: not entered: {entry.reason}", advice="Check the name and the permissions of this folder."
        )
        return rejected_folder(entry.name, path, error, attempts=record.attempts if record else 0)

    def item(self, entry: Entry, record: Known | None, stat: FileStat | None, error: OSError | None) -> Job | Rejected:
        name = entry.name
        recipe, broken = self._recipe(entry)
        is_known = record is not None and record.recipe == recipe and record.source_stat == (stat or _NO_STAT)
        attempts = record.attempts if record is not None and is_known else 0
        deaths = record.deaths if record is not None and is_known else 0
        try:
            if stat is None:
                raise _unreachable(self._source / name, error)
            if broken is not None:
                raise broken
            if deaths >= self._run_options.quarantine_after and self._needs_work(record):
                attempts = max(attempts, deaths - 1)
                raise InputError(
                    f"{self._source / name}: the program died in {count(deaths, 'run')} while it was processing it",
                    advice="Colour it in a separate folder to see why, then repair it, or raise --quarantine-after.",
                )
            return self._job(entry, stat, record, recipe, attempts, deaths, is_known=is_known)
        except Exception as fault:  # noqa: BLE001 - one bad file must not stop the rest
            return Rejected(
                path=name,
                name=record.output if record else "",
                kind=entry.kind,
                stat=stat or _NO_STAT,
                recipe=recipe,
                attempts=attempts,
                deaths=deaths,
                failure=Failure.of(self._source / name, fault),
            )

    def _recipe(self, entry: Entry) -> tuple[str, InputError | None]:
        """Return its recipe, including correction and references; if these are invalid, the run's and the error."""
        usual = self._recipes[entry.kind]
        try:
            may_have_references = entry.kind is Kind.PHOTO and self._may_have_references(entry.name.rpartition("/")[0])
            if not may_have_references and not self._is_corrected and entry.kind is not Kind.FILM:
                return usual, None
            item, source = PurePosixPath(entry.name), self._source / entry.path
            correction = self._corrections.read(item).correction if self._is_corrected else NO_CORRECTION
            references = () if correction.references or not may_have_references else self._references.of(source, item)
            if entry.kind is Kind.FILM:
                chosen = correction.reference_files(self._corrections.path_of(item))
                references = film_references(source, self._references, item=item, chosen=chosen).paths
            return for_item(usual, correction, references), None
        except InputError as error:
            return usual, error

    def _may_have_references(self, folder: str) -> bool:
        if folder != self._last_folder[0]:
            self._last_folder = folder, self._references.may_have_any(self._source / folder)
        return self._last_folder[1]

    def _needs_work(self, record: Known | None) -> bool:
        return record is not None and record.state in (State.WAITING, State.RUNNING)

    def _job(
        self,
        entry: Entry,
        stat: FileStat,
        record: Known | None,
        recipe: str,
        attempts: int,
        deaths: int,
        *,
        is_known: bool,
    ) -> Job:
        path = self.source_of(entry.name)
        thorough = self._run_options.verify_all
        is_finished = record is not None and record.state in _FINISHED and record.recipe == recipe
        fits = (
            record is not None
            and is_finished
            and is_same(path, stat, record.source_stat, record.source_sha256, thorough=thorough)
        )
        name, weight = record.output if record is not None and fits else "", 0
        status, found = Status.DUE, None
        if record is not None and is_known and self._is_given_up(record):
            status = Status(record.state)
        else:
            # A film is opened, for the name of its result and its length, only if there may be work to do.
            if not name or self._options.overwrite:
                name, weight = self._named(entry)
            self._take(name, entry.name)
            status, found = self._status(name, record, fits=fits)
            if fits and status in _TO_DO and not self._options.overwrite:
                name, weight = self._named(entry)
        return Job(
            path=entry.name,
            name=name,
            kind=entry.kind,
            stat=stat,
            recipe=recipe,
            status=status,
            attempts=attempts,
            deaths=deaths,
            weight=weight,
            record=record,
            found=found,
        )

    def _is_given_up(self, record: Known) -> bool:
        is_hopeless = record.attempts >= self._run_options.quarantine_after
        return record.state is State.REFUSED or (record.state is State.QUARANTINED and is_hopeless)

    def _named(self, entry: Entry) -> tuple[str, int]:
        """Return the name of the result below the output folder, and the weight of a film."""
        name, weight = result_name(entry, self._source, self._options)
        return (self._tree / name).as_posix(), min(weight, _HEAVIEST)

    def _take(self, target: str, name: str) -> None:
        """Reserve the name ``target`` of a result for the source called ``name``."""
        folder = name.rpartition("/")[0]
        if folder != self._folder:
            self._folder, self._taken = folder, {}
        last = target.rpartition("/")[2]
        if 4 * len(last) > LONGEST_NAME and len(os.fsencode(last)) > LONGEST_NAME:
            text = f"{self._source / name}: the name of its result would be too long for disks"
            raise UsageError(text, advice="Shorten the name of the file.")
        if (other := self._taken.setdefault(last.casefold() if self.folds else last, name)) != name:
            raise UsageError(
                f"{self._source / name}: its result would have the same name as that of {other}",
                advice="Rename one of the two.",
            )

    def _status(self, name: str, record: Known | None, *, fits: bool) -> tuple[Status, FileStat | None]:
        target = below(self._below_output, name)
        found = FileStat.found(target)
        if found is None:
            return Status.DUE, None
        if self._options.overwrite:
            return Status.STALE, found
        if record is None or record.output != name:
            return Status.FOREIGN, found
        known, sha256 = record.result_stat, record.result_sha256
        if record.state is State.RUNNING:
            # The dead run may have given the result its name just before.
            return Status.STALE, found
        if not is_same(target, found, known, sha256):
            return Status.FOREIGN, found
        thorough = self._run_options.verify_all and found == known
        is_whole = not thorough or is_same(target, found, known, sha256, thorough=True)
        return Status.DONE if fits and is_whole else Status.STALE, found


def below(folder: str, name: str, *, separator: str = os.sep) -> str:
    """Return the path of ``name``, with ``/``, below ``folder``, which ends in the system's separator.

    In verbatim paths (``//?/`` with backslashes) Windows accepts no other separator.
    """
    return folder + (name if separator == "/" else name.replace("/", separator))


def rejected_folder(name: str, path: Path, error: InputError, *, attempts: int = 0) -> Rejected:
    """Return the plan's entry for the folder called ``name``, at ``path``, with the reason why it has no content."""
    return Rejected(
        path=name,
        name="",
        kind=FOLDER_KIND,
        stat=_NO_STAT,
        recipe="",
        attempts=attempts,
        deaths=0,
        failure=Failure(source=path, error=str(error), advice=error.advice, exit_code=error.exit_code),
    )


def result_name(entry: Entry, source: Path, options: Options) -> tuple[Path, int]:
    """Return the path of ``entry``'s result below the folder of results, and the weight of a film."""
    if entry.kind is Kind.PHOTO:
        return entry.path.with_name(photo_name(source / entry.path)), 0
    whole, weight = outline(source / entry.path, options)
    if whole.suffix.lower() == entry.path.suffix.lower():
        return entry.path, weight
    return entry.path.with_name(entry.path.name + whole.suffix), weight


def _reach(path: str) -> tuple[FileStat | None, OSError | None]:
    try:
        return FileStat.of(path), None
    except OSError as error:
        return None, error


def _unreachable(path: Path, error: OSError | None) -> InputError:
    if error is None or says_no_file(error):
        return InputError(f"{path}: the link points to no file", advice="Check where the link leads.")
    return InputError(f"{path}: cannot be reached: {error.strerror or error}", advice=advice_for(error))


def ignores_case(folder: Path) -> bool:
    """Return whether the disk that holds, or will hold, ``folder`` treats ``a`` and ``A`` as the same name."""
    known = folder.resolve()
    while not known.is_dir():
        known = known.parent
    for path in (*islice(known.iterdir(), 100), known, *known.parents):
        other = path.name.swapcase()
        if path.name.isascii() and other != path.name:
            return path.with_name(other).exists() and path.with_name(other).samefile(path)
    return False
