"""One film, file to file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.callbacks import in_order
from pipeline.color.colorizer import Colorizer, lent
from pipeline.color.spaces import ColorSpec
from pipeline.film.frames import FilmSource, film_source
from pipeline.film.segments import SEGMENT_FRAMES, kept_segments, write_segments
from pipeline.film.shot_records import ShotLog
from pipeline.film.verification import verify
from pipeline.media.packet_scan import survey
from pipeline.media.probe import ColorTags, FilmInfo, probe
from pipeline.media.read_log import ReadLog
from pipeline.media.stream_plan import plan_streams, stream_notes
from pipeline.media.video_plan import VideoPlan, plan_video
from pipeline.media.writer import FilmWriter, Written
from pipeline.options import Options
from pipeline.originals import NO_ORIGINALS, Originals
from pipeline.progress import Progress, Silent
from pipeline.publish import publishing
from pipeline.results import FilmResult, Note, NoteKind


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
    return _beside(source, plan), (info.frame_count or 0) * info.width * info.height


def _beside(source: Path, plan: VideoPlan) -> Path:
    whole = source if source.name not in ("", "..") else source.resolve()
    stem = whole.name if whole.is_dir() else whole.stem
    return whole.with_name(f"{stem}.colorized{plan.suffix}")


def colorize_video(
    source: Path | str,
    output: Path | str | None = None,
    options: Options | None = None,
    *,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
    originals: Originals = NO_ORIGINALS,
    segment_frames: int = SEGMENT_FRAMES,
    between_segments: Callable[[], None] = lambda: None,
) -> FilmResult:
    """Colour the film ``source`` into ``output``, by default a name beside it, and return what was done.

    ``source`` is a file, or a folder of numbered pictures; the suffix of ``output`` chooses the container. An engine is
    opened for it, or ``colorizer`` is used and left open. A film of more than four times ``segment_frames`` frames is
    kept in segments on its way, in a hidden folder beside ``output``: if the run dies or is cancelled, the next one
    goes on after the last of them. ``between_segments`` is called after each but the last; what it raises stops the
    film where no frame is lost. Neither ``source`` nor any of ``originals`` is ever replaced. Raises the errors of
    `pipeline.errors`; then nothing stands under the final name that was not there before.
    """
    started = time.monotonic()
    source, options = Path(source), options or Options()
    output = None if output is None else Path(output)
    originals = originals.and_of(source)
    if output is not None:
        originals.check(output)
    info = survey(source, rate=options.frame_rate)
    suffix = None if output is None else output.suffix
    plan = plan_video(info, options.codec, options.quality, suffix=suffix, deinterlace=options.deinterlace)
    final = output or _beside(source, plan)
    streams = plan_streams(info, plan)
    film = film_source(info, plan, options)
    spec = film.spec
    read_log = ReadLog(luma=plan.encoder.is_lossless)
    with (
        in_order(progress or Silent()) as progress,
        lent(colorizer, options, progress=progress) as colorizer,
        _announced(progress, info),
        kept_segments(film, final, colorizer, segment_frames, originals) as segments,
        publishing(final, overwrite=options.overwrite, originals=originals) as temporary,
    ):
        notes = [*colorizer.notes(), *_assumptions(spec), *info.notes, *plan.notes, *stream_notes(streams)]
        for note in notes:
            progress.note(str(source), note)
        writer = FilmWriter(
            info,
            plan,
            streams,
            temporary,
            final=final,
            colors=_tags(info, spec),
            metadata=_provenance(info, colorizer),
            on_damage=options.on_damage,
        )
        if segments is None:
            written, log = _written(film, writer, colorizer, read_log, progress)
        else:
            log = write_segments(
                film,
                segments,
                colorizer,
                read_log,
                _tags(info, spec),
                final,
                progress,
                segment_frames,
                between_segments,
            )
            with writer:
                writer.append(segments.packets(), frames=segments.frames)
                written = writer.finish()
        again = partial(film.decoded, ReadLog(luma=False)) if options.verify else None
        verification, found = verify(info, written, temporary, read_log=read_log, final=final, again=again)
        late = (*log.notes(), *read_log.notes, *written.notes, *found)
        for note in late:
            progress.note(str(source), note)
    return FilmResult(
        source=source,
        output=final,
        frames=written.frames,
        seconds=round(time.monotonic() - started, 3),
        codec=plan.codec.value,
        engine=colorizer.spec.name,
        model=colorizer.spec.model,
        weights_sha256=colorizer.spec.weights_sha256,
        streams=tuple(str(stream) for stream in streams),
        notes=(*notes, *late),
        verification=verification,
        shots=log.shots,
        measures=log.measures,
        previews=log.previews,
    )


def _written(
    film: FilmSource, writer: FilmWriter, colorizer: Colorizer, read_log: ReadLog, progress: Progress
) -> tuple[Written, ShotLog]:
    log = ShotLog(film)
    with writer, closing(film.painted(colorizer, read_log)) as ready:
        for painted in ready:
            writer.write(painted.frame)
            log.add(painted)
            progress.advance(str(film.info.path))
        return writer.finish(), log


@contextmanager
def _announced(progress: Progress, info: FilmInfo) -> Iterator[None]:
    progress.begin(str(info.path), info.frame_count, "frames")
    try:
        yield
    finally:
        progress.end(str(info.path))


def _assumptions(spec: ColorSpec) -> tuple[Note, ...]:
    return tuple(Note(NoteKind.ASSUMED, text) for text in spec.assumed)


def _tags(info: FilmInfo, spec: ColorSpec) -> ColorTags:
    """Return the source's tags, with what was assumed now said: the chroma was made with it."""
    matrix = spec.matrix_tag if spec.assumed_matrix else info.colors.matrix
    return replace(info.colors, matrix=matrix, range=spec.range_tag)


def _provenance(info: FilmInfo, colorizer: Colorizer) -> dict[str, str]:
    """Declare the colour where players show it, or under a key of its own if that place is taken."""
    key = "AI_COLOUR" if any(name.lower() == "comment" for name in info.metadata) else "comment"
    return {key: f"Colour made by artificial intelligence: Autochrome, model {colorizer.weights}"}
