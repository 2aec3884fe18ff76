"""One film, file to file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from pipeline.color.painter import Painter
from pipeline.color.sketch import Turn
from pipeline.color.spaces import ColorSpec, resolve_film
from pipeline.color.tone import SourceTone, ToneEvidence, Treatment, evidence
from pipeline.color.upsampling import wash
from pipeline.media.decode import frames
from pipeline.media.encode import VideoPlan, plan_video
from pipeline.media.frames import Frame, Plane
from pipeline.media.probe import ColorTags, FilmInfo, probe
from pipeline.media.publish import publishing
from pipeline.media.remux import Sink
from pipeline.media.streams import plan_streams, stream_notes
from pipeline.media.tally import Tally
from pipeline.media.verify import verify
from pipeline.options import Options
from pipeline.progress import Progress, Silent
from pipeline.results import FilmResult, Note, NoteKind
from pipeline.stages import ahead

# Less than for photographs: frames are softer, and the network sees more of the scene at once.
_SKETCH_SIZE = 192
_EVIDENCE_SIDE = 64
_DEPTH = 4


Tones: TypeAlias = Counter[tuple[Treatment, SourceTone]]


def default_output(source: Path, options: Options) -> Path:
    """Return ``film.colorized.mp4`` (or .mov, .mkv, as the film and ``options`` ask) beside ``source``.

    ``source`` is a file, or a folder of numbered pictures. Opens the film to see what it holds; raises
    `InputError` or `UsageError`.
    """
    return _beside(source, plan_video(probe(source, rate=options.frame_rate), options.codec, options.quality))


def _beside(source: Path, plan: VideoPlan) -> Path:
    whole = source if source.name not in ("", "..") else source.resolve()
    stem = whole.name if whole.is_dir() else whole.stem
    return whole.with_name(f"{stem}.colorized{plan.suffix}")


def colorize_video(
    source: Path, output: Path | None, options: Options, *, painter: Painter, progress: Progress | None = None
) -> FilmResult:
    """Colour the film ``source`` into ``output``, by default a name beside it, and return what was done.

    ``source`` is a file, or a folder of numbered pictures; the suffix of ``output`` chooses the container. Raises
    the errors of `pipeline.errors`; then nothing stands under the final name that was not there before.
    """
    started = time.monotonic()
    progress = progress or Silent()
    info = probe(source, rate=options.frame_rate)
    suffix = None if output is None else output.suffix
    plan = plan_video(info, options.codec, options.quality, suffix=suffix, deinterlace=options.deinterlace)
    final = output or _beside(source, plan)
    streams = plan_streams(info, plan)
    spec = _color_spec(info, plan)
    notes = [*painter.notes(), *_assumptions(spec), *plan.notes, *stream_notes(streams)]
    for note in notes:
        progress.note(str(source), note)

    tones = Tones()
    tally = Tally(luma=plan.encoder.is_lossless)
    with _announced(progress, info), publishing(final, overwrite=options.overwrite) as temporary:
        with (
            Sink(
                info,
                plan,
                streams,
                temporary,
                final=final,
                colors=_tags(info, spec),
                metadata=_provenance(info, painter),
                on_damage=options.on_damage,
            ) as sink,
            closing(_painted(info, plan, spec, painter, tally, options, tones)) as painted,
        ):
            for frame in painted:
                sink.write(frame)
                progress.advance(str(source))
            written = sink.finish()
        again = partial(_reading, info, plan, spec, Tally(luma=False), options) if options.verify else None
        verification, found = verify(info, written, temporary, tally=tally, final=final, again=again)
        late = (*_tone_notes(tones), *tally.notes, *written.notes, *found)
        for note in late:
            progress.note(str(source), note)
    return FilmResult(
        source=source,
        output=final,
        frames=written.frames,
        seconds=round(time.monotonic() - started, 3),
        codec=plan.codec.value,
        engine=painter.spec.name,
        model=painter.spec.model,
        weights_sha256=painter.spec.weights_sha256,
        streams=tuple(str(stream) for stream in streams),
        notes=(*notes, *late),
        verification=verification,
    )


@contextmanager
def _announced(progress: Progress, info: FilmInfo) -> Iterator[None]:
    progress.begin(str(info.path), info.frame_count, "frames")
    try:
        yield
    finally:
        progress.end(str(info.path))


def _painted(
    info: FilmInfo,
    plan: VideoPlan,
    spec: ColorSpec,
    painter: Painter,
    tally: Tally,
    options: Options,
    tones: Tones,
) -> Generator[Frame, None, None]:
    """Decode, colour and paint, each running ahead of the next; ``tones`` counts what became of the frames."""

    def run_ahead(stage: Generator[Frame, None, None], name: str) -> Generator[Frame, None, None]:
        return ahead(stage, depth=_DEPTH, name=name, threads=options.threads)

    def paint() -> Generator[Frame, None, None]:
        turn = Turn(quarters=-info.rotation // 90 % 4)
        aspect = float(info.sample_aspect_ratio)
        with closing(run_ahead(_reading(info, plan, spec, tally, options), "decode")) as decoded:
            sketches = (
                painter.sketch(frame, frame.luma, spec, size=_SKETCH_SIZE, turn=turn, aspect=aspect)
                for frame in decoded
            )
            is_grey = info.pixel_format.is_grey
            for shown in painter.film(
                sketches, evidence=lambda frame: _evidence(frame, spec, is_grey=is_grey), options=options
            ):
                tones[shown.treated.treatment, shown.treated.verdict.tone] += 1
                frame = shown.item
                if shown.coloured is None:
                    frame.keep()
                else:
                    washed = wash(shown.coloured, spec)
                    for part in frame.parts:
                        frame.paint(*washed.planes(part.luma, spec, part.chroma_shape), lines=part.lines)
                yield frame

    return run_ahead(paint(), "colour")


def _evidence(frame: Frame, spec: ColorSpec, *, is_grey: bool) -> ToneEvidence:
    if is_grey:
        return evidence(np.zeros((1, 1), np.float32), None, None)
    luma, cb, cr = (_reduced(plane) for plane in (frame.luma, *frame.chroma))
    return evidence(spec.luma(luma), spec.chroma(cb), spec.chroma(cr))


def _reduced(plane: Plane) -> Plane:
    scale = min(1.0, _EVIDENCE_SIDE / max(plane.shape))
    size = max(1, round(plane.shape[1] * scale)), max(1, round(plane.shape[0] * scale))
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _tone_notes(tones: Tones) -> tuple[Note, ...]:
    whole = tones.total()
    notes = []
    for (what, tone), count in sorted(tones.items()):
        share = f"{count:,} of {whole:,} frames"
        if what is Treatment.PASS_THROUGH:
            notes.append(f"{share} are taken for coloured already: their colours are the source's own")
        elif what is Treatment.KEEP_TINT:
            notes.append(f"{share} are taken for tinted: the tint was kept")
        elif tone is SourceTone.TINTED:
            notes.append(f"{share} are taken for tinted: colour replaced the tint")
    return tuple(Note(NoteKind.ASSUMED, text) for text in notes)


def _reading(
    info: FilmInfo, plan: VideoPlan, spec: ColorSpec, tally: Tally, options: Options
) -> Generator[Frame, None, None]:
    return frames(
        info,
        plan.pixel_format,
        tally=tally,
        on_damage=options.on_damage,
        luma_weights=spec.matrix.value,
        deinterlace=plan.deinterlaces,
    )


def _color_spec(info: FilmInfo, plan: VideoPlan) -> ColorSpec:
    return resolve_film(
        matrix_tag=info.colors.matrix,
        range_tag=info.colors.range,
        width=info.width,
        height=info.height,
        bits=plan.pixel_format.bits,
        is_grey=info.pixel_format.is_grey,
        is_full_format=info.pixel_format.is_full_range,
    )


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
