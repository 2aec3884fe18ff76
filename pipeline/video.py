"""One film, file to file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.boundaries import in_order
from pipeline.color.painter import Painter, lent
from pipeline.color.spaces import ColorSpec
from pipeline.media.encode import VideoPlan, plan_video
from pipeline.media.probe import ColorTags, FilmInfo, probe
from pipeline.media.publish import publishing
from pipeline.media.remux import Sink, Written
from pipeline.media.streams import plan_streams, stream_notes
from pipeline.media.tally import Tally
from pipeline.media.verify import verify
from pipeline.options import Options
from pipeline.painted import FilmSource, film_source
from pipeline.progress import Progress, Silent
from pipeline.results import FilmResult, Note, NoteKind
from pipeline.shotlog import ShotLog
from pipeline.winding import REEL_FRAMES, kept_reels, wind


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
    painter: Painter | None = None,
    progress: Progress | None = None,
    reel_frames: int = REEL_FRAMES,
    between_reels: Callable[[], None] = lambda: None,
) -> FilmResult:
    """Colour the film ``source`` into ``output``, by default a name beside it, and return what was done.

    ``source`` is a file, or a folder of numbered pictures; the suffix of ``output`` chooses the container. An engine
    is opened for it, or ``painter`` is used and left open. A film of more than four times ``reel_frames`` frames is
    kept in reels on its way, in a hidden folder beside ``output``: if the run dies or is cancelled, the next one goes
    on after the last of them. ``between_reels`` is called after each but the last; what it raises stops the film where
    no frame is lost. Raises the errors of `pipeline.errors`; then nothing stands under the final name that was not
    there before.
    """
    started = time.monotonic()
    source, options = Path(source), options or Options()
    output = None if output is None else Path(output)
    info = probe(source, rate=options.frame_rate)
    suffix = None if output is None else output.suffix
    plan = plan_video(info, options.codec, options.quality, suffix=suffix, deinterlace=options.deinterlace)
    final = output or _beside(source, plan)
    streams = plan_streams(info, plan)
    film = film_source(info, plan, options)
    spec = film.spec
    tally = Tally(luma=plan.encoder.is_lossless)
    with (
        in_order(progress or Silent()) as progress,
        lent(painter, options, progress=progress) as painter,
        _announced(progress, info),
        kept_reels(film, final, painter, reel_frames) as reels,
        publishing(final, overwrite=options.overwrite) as temporary,
    ):
        notes = [*painter.notes(), *_assumptions(spec), *plan.notes, *stream_notes(streams)]
        for note in notes:
            progress.note(str(source), note)
        sink = Sink(
            info,
            plan,
            streams,
            temporary,
            final=final,
            colors=_tags(info, spec),
            metadata=_provenance(info, painter),
            on_damage=options.on_damage,
        )
        if reels is None:
            written, log = _written(film, sink, painter, tally, progress)
        else:
            log = wind(film, reels, painter, tally, _tags(info, spec), final, progress, reel_frames, between_reels)
            with sink:
                sink.append(reels.packets(), frames=reels.frames)
                written = sink.finish()
        again = partial(film.decoded, Tally(luma=False)) if options.verify else None
        verification, found = verify(info, written, temporary, tally=tally, final=final, again=again)
        late = (*log.notes(), *tally.notes, *written.notes, *found)
        for note in late:
            progress.note(str(source), note)
    return FilmResult(
        source=source,
        output=final,
        frames=written.frames,
        seconds=round(time.monotonic() - started, 3),
        codec=plan.codec.value,
        engine=painter.spec.engine,
        model=painter.spec.model,
        weights_sha256=painter.spec.weights_sha256,
        streams=tuple(str(stream) for stream in streams),
        notes=(*notes, *late),
        verification=verification,
        shots=log.shots,
        measures=log.measures,
        previews=log.previews,
    )


def _written(
    film: FilmSource, sink: Sink, painter: Painter, tally: Tally, progress: Progress
) -> tuple[Written, ShotLog]:
    log = ShotLog(film)
    with sink, closing(film.painted(painter, tally)) as ready:
        for painted in ready:
            sink.write(painted.frame)
            log.add(painted)
            progress.advance(str(film.info.path))
        return sink.finish(), log


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


def _provenance(info: FilmInfo, painter: Painter) -> dict[str, str]:
    """Declare the colour where players show it, or under a key of its own if that place is taken."""
    key = "AI_COLOUR" if any(name.lower() == "comment" for name in info.metadata) else "comment"
    return {key: f"Colour made by artificial intelligence: Autochrome, model {painter.weights}"}
