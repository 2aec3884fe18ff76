"""Colour photographs, file to file: read, classify, predict in shared batches, write chroma, publish."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath

from engines.machine import usable_cores
from pipeline.color.colorizer import Colorizer, given_or_opened
from pipeline.color.measures import averaged
from pipeline.color.references import Reference
from pipeline.color.spaces import F32
from pipeline.corrections import Correction, correction_at
from pipeline.errors import EngineError, InputError, UsageError
from pipeline.media.stills import (
    OWN_SYSTEM,
    AiColour,
    Page,
    StillFormat,
    converted_suffix,
    output_suffix,
    read_still,
    still_format,
    write_still,
)
from pipeline.options import Options
from pipeline.originals import NO_ORIGINALS, Originals
from pipeline.photo.picture import Picture, PictureResult, PredictedChroma, paint, prepare_picture
from pipeline.photo.reference_pictures import ReferencePictures, predicted_chroma
from pipeline.photo.verification import verify_copy, verify_pages
from pipeline.progress import Progress, Silent, announced
from pipeline.publish import check_target, publishing
from pipeline.reference_files import ReferenceFiles
from pipeline.results import Doubt, Failure, Note, PhotoResult, Treatment, Verification, shell_line
from pipeline.stages import abreast, ahead

logger = logging.getLogger(__name__)

_WINDOW = 16
# Bytes of luma of the photographs that are read together, and of those that are finished in parallel.
_WINDOW_WEIGHT = 32 << 20
_MOST_AT_ONCE = 8
_MOST_PREVIEWS = 12


@dataclass(frozen=True)
class PhotoJob:
    """One photograph to colour and the name of its result, which must replace neither it nor any of ``originals``.

    ``correction`` is the path of its correction file, which need not exist. ``item`` is its path in a folder of
    references; None means its file name.
    """

    source: Path
    output: Path
    originals: Originals = NO_ORIGINALS
    correction: Path | None = None
    item: PurePath | None = None

    @property
    def protected(self) -> Originals:
        """Everything that the result must not replace."""
        return self.originals.and_of(self.source)


@dataclass(frozen=True)
class _Fault:
    """A photograph without a result, and why."""

    source: Path
    error: Exception


@dataclass(frozen=True)
class _Photo:
    """A photograph that was read: its pictures (only a TIFF can have several) and the network's prediction for them.

    ``reference`` provides colours for them, ``references`` are the files that it was made from.
    """

    job: PhotoJob
    pictures: tuple[Picture, ...]
    reference: Reference | None = None
    references: tuple[Path, ...] = ()
    predicted: tuple[PredictedChroma | None, ...] = ()

    @property
    def weight(self) -> int:
        return sum(picture.still.luma.nbytes for picture in self.pictures)

    @property
    def is_coloured(self) -> bool:
        return any(picture.is_coloured for picture in self.pictures)


def result_name(source: Path) -> str:
    """Return the name of the result of the photograph at ``source``, based on its suffix.

    The name is kept; if the result has another format, the new suffix is appended: ``a.bmp`` gives ``a.bmp.png``. If
    the suffix is not that of a photograph, the content decides what to append: ``a.jpg.bak`` gives ``a.jpg.bak.jpg``.
    """
    return source.name + converted_suffix(source)


def default_output(source: Path) -> Path:
    """Return ``scan.colorized.tif`` beside ``source``: its own suffix, or that of the format the result must have."""
    return source.with_name(f"{source.stem}.colorized{converted_suffix(source) or source.suffix}")


def require_untimed(options: Options) -> None:
    """Raise `UsageError` if a hint in ``options`` has a time, since photographs have none."""
    for hint in options.hints:
        if hint.time is not None:
            raise UsageError(
                f"a hint at {hint.time:g} s is for films: a photograph has no times",
                advice="Leave the time out: --hint X,Y=#RRGGBB.",
            )


def colorize_job(
    job: PhotoJob, options: Options, colorizer: Colorizer | None, progress: Progress, *, item: str | None = None
) -> PhotoResult:
    """Colour one photograph, with an engine opened for it if ``colorizer`` is None. Raises what went wrong with it.

    ``item`` is its name for ``progress``, by default its path.
    """
    # Cheap checks first, before an engine starts.
    check_target(job.output, overwrite=options.overwrite, originals=job.protected)
    _check_name(job, still_format(job.source))
    item = item or str(job.source)
    with (
        announced(progress, item, 1, "photos"),
        given_or_opened(colorizer, options, progress=progress) as colorizer,
        closing(_outcomes([job], colorizer, options)) as outcomes,
    ):
        outcome = next(outcomes)
        if isinstance(outcome, _Fault):
            raise outcome.error
        for note in outcome.notes:
            progress.note(item, note)
        progress.advance(item)
    return outcome


def colorize_photos(
    jobs: Iterable[PhotoJob],
    *,
    colorizer: Colorizer,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Generator[PhotoResult | Failure, None, None]:
    """Colour ``jobs`` and yield a result or a failure for each, in order: one bad photograph does not stop the others.

    A photograph that is already coloured, or whose tint is wanted, is copied byte for byte. Model inputs of the same
    shape share batches. Errors of the engine end the run, because they would affect every photograph.
    """
    progress = progress or Silent()
    with closing(_outcomes(jobs, colorizer, options or Options())) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, _Fault):
                yield Failure.of(outcome.source, outcome.error)
                continue
            for note in outcome.notes:
                progress.note(str(outcome.source), note)
            yield outcome


def _outcomes(
    jobs: Iterable[PhotoJob], colorizer: Colorizer, options: Options
) -> Generator[PhotoResult | _Fault, None, None]:
    workers = min(_MOST_AT_ONCE, usable_cores()) if options.threads else 1
    with closing(_coloured(jobs, colorizer, options)) as photos:
        finish = partial(_finished, colorizer=colorizer, options=options)
        finished = abreast(photos, finish, workers=workers, weight=_weight, most=_WINDOW_WEIGHT, name="finish")
        with closing(finished) as outcomes:
            yield from outcomes


def _coloured(
    jobs: Iterable[PhotoJob], colorizer: Colorizer, options: Options
) -> Generator[_Photo | _Fault, None, None]:
    with closing(ahead(_read(jobs, colorizer, options), depth=2, name="read", threads=options.threads)) as photos:
        predicted = _predicted(photos, colorizer)
        with closing(ahead(predicted, depth=2, name="colour", threads=options.threads)) as ready:
            yield from ready


def _read(jobs: Iterable[PhotoJob], colorizer: Colorizer, options: Options) -> Generator[_Photo | _Fault, None, None]:
    files, pictures = ReferenceFiles(options.reference), ReferencePictures(colorizer)
    for job in jobs:
        try:
            still = read_still(job.source)
            _check_name(job, still.format)
            correction = correction_at(job.correction)
            wanted = correction.applied(options)
            pages = enumerate((still, *still.further), 1)
            seen = tuple(prepare_picture(page, colorizer, wanted, number=number) for number, page in pages)
            _log(job, seen)
            references = _references(job, correction, files) if any(page.is_coloured for page in seen) else ()
            photo = _Photo(job, seen, pictures.of(references), references)
        except EngineError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad file must not stop the rest; it is named with its reason
            yield _Fault(job.source, error)
        else:
            yield photo


def _references(job: PhotoJob, correction: Correction, files: ReferenceFiles) -> tuple[Path, ...]:
    """Return the reference files: a person's own choice for this photograph, or those that the run finds."""
    if job.correction is not None and correction.references:
        return correction.reference_files(job.correction)
    return files.of(job.source, job.item or PurePath(job.source.name))


def _log(job: PhotoJob, pictures: Sequence[Picture]) -> None:
    for picture in pictures:
        still, verdict = picture.still, picture.verdict
        logger.debug(
            "%s: %s, %d x %d, %d bits; %s, confidence %.2f (%s); %s",
            job.source,
            still.format,
            still.width,
            still.height,
            still.bits,
            verdict.tone,
            verdict.confidence,
            verdict.reason,
            picture.treatment,
        )


def _check_name(job: PhotoJob, found: StillFormat) -> None:
    suffix = output_suffix(job.source, found)
    if job.output.suffix.lower() != suffix.lower():
        raise InputError(
            f"{job.source}: holds {found}, so its result cannot be named {job.output.name}",
            advice=f"Give the file the suffix that fits its content; the result will be {suffix}.",
        )


def _predicted(photos: Iterable[_Photo | _Fault], colorizer: Colorizer) -> Generator[_Photo | _Fault, None, None]:
    """Run the network on the pictures that will be coloured, batching those of many photographs."""
    for window in _windows(photos):
        alike = (photo for photo in window if isinstance(photo, _Photo) and photo.reference is None)
        pictures = (picture for photo in alike for picture in photo.pictures)
        wanted = [picture.model_input for picture in pictures if picture.is_coloured and not picture.adjustments.hints]
        predicted = iter(colorizer.predict(wanted))
        for photo in window:
            if isinstance(photo, _Fault):
                yield photo
            else:
                yield replace(photo, predicted=tuple(_predicted_pages(photo, predicted, colorizer)))


def _predicted_pages(photo: _Photo, batched: Iterator[F32], colorizer: Colorizer) -> Iterator[PredictedChroma | None]:
    for picture in photo.pictures:
        if not picture.is_coloured:
            yield None
        elif photo.reference is None and not picture.adjustments.hints:
            yield PredictedChroma(next(batched))
        else:
            # This needs the network's full prediction, which batches do not keep.
            prediction = colorizer.examine(picture.model_input)
            yield predicted_chroma(prediction, picture, colorizer, photo.reference)


def _weight(photo: _Photo | _Fault) -> int:
    return photo.weight if isinstance(photo, _Photo) else 0


def _windows(photos: Iterable[_Photo | _Fault]) -> Iterator[list[_Photo | _Fault]]:
    window: list[_Photo | _Fault] = []
    weight = 0
    for photo in photos:
        window.append(photo)
        weight += _weight(photo)
        if len(window) >= _WINDOW or weight >= _WINDOW_WEIGHT:
            yield window
            window, weight = [], 0
    yield window


def _finished(photo: _Photo | _Fault, colorizer: Colorizer, options: Options) -> PhotoResult | _Fault:
    if isinstance(photo, _Fault):
        return photo
    try:
        return _result(photo, colorizer, options)
    except Exception as error:  # noqa: BLE001 - one bad file must not stop the rest; it is named with its reason
        return _Fault(photo.job.source, error)


def _result(photo: _Photo, colorizer: Colorizer, options: Options) -> PhotoResult:
    job, first = photo.job, photo.pictures[0]
    is_alone = len(photo.pictures) == 1
    results = [
        paint(picture, predicted, label=job.source.name if is_alone else f"page {number}")
        for number, (picture, predicted) in enumerate(zip(photo.pictures, photo.predicted, strict=True), 1)
    ]
    originals = job.protected.and_of(*photo.references)
    with publishing(job.output, overwrite=options.overwrite, originals=originals) as temporary:
        notes, verification = _written(temporary, photo, results, colorizer)
    return PhotoResult(
        source=job.source,
        output=job.output,
        width=first.still.width,
        height=first.still.height,
        bits=first.still.bits,
        engine=colorizer.spec.engine,
        model=colorizer.spec.model,
        weights_sha256=colorizer.spec.weights_sha256,
        origin=colorizer.origin,
        notes=(*_tone_notes(photo), *notes),
        verification=verification,
        tones=tuple(dict.fromkeys(picture.verdict.tone for picture in photo.pictures)),
        treatment=next((picture.treatment for picture in photo.pictures if picture.is_coloured), first.treatment),
        measures=averaged([picture.measures for picture in results]),
        doubts=tuple(_doubts(photo)),
        references=photo.references,
        previews=tuple(picture.preview for picture in results[:_MOST_PREVIEWS]),
    )


def _written(
    temporary: Path, photo: _Photo, results: Sequence[PictureResult], colorizer: Colorizer
) -> tuple[tuple[Note, ...], Verification]:
    """Write the result, read it back, and return its notes and its verification."""
    still = photo.pictures[0].still
    read = tuple(note for picture in photo.pictures for note in picture.still.notes)
    if photo.is_coloured:
        has_colour = any(picture.treatment is Treatment.COLOURED for picture in photo.pictures)
        declared = AiColour(system=OWN_SYSTEM, version=colorizer.weights) if has_colour else None
        stills = (picture.still for picture in photo.pictures)
        pages = [
            Page(still, made.strips, declared, fine=made.fine) for still, made in zip(stills, results, strict=True)
        ]
        notes = (*colorizer.notes(), *read, *write_still(temporary, pages))
        return notes, verify_pages(temporary, pages)
    if still.own_rgb is not None:
        pages = [Page(still, iter((still.own_rgb(),)))]
        notes = (*read, *write_still(temporary, pages))
        return notes, verify_pages(temporary, pages)
    with still.path.open("rb") as source, temporary.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
    return (), verify_copy(temporary, still)


def _doubts(photo: _Photo) -> Iterator[Doubt]:
    paths = shell_line([str(photo.job.source), "-o", str(photo.job.output)])
    for picture in photo.pictures:
        if picture.doubt is not None:
            command = f"colorize-photo {paths} --overwrite {picture.doubt.reverse}"
            yield replace(picture.doubt, command=command)


def _tone_notes(photo: _Photo) -> tuple[Note, ...]:
    if len(photo.pictures) == 1:
        return photo.pictures[0].notes
    return tuple(
        replace(note, text=f"page {number}: {note.text}")
        for number, picture in enumerate(photo.pictures, 1)
        for note in picture.notes
    )
