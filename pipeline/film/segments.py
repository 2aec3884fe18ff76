"""A long film on its way to disk in parts, so that a run that died goes on after the last of them."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import av

from pipeline.color.colorizer import Colorizer
from pipeline.color.scene_memory import SceneMemory
from pipeline.documents import to_json
from pipeline.errors import EngineError, InputError, LockedError, OutputError
from pipeline.film.frames import FilmFrame, FilmSource
from pipeline.film.segment_folder import LOCK, SegmentFolder, segment_folder
from pipeline.film.shot_records import ShotLog
from pipeline.interruption import StopRequest
from pipeline.locks import NoLocksError, held
from pipeline.media.encoder import encode, new_encoder, refusals
from pipeline.originals import Originals
from pipeline.progress import Progress
from pipeline.reference_files import reference_fingerprint
from pipeline.results import Note, NoteKind
from pipeline.version import program_version
from pipeline.wording import count

logger = logging.getLogger(__name__)

# Twenty seconds at 25 frames a second. What is shorter than four segments is not worth it.
SEGMENT_FRAMES = 500
_FEW = 4
_ENDS = 1 << 20


@contextmanager
def kept_segments(
    film: FilmSource,
    final: Path,
    colorizer: Colorizer,
    *,
    segment_frames: int,
    originals: Originals,
    progress: Progress,
) -> Iterator[SegmentFolder | None]:
    """Keep other runs from the result ``final``, and give its segments; None if the film is short.

    Those that an earlier run left are kept if film, options, weights and program are the same. At the end all are
    removed, except after an interruption or an error that may pass: then they stay for the next run. Raises
    `LockedError` while another run is at work on ``final``, `OutputError`.
    """
    with _alone(final, progress) as folder:
        count = film.info.frame_count
        if count is not None and count <= _FEW * segment_frames:
            yield None
            return
        segments = SegmentFolder(folder, final, _recipe(film, colorizer), originals=originals)
        is_over = True
        try:
            yield segments
        except BaseException as error:
            is_over = isinstance(error, Exception) and not isinstance(error, OutputError | EngineError)
            raise
        finally:
            if is_over or not segments.segments:
                segments.remove()


@contextmanager
def _alone(final: Path, progress: Progress) -> Iterator[Path]:
    """Lock the folder of the segments of ``final`` for the block; where nothing is left in it, it is removed."""
    folder = segment_folder(final)
    try:
        with ExitStack() as stack:
            try:
                stack.enter_context(held(folder / LOCK, final))
            except NoLocksError as error:
                text = f"{error}: nothing keeps another run from colouring the same film at the same time"
                progress.note(str(final), Note(NoteKind.FALLBACK, text))
            yield folder
    finally:
        with suppress(OSError, LockedError):
            _remove_if_empty(folder, final)


def _remove_if_empty(folder: Path, final: Path) -> None:
    """Remove the folder if nothing but the lock is in it, unless another run holds that."""
    lock = folder / LOCK
    with ExitStack() as stack:
        with suppress(NoLocksError):
            stack.enter_context(held(lock, final))
        if [path.name for path in folder.iterdir()] == [LOCK]:
            lock.unlink()
            folder.rmdir()


def _recipe(film: FilmSource, colorizer: Colorizer) -> dict[str, Any]:
    without = ("engine", "model", "overwrite", "reference", "verify", "threads")
    return {
        "source": fingerprint(film.info.path),
        "options": {name: value for name, value in to_json(film.options).items() if name not in without},
        "references": reference_fingerprint(film.references.paths),
        "encoder": [film.plan.encoder.name, *map(str, sorted(film.plan.options.items()))],
        "weights": colorizer.spec.weights_sha256,
        "engine": str(colorizer.spec),
        "program": program_version(),
        "libraries": str(av.library_versions),
    }


def fingerprint(source: Path) -> list[str]:
    """Return what tells a source from another: its name, size and time of change, and a hash of both its ends.

    Of a folder: the same of every file in it, without the hashes.
    """
    if source.is_dir():
        files = sorted(source.iterdir())
        return [f"{path.name} {(state := path.stat()).st_size} {state.st_mtime_ns}" for path in files]
    state = source.stat()
    with source.open("rb") as file:
        ends = hashlib.blake2b(file.read(_ENDS), digest_size=16)
        file.seek(max(0, state.st_size - _ENDS), os.SEEK_SET)
        ends.update(file.read(_ENDS))
    return [source.name, str(state.st_size), str(state.st_mtime_ns), ends.hexdigest()]


def remembered(segments: SegmentFolder) -> SceneMemory | None:
    """Return the memory that the frames after the finished ``segments`` rest on, None if all of the film is there."""
    data = segments.memory
    return SceneMemory.from_bytes(data) if data else None


def write_segments(
    frames: Iterator[FilmFrame],
    segments: SegmentFolder,
    film: FilmSource,
    progress: Progress,
    *,
    segment_frames: int,
    stop: StopRequest,
) -> ShotLog:
    """Encode ``frames``, which follow those that ``segments`` hold, into new ones; return the shots of the whole film.

    Each segment ends at the first cut after ``segment_frames`` frames. Raises `Cancelled` between two segments where
    ``stop`` is made; `OutputError`, `InputError`.
    """
    name = str(film.info.path)
    if segments.frames:
        logger.info("%s: resumes after frame %d, in %s", name, segments.frames, segment_folder(segments.final))
        progress.say(f"{name}: {count(segments.frames, 'frame')} done in an earlier run")
        progress.advance(name, segments.frames)
    following = next(frames, None)
    while following is not None:
        following = _write_segment(following, frames, segments, film, progress, segment_frames)
        if following is not None:
            stop.check()
    return ShotLog.joined(film, (segment.summary for segment in segments.segments))


def _write_segment(
    first: FilmFrame,
    frames: Iterator[FilmFrame],
    segments: SegmentFolder,
    film: FilmSource,
    progress: Progress,
    segment_frames: int,
) -> FilmFrame | None:
    """Write one segment and return the frame that begins the next, None at the end of the film."""
    following, log = None, ShotLog(film, segments.frames)
    with segments.new() as segment:
        with refusals(segments.final, film.plan):
            encoder = new_encoder(film.info, film.plan, film.colors)
        for count, record in enumerate(chain([first], frames)):
            if count >= segment_frames and record.begins_shot:
                following = record
                break
            if record.frame.timestamp.pts < 0:
                raise InputError(f"{film.info.path}: starts before time zero", advice="Remux it to Matroska first.")
            with refusals(segments.final, film.plan):
                segment.add(encode(encoder, record.frame, film.colors))
            log.add(record)
            progress.advance(str(film.info.path))
        with refusals(segments.final, film.plan):
            segment.add(encoder.encode(None))
        memory = b"" if following is None else following.memory.to_bytes()
        segment.finish(frames=log.frames, summary=log.summary(), memory=memory)
        logger.debug("%s: segment of %d frames is complete", film.info.path, log.frames)
    return following
