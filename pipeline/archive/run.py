"""A whole archive: every photograph and film of a tree, into the same tree beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pipeline.archive.plan import Job, check_folders, default_output, plan
from pipeline.archive.walk import Kind
from pipeline.color.painter import Painter, open_painter
from pipeline.options import Options
from pipeline.photo import PhotoJob, colorize_photos
from pipeline.progress import Progress, Silent
from pipeline.results import Failure, FilmResult, PhotoResult
from pipeline.video import colorize_video

WHOLE, PHOTOS = "archive", "photos"


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a run would do: jobs by kind, how many results are there already, what is not ours to colour."""

    source: Path
    output: Path
    photos: int
    films: int
    skipped: int
    ignored: int
    set_aside: tuple[Path, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, kw_only=True)
class ArchiveResult:
    """What a run did. ``skipped`` results were there before; ``ignored`` files are neither photograph nor film."""

    source: Path
    output: Path
    results: tuple[FilmResult | PhotoResult, ...]
    failures: tuple[Failure, ...]
    skipped: int
    ignored: int
    seconds: float


def survey_archive(source: Path, output: Path | None, options: Options) -> Survey:
    """Walk the tree and count; nothing is written and no picture is opened.

    ``set_aside`` names links to folders and results of earlier runs found in the tree. Raises `InputError` if
    ``source`` is no folder, `UsageError` if source and output lie in each other.
    """
    output = output or default_output(source)
    check_folders(source, output)
    counts = {Kind.PHOTO: 0, Kind.FILM: 0}
    skipped = ignored = 0
    set_aside: list[Path] = []
    failures: list[Failure] = []
    for item in plan(source, output, options):
        if isinstance(item, Failure):
            failures.append(item)
        elif isinstance(item, Job):
            skipped += item.done
            counts[item.kind] += not item.done
        elif item.kind is Kind.OTHER:
            ignored += 1
        else:
            set_aside.append(source / item.path)
    return Survey(
        source=source,
        output=output,
        photos=counts[Kind.PHOTO],
        films=counts[Kind.FILM],
        skipped=skipped,
        ignored=ignored,
        set_aside=tuple(set_aside),
        failures=tuple(failures),
    )


def colorize_archive(
    source: Path,
    output: Path | None,
    options: Options,
    *,
    painter: Painter | None = None,
    progress: Progress | None = None,
) -> ArchiveResult:
    """Colour every photograph and film under ``source`` into the same tree under ``output``.

    Photographs first, then films. A result that exists is kept and its source skipped, unless ``options.overwrite``:
    a result has its name only when complete. A file that cannot be coloured becomes a `Failure` and the rest goes on;
    what concerns the run as a whole (folders, engine, weights) is raised. The engine is opened only when there is
    work for it, or ``painter`` is used and left open.
    """
    started = time.monotonic()
    progress = progress or Silent()
    survey = survey_archive(source, output, options)
    for path in survey.set_aside:
        progress.say(f"{path}: set aside, a link or the result of an earlier run")
    results: list[FilmResult | PhotoResult] = []
    failures = list(survey.failures)
    if survey.photos or survey.films:
        with ExitStack() as stack:
            painter = painter or stack.enter_context(open_painter(options, progress=progress))
            progress.begin(WHOLE, survey.photos + survey.films, "items")
            for outcome in _outcomes(survey, options, painter, progress):
                if isinstance(outcome, Failure):
                    failures.append(outcome)
                    progress.say(f"failed: {outcome.error}")
                else:
                    results.append(outcome)
                progress.advance(WHOLE)
            progress.end(WHOLE)
    return ArchiveResult(
        source=source,
        output=survey.output,
        results=tuple(results),
        failures=tuple(failures),
        skipped=survey.skipped,
        ignored=survey.ignored,
        seconds=round(time.monotonic() - started, 3),
    )


def _outcomes(
    survey: Survey, options: Options, painter: Painter, progress: Progress
) -> Iterator[FilmResult | PhotoResult | Failure]:
    if survey.photos:
        jobs = (PhotoJob(job.source, job.output) for job in _jobs(survey, options, Kind.PHOTO))
        progress.begin(PHOTOS, survey.photos, "photos")
        for outcome in colorize_photos(jobs, painter=painter, options=options, progress=progress):
            progress.advance(PHOTOS)
            yield outcome
        progress.end(PHOTOS)
    for job in _jobs(survey, options, Kind.FILM):
        yield _film(job, options, painter, progress)


def _jobs(survey: Survey, options: Options, kind: Kind) -> Iterator[Job]:
    # The tree is walked again instead of kept: an archive may hold millions of files.
    for item in plan(survey.source, survey.output, options, kinds=(kind,)):
        if isinstance(item, Job) and not item.done:
            yield item


def _film(job: Job, options: Options, painter: Painter, progress: Progress) -> FilmResult | Failure:
    try:
        return colorize_video(job.source, job.output, options, painter=painter, progress=progress)
    except Exception as error:  # noqa: BLE001 - one bad file must not stop the rest; it is named with its reason
        return Failure.of(job.source, error)
