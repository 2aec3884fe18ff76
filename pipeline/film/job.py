"""Colouring of one film, file to file; `colorize_video` shows how frames get from source to result."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath

from pipeline.callbacks import guarded
from pipeline.color.colorizer import Colorizer, given_or_opened
from pipeline.color.statements import Statement
from pipeline.corrections import correction_at
from pipeline.film.colouring import Colouring
from pipeline.film.frames import DECLARATION, NO_NEW_COLOUR, FilmSource, beside, film_source
from pipeline.film.reference_frames import FilmReferences, film_references
from pipeline.film.segment_folder import check_segment_folder
from pipeline.film.segments import SegmentJob, SegmentMaker, helped_segments, kept_segments
from pipeline.film.shot_records import ShotLog
from pipeline.film.verification import verify
from pipeline.interruption import StopRequest
from pipeline.media.film_plan import plan_film
from pipeline.media.probe import FilmInfo, probe
from pipeline.media.read_log import ReadLog
from pipeline.media.stream_plan import StreamPlan
from pipeline.media.tag_text import replace_tag_text
from pipeline.media.video_plan import VideoPlan, plan_video
from pipeline.media.writer import FilmWriter, Written
from pipeline.options import SEGMENT_FRAMES, Options, TreatAs
from pipeline.originals import NO_ORIGINALS, Originals, is_folder
from pipeline.progress import Progress, Silent, announced
from pipeline.publish import check_target, publishing
from pipeline.reference_files import ReferenceFiles
from pipeline.results import Doubt, FilmResult, Note, NoteKind, shell_line

logger = logging.getLogger(__name__)


def colorize_video(
    source: Path | str,
    output: Path | str | None = None,
    options: Options | None = None,
    *,
    correction: Path | None = None,
    item: PurePath | None = None,
    references: FilmReferences | None = None,
    elsewhere: tuple[Statement, ...] = (),
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
    originals: Originals = NO_ORIGINALS,
    segment_frames: int = SEGMENT_FRAMES,
    stop: StopRequest | None = None,
    description: str = "",
) -> FilmResult:
    """Colour the film ``source`` into ``output``, by default a file beside it, and return what was done.

    ``source`` is a file or a folder of numbered pictures. The suffix of ``output`` selects the container; if ``output``
    is an existing folder, the result gets its default name there. An engine is opened for the film, unless
    ``colorizer`` is given, which is left open. A film of more than twice ``segment_frames`` frames is written in
    segments, kept in a hidden folder beside ``output``: if the run dies or is cancelled, the next one reuses the
    complete segments; `help_with_video` may write some of them. ``correction`` is the file with a person's corrections
    to the film, which need not exist. ``item`` is the film's path in a tree of references, see `film_references`;
    ``references``, if given, replace its result. ``elsewhere`` are statements about frames of a film of which
    ``source`` is a part. When ``stop`` is made, the film ends after the current segment, with
    `Cancelled`. ``description`` goes into the tags of a result that is not a whole film. ``source`` and ``originals``
    are never replaced. Raises the errors of `pipeline.errors`, `LockedError` while another run colours the same film;
    after an error, what is under the final name is what was there before.
    """
    started = time.monotonic()
    source, stop = Path(source), stop or StopRequest()
    corrected, own_references = with_correction(source, options or Options(), correction, item)
    planned = _planned(source, output, corrected, own_references if references is None else references, originals)
    planned = replace(planned, film=replace(planned.film, elsewhere=elsewhere))
    film, final, originals = planned.film, planned.final, planned.originals
    info, plan, streams = film.info, film.plan, planned.streams
    check_target(final, overwrite=film.options.overwrite, originals=originals)
    logger.info("%s: %d x %d, %s, %s frames", source, info.width, info.height, info.codec, info.frame_count)
    read_log = ReadLog(luma=plan.encoder.is_lossless)
    with (
        guarded(progress or Silent(), stop) as progress,
        given_or_opened(colorizer, film.options, progress=progress) as colorizer,
        announced(progress, str(info.path), info.frame_count, "frames"),
        kept_segments(job := planned.segment_job(colorizer, segment_frames, progress, stop)) as segments,
        publishing(final, overwrite=film.options.overwrite, originals=originals) as temporary,
    ):
        stop.check()
        notes = [*colorizer.notes(), *_assumptions(film), *planned.notes]
        _tell(progress, source, notes)
        declared = _provenance(film, colorizer)
        writer = FilmWriter(
            info,
            plan,
            streams,
            temporary,
            final=final,
            colors=film.colors,
            metadata={**declared, **({"description": description} if description else {})},
            on_damage=film.options.on_damage,
        )
        if segments is None:
            written, log = _write(film, colorizer, read_log, writer, progress)
        else:
            log = SegmentMaker(job, segments).complete(read_log)
            written = segments.join(writer)
        if not log.has_new_colour:
            for text in declared.values():
                replace_tag_text(temporary, text, NO_NEW_COLOUR)
        again = partial(film.decode, ReadLog(luma=False)) if film.options.verify else None
        verification, container_losses = verify(info, written, temporary, read_log=read_log, final=final, again=again)
        late = (*log.notes(), *read_log.notes, *written.notes, *container_losses)
        _tell(progress, source, late)
    logger.info("%s: %d frames in %.1f s", final, written.frames, time.monotonic() - started)
    return FilmResult(
        source=source,
        output=final,
        frames=written.frames,
        seconds=round(time.monotonic() - started, 3),
        codec=plan.codec,
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
        references=film.references.paths,
        doubts=tuple(_with_command(doubt, source, final) for doubt in log.doubts),
    )


def help_with_video(
    source: Path,
    output: Path,
    options: Options,
    *,
    correction: Path | None = None,
    item: PurePath | None = None,
    colorizer: Colorizer,
    progress: Progress,
    originals: Originals = NO_ORIGINALS,
    segment_frames: int = SEGMENT_FRAMES,
    stop: StopRequest,
) -> None:
    """Write segments of the film that `colorize_video` in another process is making from the same ``source``.

    The arguments are those of `colorize_video`. The result is the same however many processes help. Returns when
    nothing is left to do: at once if the other has not begun, is done, or works differently. ``progress`` counts
    the frames written here. Raises the errors of `colorize_video`, which the other process will meet as well.
    """
    options, references = with_correction(source, options, correction, item)
    planned = _planned(source, output, options, references, originals)
    with (
        guarded(progress, stop) as progress,
        helped_segments(job := planned.segment_job(colorizer, segment_frames, progress, stop)) as segments,
    ):
        if segments is not None:
            SegmentMaker(job, segments).help()


@dataclass(frozen=True, kw_only=True)
class _Planned:
    """A film to colour, the name ``final`` of its result, and ``originals``, which must not be replaced.

    ``streams`` are the streams other than the picture; ``notes`` list what will not be kept.
    """

    film: FilmSource
    final: Path
    originals: Originals
    streams: tuple[StreamPlan, ...]
    notes: tuple[Note, ...]

    def segment_job(
        self, colorizer: Colorizer, segment_frames: int, progress: Progress, stop: StopRequest
    ) -> SegmentJob:
        return SegmentJob(
            film=self.film,
            final=self.final,
            originals=self.originals,
            colorizer=colorizer,
            segment_frames=segment_frames,
            progress=progress,
            stop=stop,
        )


def _planned(
    source: Path, output: Path | str | None, options: Options, references: FilmReferences, originals: Originals
) -> _Planned:
    originals = originals.and_of(source, *references.paths)
    folder = None if output is None or not is_folder(Path(output)) else Path(output)
    named = None if output is None or folder is not None else Path(output)
    if named is not None:
        originals.check(named)
    plan = plan_film(source, options, suffix=None if named is None else named.suffix)
    film = film_source(plan.info, plan.video, options, references)
    final = beside(source, _suffix(plan.video)) if named is None else named
    if folder is not None:
        final = folder / final.name
    check_segment_folder(final, originals=originals)
    return _Planned(film=film, final=final, originals=originals, streams=plan.streams, notes=plan.notes)


def with_correction(
    film: Path, options: Options, correction: Path | None, item: PurePath | None = None
) -> tuple[Options, FilmReferences]:
    """Return ``options`` with a person's corrections to ``film`` applied, and its references, see `colorize_video`.

    Raises `InputError` for an invalid correction and for references that cannot be used.
    """
    corrected = correction_at(correction)
    chosen = () if correction is None else corrected.reference_files(correction)
    references = film_references(film, ReferenceFiles(options.reference), item=item, chosen=chosen)
    return corrected.applied(options), references


def _write(
    film: FilmSource, colorizer: Colorizer, read_log: ReadLog, writer: FilmWriter, progress: Progress
) -> tuple[Written, ShotLog]:
    """Write the film in one go, as one part."""
    colouring, log = Colouring(film, colorizer), ShotLog(film)
    with closing(colouring.parts(read_log, at_least=None)) as parts, writer:
        for part in parts:
            with closing(colouring.frames(part)) as frames:
                for record in frames:
                    writer.write(record.frame)
                    log.add(record)
                    progress.advance(str(film.info.path))
        return writer.finish(), log


def _with_command(doubt: Doubt, source: Path, output: Path) -> Doubt:
    paths = shell_line([str(source), "-o", str(output)])
    return replace(doubt, command=f"colorize-video {paths} --overwrite {doubt.reverse}")


def _tell(progress: Progress, source: Path, notes: Iterable[Note]) -> None:
    for note in notes:
        progress.note(str(source), note)


def _assumptions(film: FilmSource) -> tuple[Note, ...]:
    own = "a result of Autochrome: its colours are kept; --treat-as monochrome colours it again"
    return tuple(Note(NoteKind.ASSUMED, text) for text in (*([own] if film.is_own else []), *film.color_spec.assumed))


def _provenance(film: FilmSource, colorizer: Colorizer) -> dict[str, str]:
    """Declare the added colour in the tag that players show, or under a separate key if that tag is taken.

    If no colour is made, whatever the treatment of the shots, there is nothing to declare.
    """
    options = film.options
    if options.treat_as is TreatAs.COLOUR or not (options.makes_colour or film.references.paths):
        return {}
    key = "AI_COLOUR" if any(name.lower() == "comment" for name in film.info.metadata) else "comment"
    return {key: f"{DECLARATION}, model {colorizer.weights}"}


def default_output(info: FilmInfo, options: Options) -> Path:
    """Return ``film.colorized.mp4`` (or .mov, .mkv, by film and ``options``) beside the film ``info``.

    Raises `InputError` or `UsageError`.
    """
    return beside(info.path, _suffix(plan_video(info, options.codec, options.quality)))


def outline(source: Path, options: Options) -> tuple[Path, int]:
    """Return `default_output` of the film ``source`` and its amount of work: frames times pixels, 0 if unknown.

    Opens the film to probe it. Raises `InputError` or `UsageError`.
    """
    info = probe(source, rate=options.frame_rate)
    return default_output(info, options), (info.frame_count or 0) * info.width * info.height


def _suffix(plan: VideoPlan) -> str:
    return f".colorized{plan.suffix}"
