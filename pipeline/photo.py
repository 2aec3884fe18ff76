"""Photographs, file to file: read, sketch, colour in shared batches, paint, publish."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.color.batching import Coloured
from pipeline.color.painter import Painter
from pipeline.color.sketch import EXIF_TURNS, Sketch
from pipeline.color.spaces import ColorSpec, rgb_offsets, still_spec
from pipeline.color.upsampling import wash
from pipeline.errors import InputError
from pipeline.media.publish import publishing
from pipeline.media.stills import AiColour, ColourModel, Still, output_suffix, read_still, write_still
from pipeline.options import Options
from pipeline.progress import Progress, Silent
from pipeline.results import Failure, PhotoResult
from pipeline.stages import ahead

_SKETCH_SIZE = 256
_WINDOW = 16


@dataclass(frozen=True)
class PhotoJob:
    """One photograph to colour and the name of its result."""

    source: Path
    output: Path


@dataclass(frozen=True)
class _Opened:
    job: PhotoJob
    still: Still


def colorize_photos(
    jobs: Iterable[PhotoJob], *, painter: Painter, options: Options, progress: Progress | None = None
) -> Iterator[PhotoResult | Failure]:
    """Colour ``jobs`` and yield a result or a failure for each: one bad photograph stops no other.

    Sketches of one shape share batches. Failures to read may come earlier than the results of jobs before them.
    Errors of the engine end the run, for they would meet every photograph.
    """
    progress = progress or Silent()
    unreadable: deque[Failure] = deque()
    with closing(_coloured(jobs, painter, options, unreadable)) as pictures:
        for picture in pictures:
            while unreadable:
                yield unreadable.popleft()
            yield _finished(picture, painter, options, progress)
    yield from unreadable


def colorize_photo(
    source: Path, output: Path, *, painter: Painter, options: Options, progress: Progress | None = None
) -> PhotoResult | Failure:
    """Colour one photograph."""
    return next(iter(colorize_photos([PhotoJob(source, output)], painter=painter, options=options, progress=progress)))


def _coloured(
    jobs: Iterable[PhotoJob], painter: Painter, options: Options, unreadable: deque[Failure]
) -> Generator[Coloured[_Opened], None, None]:
    sketches = ahead(_sketches(jobs, painter, unreadable), depth=2, name="read", threads=options.threads)
    with closing(sketches):
        pictures = painter.coloured(sketches, window=_WINDOW)
        with closing(ahead(pictures, depth=2, name="colour", threads=options.threads)) as ready:
            yield from ready


def _sketches(jobs: Iterable[PhotoJob], painter: Painter, unreadable: deque[Failure]) -> Iterator[Sketch[_Opened]]:
    for job in jobs:
        try:
            still = _read(job)
        except Exception as error:  # noqa: BLE001 - one bad file must not stop the rest; it is named with its reason
            unreadable.append(Failure.of(job.source, error))
            continue
        yield painter.sketch(
            _Opened(job, still),
            still.luma,
            still_spec(still.bits),
            size=_SKETCH_SIZE,
            turn=EXIF_TURNS[still.orientation],
        )


def _read(job: PhotoJob) -> Still:
    still = read_still(job.source)
    suffix = output_suffix(still)
    if job.output.suffix.lower() != suffix.lower():
        raise InputError(
            f"{job.source}: holds {still.format}, so its result cannot be named {job.output.name}",
            advice=f"Give the file the suffix that fits its content; the result will be {suffix}.",
        )
    return still


def _finished(
    picture: Coloured[_Opened], painter: Painter, options: Options, progress: Progress
) -> PhotoResult | Failure:
    job, still = picture.sketch.item.job, picture.sketch.item.still
    declared = AiColour(system="Autochrome", version=painter.weights)
    try:
        with publishing(job.output, overwrite=options.overwrite) as temporary:
            notes = write_still(temporary, still, _strips(picture, still), declared=declared)
    except Exception as error:  # noqa: BLE001 - one bad file must not stop the rest; it is named with its reason
        return Failure.of(job.source, error)
    notes = (*painter.notes(), *still.notes, *notes)
    for note in notes:
        progress.note(str(job.source), note)
    return PhotoResult(
        source=job.source,
        output=job.output,
        width=still.luma.shape[1],
        height=still.luma.shape[0],
        bits=still.bits,
        engine=painter.spec.name,
        model=painter.spec.model,
        weights_sha256=painter.spec.weights_sha256,
        notes=notes,
    )


def _strips(picture: Coloured[_Opened], still: Still) -> Iterator[npt.NDArray[np.uint8 | np.uint16]]:
    """Yield strips of rows (rows, width, 3): luma codes with chroma codes, or R, G and B."""
    spec = still_spec(still.bits)
    for first, luma, cb, cr in wash(picture, spec).strips(still.luma, spec, still.luma.shape):
        if still.colour_model is ColourModel.YCBCR:
            codes = still.luma[first : first + len(luma)]
            yield np.stack([codes, spec.chroma_codes(cb), spec.chroma_codes(cr)], axis=-1)
        else:
            yield _rgb_codes(luma, cb, cr, spec)


def _rgb_codes(
    luma: npt.NDArray[np.float32], cb: npt.NDArray[np.float32], cr: npt.NDArray[np.float32], spec: ColorSpec
) -> npt.NDArray[np.uint8 | np.uint16]:
    top = (1 << spec.bits) - 1
    rgb = np.stack([luma + offset for offset in rgb_offsets(cb, cr, spec.matrix)], axis=-1)
    codes: npt.NDArray[np.uint8 | np.uint16] = np.rint(np.clip(rgb, 0, 1) * np.float32(top)).astype(spec.dtype)
    return codes
