"""Writing of a long film in segments, so that a run that died can resume and several processes can share the work."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from pipeline.color.colorizer import Colorizer
from pipeline.documents import to_json
from pipeline.errors import EngineError, InputError, LockedError, OutputError
from pipeline.film.colouring import Colouring
from pipeline.film.frames import FilmSource
from pipeline.film.parts import Part
from pipeline.film.segment_folder import LOCK, SegmentFolder, SegmentWriter, segment_folder
from pipeline.film.shot_records import ShotLog
from pipeline.interruption import Cancelled, StopRequest
from pipeline.locks import NoLocksError, held
from pipeline.media.encoder import drain, encode, new_encoder, refusals
from pipeline.media.read_log import ReadLog
from pipeline.originals import Originals
from pipeline.progress import Progress
from pipeline.reference_files import reference_fingerprint
from pipeline.results import Note, NoteKind
from pipeline.version import program_version
from pipeline.wording import count

logger = logging.getLogger(__name__)

# A film of at most so many segments is written in one go.
_TOO_FEW = 2
# Bytes at both ends of a source that are hashed to identify it.
_HASHED_ENDS = 1 << 20
# Seconds after which an owner waiting for other processes looks again, and after which it reports the wait.
_LOOKS_EVERY, _SAYS_IT_WAITS = 0.2, 60.0
# Seconds within which a process that sweeps up releases the lock.
_PATIENCE = 1.0
# Frames that a helping process skips before it checks whether the film is done.
_CHECKED_EVERY = 100


@dataclass(frozen=True, kw_only=True)
class SegmentJob:
    """The job of colouring ``film`` into ``final``, as seen by its owner and by helping processes.

    Each segment holds ``segment_frames`` frames or more. None of ``originals`` is ever replaced.
    """

    film: FilmSource
    final: Path
    originals: Originals
    colorizer: Colorizer
    segment_frames: int
    progress: Progress
    stop: StopRequest

    @property
    def name(self) -> str:
        """Name of the film in progress and messages."""
        return str(self.film.info.path)

    def segments(self) -> SegmentFolder:
        """Return the folder of segments: the same for all processes with the same film and settings."""
        recipe = {**_recipe(self.film, self.colorizer), "segment_frames": self.segment_frames}
        return SegmentFolder(segment_folder(self.final), self.final, recipe, originals=self.originals)


@contextmanager
def kept_segments(job: SegmentJob) -> Iterator[SegmentFolder | None]:
    """Lock the result against other runs, and yield its segments; None if the film is short.

    Segments left by an earlier run are kept if film, options, weights and program are the same. At the end all are
    removed, except after an interruption or a temporary error: then they stay for the next run. Raises `LockedError`
    while another run is working on the result, `OutputError`.
    """
    with _alone(job.final, job.progress):
        count = job.film.info.frame_count
        if count is not None and count <= _TOO_FEW * job.segment_frames:
            with _counting(None):
                yield None
            return
        segments = job.segments()
        segments.prepare()
        is_over = True
        try:
            with _counting(segments):
                yield segments
        except BaseException as error:
            is_over = isinstance(error, Exception) and not isinstance(error, OutputError | EngineError | LockedError)
            raise
        finally:
            if is_over or not segments.segments:
                segments.remove()


@contextmanager
def _counting(segments: SegmentFolder | None) -> Iterator[None]:
    """Add the number of frames kept to a `Cancelled` raised in the block."""
    try:
        yield
    except Cancelled as cancelled:
        cancelled.frames_kept = 0 if segments is None else segments.frames
        raise


@contextmanager
def helped_segments(job: SegmentJob) -> Iterator[SegmentFolder | None]:
    """Yield the segments of a result made by another process; None if it makes none with these settings."""
    segments = job.segments()
    try:
        yield segments if segments.is_open() else None
    finally:
        with suppress(OSError, OutputError, LockedError):
            # The lock is taken only if needed, so that an owner can begin.
            if segments.is_to_sweep():
                with _alone(job.final, job.progress):
                    segments.sweep()


@contextmanager
def _alone(final: Path, progress: Progress) -> Iterator[None]:
    """Lock the folder of segments of ``final`` for the block; at the end, remove it if it is empty."""
    folder = segment_folder(final)
    try:
        with ExitStack() as stack:
            try:
                stack.enter_context(held(folder / LOCK, final, patience=_PATIENCE))
            except NoLocksError as error:
                text = f"{error}: nothing keeps another run from colouring the same film at the same time"
                progress.note(str(final), Note(NoteKind.FALLBACK, text))
            yield
    finally:
        with suppress(OSError, LockedError):
            _remove_if_empty(folder, final)


def _remove_if_empty(folder: Path, final: Path) -> None:
    """Remove the folder if it holds only the lock, unless another run holds the lock."""
    lock = folder / LOCK
    with ExitStack() as stack:
        own = None
        with suppress(NoLocksError):
            own = stack.enter_context(held(lock, final))
        if [path.name for path in folder.iterdir()] != [LOCK]:
            return
        if own is None:
            lock.unlink()
        else:
            own.is_to_go = True
    folder.rmdir()


def _recipe(film: FilmSource, colorizer: Colorizer) -> dict[str, Any]:
    without = ("engine", "model", "overwrite", "reference", "verify", "threads")
    return {
        "source": fingerprint(film.info.path),
        "options": {name: value for name, value in to_json(film.options).items() if name not in without},
        "references": reference_fingerprint(film.references.paths),
        "encoder": [film.plan.encoder.name, *map(str, sorted(film.plan.options.items()))],
        "engine": str(colorizer.spec),
        "network": colorizer.spec.fingerprint,
        "program": program_version(),
        "libraries": [str(av.library_versions), cv2.__version__, np.__version__],
    }


def fingerprint(source: Path) -> list[str]:
    """Return what identifies a source: its name, size and modification time, and a hash of both its ends.

    For a folder: the same of every file in it, without the hashes.
    """
    if source.is_dir():
        files = sorted(source.iterdir())
        return [f"{path.name} {(state := path.stat()).st_size} {state.st_mtime_ns}" for path in files]
    state = source.stat()
    with source.open("rb") as file:
        ends = hashlib.blake2b(file.read(_HASHED_ENDS), digest_size=16)
        file.seek(max(0, state.st_size - _HASHED_ENDS), os.SEEK_SET)
        ends.update(file.read(_HASHED_ENDS))
    return [source.name, str(state.st_size), str(state.st_mtime_ns), ends.hexdigest()]


class SegmentMaker:
    """Writes one process's share of the ``segments`` of ``job``.

    `complete` is for their owner, `help` for others. Both raise `Cancelled` between two segments when the job's
    ``stop`` is made; `OutputError`, `InputError`.
    """

    def __init__(self, job: SegmentJob, segments: SegmentFolder) -> None:
        """Raise the errors of `Colouring`."""
        self._job, self._segments = job, segments
        self._colouring = Colouring(job.film, job.colorizer)

    def complete(self, read_log: ReadLog) -> ShotLog:
        """Write all unclaimed segments, and wait for the others; return the shots of the film.

        ``read_log`` counts its frames. Segments claimed by a process that died are written in another pass.
        """
        segments, name = self._segments, self._job.name
        if segments.frames:
            logger.info("%s: resumes with %d frames, in %s", name, segments.frames, segment_folder(segments.final))
            self._job.progress.say(f"{name}: {count(segments.frames, 'frame')} done in an earlier run")
            self._job.progress.advance(name, segments.frames)
        extents = self._read(read_log, is_owner=True)
        waits_since = time.monotonic()
        while missing := _missing(segments, extents):
            if self._goes_on(is_owner=True) and all(segments.is_claimed(number) for number in missing):
                self._job.stop.check()
                if time.monotonic() - waits_since > _SAYS_IT_WAITS:
                    self._job.progress.say(f"{name}: waits for {len(missing):,} segments that other workers are at")
                    waits_since = time.monotonic()
                time.sleep(_LOOKS_EVERY)
            elif not self._count_others():
                self._read(ReadLog(luma=False), is_owner=True)
        return ShotLog.joined(self._job.film, (segments.segments[number].summary for number in range(len(extents))))

    def help(self) -> None:
        """Write unclaimed segments until the film has been read or its owner is done."""
        self._read(ReadLog(luma=False), is_owner=False)

    def _read(self, read_log: ReadLog, *, is_owner: bool) -> list[tuple[int, int]]:
        """Read the film, write all unclaimed segments, and return first frame and length of every segment."""
        extents: list[tuple[int, int]] = []
        with closing(self._colouring.parts(read_log, at_least=self._job.segment_frames)) as parts:
            for part in parts:
                self._job.stop.check()
                with self._segments.claimed(part.number, first=part.first, is_owner=is_owner) as writer:
                    if writer is not None:
                        self._write(part, writer)
                if is_owner:
                    self._count_others()
                for number, _ in enumerate(part.frames):
                    if number % _CHECKED_EVERY == 0 and not self._goes_on(is_owner=is_owner):
                        return extents
                extents.append((part.first, part.count))
        return extents

    def _goes_on(self, *, is_owner: bool) -> bool:
        """Tell whether segments are still in use; if not, their owner raises `OutputError`."""
        self._job.stop.check_at_once()
        if self._segments.is_open():
            return True
        if is_owner:
            raise OutputError(f"{self._segments.final}: its segments were deleted meanwhile", advice="Run again.")
        return False

    def _count_others(self) -> bool:
        """Count the work of other processes; tell whether there was any."""
        found = self._segments.look()
        if found:
            self._job.progress.advance(self._job.name, found)
        return found > 0

    def _write(self, part: Part, writer: SegmentWriter) -> None:
        film, final = self._job.film, self._job.final
        log = ShotLog(film, part.first)
        with refusals(final, film.plan):
            encoder = new_encoder(film.info, film.plan, film.colors)
        with closing(self._colouring.frames(part)) as frames:
            for record in frames:
                if record.frame.timestamp.pts < 0:
                    raise InputError(f"{self._job.name}: starts before time zero", advice="Remux it to Matroska first.")
                with refusals(final, film.plan):
                    writer.add(encode(encoder, record.frame, film.colors))
                log.add(record)
                self._job.progress.advance(self._job.name)
        with refusals(final, film.plan):
            writer.add(drain(encoder, frames=log.frames))
        writer.finish(frames=log.frames, summary=log.summary())
        logger.debug("%s: segment %d of %d frames is complete", self._job.name, part.number, log.frames)


def _missing(segments: SegmentFolder, extents: Sequence[tuple[int, int]]) -> list[int]:
    """Delete segments that do not hold the frames they should; return the numbers of all that are missing."""
    for number, segment in list(segments.segments.items()):
        if number >= len(extents) or (segment.first, segment.frames) != extents[number]:
            logger.warning("%s: by one who found other cuts; deleted", segment.path)
            segments.discard(number)
    return [number for number in range(len(extents)) if number not in segments.segments]
