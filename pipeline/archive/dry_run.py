"""Count what a run would do, and estimate its duration from earlier runs or by colouring a few samples."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.archive.context import Archive, archive_at
from pipeline.archive.counts import Counts
from pipeline.archive.fingerprints import recipes
from pipeline.archive.ledger import LedgerReader, Record, State, read_ledger
from pipeline.archive.output_folder import check_shards
from pipeline.archive.plan import KINDS, Job, Rejected, plan
from pipeline.archive.run_options import RunOptions
from pipeline.archive.walk import Kind, Selection, walk
from pipeline.color.colorizer import Colorizer, fingerprint
from pipeline.errors import AutochromeError
from pipeline.film.job import colorize_video, outline
from pipeline.media.film_plan import plan_film
from pipeline.options import Options
from pipeline.photo.job import PhotoJob, colorize_photos, result_name
from pipeline.progress import Progress, Silent, announced
from pipeline.results import Failure, Note

_PHOTOS, _FILMS = 7, 2
_MOST_FILMS = 1000  # whose notes are kept
_READING = "reading films"
_ENOUGH_PHOTOS = 20
_LEAST_FRAMES = 12


@dataclass(frozen=True, kw_only=True)
class FilmNotes:
    """What a result of the film ``source`` will not keep as it is."""

    source: Path
    notes: tuple[Note, ...]


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a run would do: jobs by kind, existing results, and files that will not be coloured.

    ``skipped`` counts sources with a result; for ``unknown`` of them it is a file not known to be ours. ``quarantined``
    sources, of which ``quarantined_sources`` lists the first thousand, failed too often to be tried again, ``refused``
    ones are of a kind that is not coloured. ``photo_bytes`` and ``film_bytes`` are the total sizes of photographs and
    films to colour, and ``film_pixels`` is the sum of frames times pixels of the films. ``ignored`` files are neither
    photograph nor film, ``ignored_suffixes`` counts them by suffix; ``hidden`` files and folders were left out, as were
    ``links`` to folders and results of earlier runs. ``failed`` counts the sources that cannot be planned, of which
    ``failures`` lists the first thousand. ``film_notes`` are those of the first thousand films that have any.
    """

    source: Path
    output: Path
    photos: int
    films: int
    skipped: int
    unknown: int
    quarantined: int
    quarantined_sources: tuple[Path, ...]
    refused: int
    ignored: int
    ignored_suffixes: Mapping[str, int]
    hidden: int
    photo_bytes: int
    film_bytes: int
    film_pixels: int
    links: tuple[Path, ...]
    failed: int
    failures: tuple[Failure, ...]
    film_notes: tuple[FilmNotes, ...]


def survey_archive(
    source: Path | str,
    output: Path | str | None = None,
    options: Options | None = None,
    *,
    run_options: RunOptions | None = None,
    progress: Progress | None = None,
) -> Survey:
    """Walk the tree and count; nothing is written and no photograph is opened.

    All packets of each film that would be coloured are read, as a run does before its first frame; ``progress`` is told
    what will not be kept. Raises `InputError` if ``source`` is not a folder or is empty, `UsageError` if one of source
    and output lies in the other, `WeightsError` if the recipe cannot be computed without weights, `OutputError` if the
    ledger cannot be read.
    """
    archive = archive_at(source, output, options, run_options)
    archive.check()
    check_shards(archive.output, archive.run_options.shard)
    counts, film_notes = _counted(archive, progress or Silent())
    counts.check_any(archive.source, known=0)
    return Survey(
        source=archive.source,
        output=archive.output,
        photos=counts.jobs[Kind.PHOTO],
        films=counts.jobs[Kind.FILM],
        skipped=counts.skipped,
        unknown=counts.unknown,
        quarantined=counts.quarantined,
        quarantined_sources=tuple(counts.quarantined_sources),
        refused=counts.refused,
        ignored=counts.ignored,
        photo_bytes=counts.bytes[Kind.PHOTO],
        film_bytes=counts.bytes[Kind.FILM],
        film_pixels=counts.pixels,
        ignored_suffixes=dict(counts.suffixes),
        hidden=counts.hidden_count,
        links=tuple(archive.source / path for path in counts.links),
        failed=counts.failed,
        failures=tuple(counts.failures),
        film_notes=tuple(film_notes),
    )


def _counted(archive: Archive, progress: Progress) -> tuple[Counts, list[FilmNotes]]:
    counts = Counts()
    ledger = read_ledger(archive.output, shard=archive.run_options.shard)
    with ledger or nullcontext(), _FilmReader(archive, progress) as films:
        if ledger is None:
            items = plan(archive, recipes=dict.fromkeys(KINDS, ""), known=lambda _paths: {})
        else:
            current = recipes(archive.options, fingerprint(archive.options))
            items = plan(archive, recipes=current, known=ledger.known)
        for item in items:
            found = films.read(item) if isinstance(item, Job) else item
            if isinstance(found, Rejected) and found.failure.refused:
                progress.say(f"refused: {found.failure.error}")
            counts.add(found)
    return counts, films.notes


class _FilmReader(ExitStack):
    """Reads the films that would be coloured; ``notes`` are those of the first of them."""

    def __init__(self, archive: Archive, progress: Progress) -> None:
        super().__init__()
        self._archive, self._progress = archive, progress
        self._has_begun = False
        self.notes: list[FilmNotes] = []

    def read(self, job: Job) -> Job | Rejected:
        """Return ``job``, or why its film would be refused."""
        if job.kind is not Kind.FILM or not job.is_to_do:
            return job
        if not self._has_begun:
            self.enter_context(announced(self._progress, _READING, None, "films"))
            self._has_begun = True
        source = self._archive.source / job.path
        try:
            found = plan_film(source, self._archive.options, suffix=Path(job.name).suffix)
        except Exception as fault:  # noqa: BLE001 - one bad film must not stop the rest
            return job.rejected(Failure.of(source, fault))
        finally:
            self._progress.advance(_READING)
        notes = (*found.notes, *found.damage)
        for note in notes:
            self._progress.note(str(source), note)
        if notes and len(self.notes) < _MOST_FILMS:
            self.notes.append(FilmNotes(source=source, notes=notes))
        return job


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Pace measured over ``items`` of one kind: seconds per item and per byte, and output bytes per input byte.

    ``per_pixel`` is seconds per pixel of a film's frames, if known.
    """

    items: int
    per_item: float
    per_byte: float
    growth: float
    per_pixel: float | None = None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Expected cost of a run; None where there was nothing to estimate from.

    ``seconds`` on this machine, ``size`` of the results in bytes. ``photos`` and ``films`` are the numbers of samples.
    """

    seconds: float | None
    size: int | None
    photos: int
    films: int


def forecast(survey: Survey, *, photos: Pace | None, films: Pace | None) -> Forecast:
    """Return what the jobs of ``survey`` will take at the given paces."""
    seconds, size = 0.0, 0.0
    is_known = True
    if survey.photos:
        is_known &= photos is not None
        if photos is not None:
            seconds += survey.photos * photos.per_item
            size += survey.photo_bytes * photos.growth
    if survey.films:
        is_known &= films is not None
        if films is not None:
            has_pixels = films.per_pixel is not None and survey.film_pixels
            seconds += survey.film_pixels * (films.per_pixel or 0) if has_pixels else survey.film_bytes * films.per_byte
            size += survey.film_bytes * films.growth
    return Forecast(
        seconds=round(seconds, 3) if is_known else None,
        size=round(size) if is_known else None,
        photos=photos.items if photos else 0,
        films=films.items if films else 0,
    )


def measured(ledger: LedgerReader) -> tuple[Pace | None, Pace | None]:
    """Return the paces of photographs and films in earlier runs; None for a kind with too few of them."""
    gathered = {Kind.PHOTO: _Spans(), Kind.FILM: _Spans()}
    for record in ledger.records(State.DONE):
        gathered[Kind(record.kind)].add(record)
    photos, films = gathered[Kind.PHOTO].pace(), gathered[Kind.FILM].pace()
    return (photos if photos is not None and photos.items >= _ENOUGH_PHOTOS else None), films


class _Spans:
    """When items were in progress; items in progress at the same time share that time."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []
        self._bytes_in = self._bytes_out = 0

    def add(self, record: Record) -> None:
        if record.started is not None and record.seconds is not None and record.result_size is not None:
            self._spans.append((record.started, record.started + record.seconds))
            self._bytes_in += record.source_size
            self._bytes_out += record.result_size

    def pace(self) -> Pace | None:
        busy, reached = 0.0, float("-inf")
        for start, end in sorted(self._spans):
            busy += max(0.0, end - max(start, reached))
            reached = max(reached, end)
        return _pace(len(self._spans), busy, self._bytes_in, self._bytes_out)


def _pace(items: int, seconds: float, bytes_in: int, bytes_out: float, pixels: int = 0) -> Pace | None:
    if not items or not bytes_in:
        return None
    return Pace(
        items=items,
        per_item=seconds / items,
        per_byte=seconds / bytes_in,
        growth=bytes_out / bytes_in,
        per_pixel=seconds / pixels if pixels else None,
    )


def samples(source: Path, run_options: RunOptions) -> tuple[list[Path], list[Path]]:
    """Return a few photographs and films of the tree selected by ``run_options``, drawn uniformly at random."""
    wanted = Selection.of(run_options)
    draw = random.Random(0)
    drawn: dict[Kind, list[Path]] = {Kind.PHOTO: [], Kind.FILM: []}
    seen = dict.fromkeys(drawn, 0)
    for entry in walk(source, follow_links=run_options.follow_links):
        path = source / entry.path
        if entry.kind in drawn and _is_wanted(wanted, entry.name, path):
            most = _PHOTOS if entry.kind is Kind.PHOTO else _FILMS
            seen[entry.kind] += 1
            # Algorithm R (Vitter, 1985): every item has the same chance of being drawn, whatever their number.
            place = draw.randrange(seen[entry.kind])
            if len(drawn[entry.kind]) < most:
                drawn[entry.kind].append(path)
            elif place < most:
                drawn[entry.kind][place] = path
    return drawn[Kind.PHOTO], drawn[Kind.FILM]


def _is_wanted(wanted: Selection, name: str, found: Path) -> bool:
    try:
        return wanted.takes_shard(name) and wanted.takes_path(name) and wanted.takes_time(found.stat().st_mtime)
    except OSError:
        return False


def photo_pace(sources: Iterable[Path], options: Options, *, colorizer: Colorizer) -> Pace | None:
    """Colour ``sources`` without keeping the results and return the pace, or None if none can be coloured."""
    count = bytes_in = bytes_out = 0
    with TemporaryDirectory(prefix="autochrome-") as folder:
        jobs = [
            PhotoJob(source, Path(folder, str(number), result_name(source))) for number, source in enumerate(sources)
        ]
        # An engine's first predictions take longer than all later ones.
        for _ in colorize_photos(jobs[:1], colorizer=colorizer, options=options):
            pass
        started = time.monotonic()
        for outcome in colorize_photos(_anew(jobs), colorizer=colorizer, options=options):
            if not isinstance(outcome, Failure):
                count += 1
                bytes_in += outcome.source.stat().st_size
                bytes_out += outcome.output.stat().st_size
                outcome.output.unlink()
        return _pace(count, time.monotonic() - started, bytes_in, bytes_out)


def _anew(jobs: list[PhotoJob]) -> Iterator[PhotoJob]:
    for job in jobs:
        job.output.unlink(missing_ok=True)
        yield job


def film_pace(sources: Iterable[Path], options: Options, *, colorizer: Colorizer, seconds: float = 5.0) -> Pace | None:
    """Colour ``seconds`` of each of ``sources`` without keeping the results; return the pace, None without any."""
    count = bytes_in = pixels = 0
    took = bytes_out = 0.0
    # --reference means something else for a single film, and does not affect the pace.
    options = replace(options, reference=None)
    for source in sources:
        with TemporaryDirectory(prefix="autochrome-") as folder, suppress(AutochromeError):
            whole, weight = outline(source, options)
            watch = _Watch(Path(folder), seconds)
            with suppress(_Enough):
                colorize_video(source, Path(folder, whole.name), options, colorizer=colorizer, progress=watch)
                watch.look()
            if watch.share:
                count += 1
                took += watch.seconds / watch.share
                bytes_out += watch.size / watch.share
                bytes_in += source.stat().st_size
                pixels += weight
    return _pace(count, took, bytes_in, bytes_out, pixels)


class _Enough(Exception):  # noqa: N818 - it is no error
    """Raised when a film has been measured for long enough."""


class _Watch(Silent):
    """Measures how far a film gets in a given number of seconds, then ends it."""

    def __init__(self, folder: Path, limit: float) -> None:
        self._folder, self._limit = folder, limit
        self._started = time.monotonic()
        self._total: int | None = None
        self._frames = 0
        self.seconds, self.size, self.share = 0.0, 0, 0.0

    def begin(self, item: str, total: int | None, unit: str) -> None:  # noqa: ARG002 - the protocol's
        self._total, self._started = total, time.monotonic()

    def advance(self, item: str, count: int = 1) -> None:  # noqa: ARG002 - the protocol's
        self._frames += count
        if time.monotonic() - self._started > self._limit and self._frames >= _LEAST_FRAMES:
            self.look()
            raise _Enough

    def look(self) -> None:
        """Record the current progress."""
        self.seconds = time.monotonic() - self._started
        self.size = sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())
        self.share = min(1.0, self._frames / self._total) if self._total else 0.0
