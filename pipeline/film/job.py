"""One film, file to file: how a frame flows from the source to the result is written in `colorize_video`."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path, PurePath

from pipeline.callbacks import guarded
from pipeline.color.colorizer import Colorizer, lent
from pipeline.color.scene_memory import SceneMemory
from pipeline.color.shots import find_shots
from pipeline.color.temporal import predict_chroma
from pipeline.color.triage import judge_shots
from pipeline.corrections import correction_at
from pipeline.film.frames import DECLARATION, FilmFrame, FilmSource, beside, film_source, paint
from pipeline.film.reference_frames import FilmReferences, film_references
from pipeline.film.segments import SEGMENT_FRAMES, kept_segments, remembered, write_segments
from pipeline.film.shot_records import ShotLog
from pipeline.film.stated_frames import StatedFrames, stated_frames
from pipeline.film.verification import verify
from pipeline.interruption import StopRequest
from pipeline.media.film_plan import plan_film
from pipeline.media.probe import probe
from pipeline.media.read_log import ReadLog
from pipeline.media.video_plan import VideoPlan, plan_video
from pipeline.media.writer import FilmWriter, Written
from pipeline.options import Options, TreatAs
from pipeline.originals import NO_ORIGINALS, Originals
from pipeline.progress import Progress, Silent, announced
from pipeline.publish import check_target, publishing
from pipeline.reference_files import ReferenceFiles
from pipeline.results import FilmResult, Note, NoteKind
from pipeline.stages import ahead

logger = logging.getLogger(__name__)

# Frames that wait between two threads.
_DEPTH = 4


def colorize_video(
    source: Path | str,
    output: Path | str | None = None,
    options: Options | None = None,
    *,
    correction: Path | None = None,
    item: PurePath | None = None,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
    originals: Originals = NO_ORIGINALS,
    segment_frames: int = SEGMENT_FRAMES,
    stop: StopRequest | None = None,
) -> FilmResult:
    """Colour the film ``source`` into ``output``, by default a name beside it, and return what was done.

    ``source`` is a file, or a folder of numbered pictures; the suffix of ``output`` chooses the container. An engine is
    opened for it, or ``colorizer`` is used and left open. A film of more than four times ``segment_frames`` frames is
    written in segments, kept in a hidden folder beside ``output``: if the run dies or is cancelled, the next one
    resumes after the last complete segment. ``correction`` is the file of what a person set right about it, which need
    not exist; ``item`` is the path by which a tree of references knows it, see `film_references`. Where ``stop`` is
    made, the film ends after the segment under way, with `Cancelled`. Neither ``source`` nor any of ``originals`` is
    ever replaced. Raises the errors of `pipeline.errors`, `LockedError` while another run colours the same film; then
    nothing stands under the final name that was not there before.
    """
    started = time.monotonic()
    source, stop = Path(source), stop or StopRequest()
    options, references = stated(source, options or Options(), correction, item)
    output = None if output is None else Path(output)
    originals = originals.and_of(source)
    if output is not None:
        originals.check(output)
    suffix = None if output is None else output.suffix
    planned = plan_film(source, options, suffix=suffix)
    info, plan, streams = planned.info, planned.video, planned.streams
    final = output or beside(source, _ending(plan))
    check_target(final, overwrite=options.overwrite, originals=originals)
    logger.info("%s: %d x %d, %s, %s frames", source, info.width, info.height, info.codec, info.frame_count)
    film = film_source(info, plan, options, references)
    read_log = ReadLog(luma=plan.encoder.is_lossless)
    with (
        guarded(progress or Silent(), stop) as progress,
        lent(colorizer, options, progress=progress) as colorizer,
        announced(progress, str(info.path), info.frame_count, "frames"),
        kept_segments(
            film, final, colorizer, segment_frames=segment_frames, originals=originals, progress=progress
        ) as segments,
        publishing(final, overwrite=options.overwrite, originals=originals) as temporary,
    ):
        stop.check()
        notes = [*colorizer.notes(), *_assumptions(film), *planned.notes]
        _tell(progress, source, notes)
        skip, memory = 0, None
        if segments is not None and segments.frames:
            skip, memory = segments.frames, remembered(segments)
        writer = FilmWriter(
            info,
            plan,
            streams,
            temporary,
            final=final,
            colors=film.colors,
            metadata=_provenance(film, colorizer),
            on_damage=options.on_damage,
        )
        looked_at = stated_frames(film, colorizer)
        with closing(coloured_frames(film, colorizer, read_log, skip=skip, memory=memory, stated=looked_at)) as frames:
            if segments is None:
                written, log = _write(frames, film, writer, progress)
            else:
                log = write_segments(frames, segments, film, progress, segment_frames=segment_frames, stop=stop)
                written = segments.join(writer)
        again = partial(film.decode, ReadLog(luma=False)) if options.verify else None
        verification, found = verify(info, written, temporary, read_log=read_log, final=final, again=again)
        late = (*log.notes(), *read_log.notes, *written.notes, *found)
        _tell(progress, source, late)
    logger.info("%s: %d frames in %.1f s", final, written.frames, time.monotonic() - started)
    return FilmResult(
        source=source,
        output=final,
        frames=written.frames,
        seconds=round(time.monotonic() - started, 3),
        codec=plan.codec.value,
        engine=colorizer.spec.engine,
        model=colorizer.spec.model,
        weights_sha256=colorizer.spec.weights_sha256,
        origin=colorizer.origin,
        streams=tuple(str(stream) for stream in streams),
        notes=(*notes, *late),
        verification=verification,
        shots=log.shots,
        measures=log.measures,
        previews=log.previews,
        references=references.paths,
    )


def stated(
    film: Path, options: Options, correction: Path | None, item: PurePath | None = None
) -> tuple[Options, FilmReferences]:
    """Return ``options`` with what a person set right about ``film``, and its references, see `colorize_video`.

    Raises `InputError` for a correction that is broken and for references that cannot be used.
    """
    corrected = correction_at(correction)
    chosen = () if correction is None else corrected.reference_files(correction)
    references = film_references(film, ReferenceFiles(options.reference), item=item, chosen=chosen)
    return corrected.applied(options), references


def coloured_frames(
    film: FilmSource,
    colorizer: Colorizer,
    read_log: ReadLog,
    *,
    skip: int = 0,
    memory: SceneMemory | None = None,
    stated: StatedFrames | None = None,
) -> Generator[FilmFrame, None, None]:
    """Yield every frame of the film with its final chroma; decoding and colouring run ahead in a thread each.

    The first ``skip`` frames are read and counted, but not coloured and not yielded. If the one after them begins a
    shot, those that are yielded are what they would be otherwise; ``memory`` is that frame's, from the earlier run.
    ``stated`` is what a person states about frames of the film.
    """
    options, statements = film.options, () if stated is None else stated.statements()

    def colour() -> Generator[FilmFrame, None, None]:
        with closing(ahead(film.decode(read_log), depth=_DEPTH, name="decode", threads=options.threads)) as decoded:
            frames = film.records(decoded, colorizer, skip=skip)
            frames = frames if stated is None else stated.attached(frames)
            frames = find_shots(frames)
            is_lent = bool(film.references.paths)
            frames = judge_shots(frames, film.tone_evidence, options, usual=film.usual_tone(), is_lent=is_lent)
            frames = predict_chroma(
                frames,
                colorizer.examine_all,
                options,
                stride=colorizer.spec.stride,
                memory=memory,
                statements=statements,
            )
            yield from paint(frames, film.spec)

    return ahead(colour(), depth=_DEPTH, name="colour", threads=options.threads)


def _write(
    frames: Iterable[FilmFrame], film: FilmSource, writer: FilmWriter, progress: Progress
) -> tuple[Written, ShotLog]:
    log = ShotLog(film)
    with writer:
        for record in frames:
            writer.write(record.frame)
            log.add(record)
            progress.advance(str(film.info.path))
        return writer.finish(), log


def _tell(progress: Progress, source: Path, notes: Iterable[Note]) -> None:
    for note in notes:
        progress.note(str(source), note)


def _assumptions(film: FilmSource) -> tuple[Note, ...]:
    own = "a result of Autochrome: its colours are kept; --treat-as monochrome colours it anew"
    return tuple(Note(NoteKind.ASSUMED, text) for text in (*([own] if film.is_own else []), *film.spec.assumed))


def _provenance(film: FilmSource, colorizer: Colorizer) -> dict[str, str]:
    """Declare the colour where players show it, or under a key of its own if that place is taken.

    Where no colour is made, whatever the shots are taken for, there is nothing to declare.
    """
    options = film.options
    if options.treat_as is TreatAs.COLOUR or not (options.makes_colour or film.references.paths):
        return {}
    key = "AI_COLOUR" if any(name.lower() == "comment" for name in film.info.metadata) else "comment"
    return {key: f"{DECLARATION}, model {colorizer.weights}"}


def default_output(source: Path, options: Options) -> Path:
    """Return ``film.colorized.mp4`` (or .mov, .mkv, as the film and ``options`` ask) beside ``source``.

    ``source`` is a file, or a folder of numbered pictures. Opens the film to see what it holds; raises
    `InputError` or `UsageError`.
    """
    return outline(source, options)[0]


def outline(source: Path, options: Options) -> tuple[Path, int]:
    """Return `default_output` and how much work the film is: its frames times its pixels; 0 if not known."""
    info = probe(source, rate=options.frame_rate)
    plan = plan_video(info, options.codec, options.quality)
    return beside(source, _ending(plan)), (info.frame_count or 0) * info.width * info.height


def _ending(plan: VideoPlan) -> str:
    return f".colorized{plan.suffix}"
