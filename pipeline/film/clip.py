"""Some seconds of a film, coloured as the film would be, at the size of a screen: for those who look at a shot."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from pipeline.clock import clock
from pipeline.color.colorizer import Colorizer
from pipeline.errors import UsageError
from pipeline.film.excerpt import Renamed, frame_number, moved
from pipeline.film.frames import upright_size
from pipeline.film.job import colorize_video
from pipeline.film.reference_frames import FilmReferences
from pipeline.interruption import StopRequest
from pipeline.media.codecs import Container
from pipeline.media.containers import open_container
from pipeline.media.probe import FilmInfo, probe
from pipeline.media.sampling import frames_from
from pipeline.media.source import reporting
from pipeline.options import Codec, Options, Quality, Span, hints_in_shares
from pipeline.progress import Progress
from pipeline.sizes import size_within

_LARGEST = 1280
_USUAL_RATE = Fraction(25)
# Of the small copy that is coloured: nearly without loss, and fast.
_COPY = {"crf": "10", "preset": "ultrafast"}


def write_clip(
    source: Path,
    span: Span,
    output: Path,
    options: Options,
    references: FilmReferences,
    *,
    colorizer: Colorizer,
    progress: Progress,
    stop: StopRequest,
) -> None:
    """Write the part ``span`` of the film ``source``, coloured, to ``output``: MP4 that browsers play, without sound.

    It has at most 1,280 pixels on its longer side. ``options`` have all that is stated about the film; hints of other
    moments are left out, ``references`` hold as they do in the film. Raises the errors of `colorize_video`,
    `UsageError` if the film ends before.
    """
    info = probe(source, rate=options.frame_rate)
    # The copy has other pixels.
    options = replace(options, hints=hints_in_shares(options.hints, {1: upright_size(info)}, source=source))
    with tempfile.TemporaryDirectory(prefix="autochrome-") as folder:
        part = Path(folder, "part.mp4")
        end = span.start + _copy(info, span, part, stop)
        if references.numbered:
            references = references.of_part(frame_number(source, span.start, rate=options.frame_rate))
        wanted = replace(
            moved(options, span.start, end, lacking=0),
            codec=Codec.H264,
            quality=Quality.ACCESS,
            overwrite=True,
            deinterlace=False,
            frame_rate=None,
            verify=False,
        )
        with Renamed(part, source).errors():
            colorize_video(
                part,
                output,
                wanted,
                references=references,
                colorizer=colorizer,
                progress=progress,
                stop=stop,
                description=f"preview: a part of a film, from {clock(span.start)} on",
            )


def _copy(info: FilmInfo, span: Span, target: Path, stop: StopRequest) -> Fraction:
    """Write the picture of ``span`` as a small film of 8 bits that begins at time zero; return how many seconds it has.

    Times are those of the nearest frames.
    """
    width, height = size_within(_LARGEST, info.width, info.height)
    # The times of shots are rounded, and so are those of frames in some containers.
    half = 1 / (2 * (info.average_rate or _USUAL_RATE))
    begin = info.start + span.start
    first, last = (round(moment / info.time_base) for moment in (begin, begin + span.seconds))
    tolerance = half / info.time_base
    with reporting(info.path), open_container(str(target), "w", format=Container.MP4.muxer) as writing:
        # A result of this program says so there, and keeps its colours.
        writing.metadata.update(info.metadata)
        stream = _stream(writing, info, width // 2 * 2 or 2, height // 2 * 2 or 2)
        written, seconds = -1, span.seconds
        for frame in frames_from(info, begin - half):
            stop.check()
            if frame.pts is None or frame.pts < first - tolerance:
                continue
            if frame.pts >= last - tolerance:
                seconds = (frame.pts - first) * info.time_base
                break
            place = max(frame.pts - first, 0)
            if place == written:
                continue
            small = frame.reformat(
                width=stream.width, height=stream.height, format=stream.pix_fmt, dst_color_range="MPEG"
            )
            small.pts, small.time_base = place, info.time_base
            writing.mux(stream.encode(small))
            written = place
        writing.mux(stream.encode(None))
    if written < 0:
        raise UsageError(f"{info.path}: has no frames at {float(span.start):.1f} s", advice="Choose an earlier moment.")
    return seconds


def _stream(writing: av.container.OutputContainer, info: FilmInfo, width: int, height: int) -> Any:
    stream: Any = writing.add_stream("libx264", rate=info.average_rate or _USUAL_RATE, options=_COPY)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.time_base = stream.time_base = info.time_base
    context.sample_aspect_ratio = info.sample_aspect_ratio
    context.colorspace, context.color_range = info.colors.matrix, 1
    if info.display_matrix is not None:
        stream.set_display_matrix(info.display_matrix)
    return stream
