"""A few seconds of a film, coloured as the film would be, at screen size, for viewing a shot."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from pipeline.color.colorizer import Colorizer
from pipeline.errors import OutputError, Renamed, UsageError
from pipeline.film.excerpt import frame_number, moved
from pipeline.film.frames import upright_size
from pipeline.film.job import colorize_video
from pipeline.film.reference_frames import FilmReferences
from pipeline.film.stated_frames import hints_elsewhere
from pipeline.film_time import time_text
from pipeline.interruption import StopRequest
from pipeline.media.codecs import Container
from pipeline.media.containers import message_of, open_container
from pipeline.media.deinterlace import whole_pictures
from pipeline.media.probe import FilmInfo
from pipeline.media.sampling import frames_from
from pipeline.media.source import reporting
from pipeline.options import Codec, Options, Quality, Span, hints_in_shares
from pipeline.os_errors import unwritable
from pipeline.progress import Progress
from pipeline.sizes import size_within

_LARGEST = 1280
# For the small copy that is coloured: nearly lossless, and fast.
_COPY = {"crf": "10", "preset": "ultrafast"}
_LAYOUT = "yuv420p"
# The largest number that H.264 has for the shape of a pixel.
_FINEST = 0xFFFF


def write_clip(
    info: FilmInfo,
    span: Span,
    output: Path,
    options: Options,
    references: FilmReferences,
    *,
    colorizer: Colorizer,
    progress: Progress,
    stop: StopRequest,
) -> None:
    """Write the part ``span`` of the film ``info``, coloured, to ``output``: MP4 that browsers play, without sound.

    Its times are those of the film's frames, so the first may not be zero. Its longer side has at most 1,280 pixels,
    and interlaced film is deinterlaced. ``options`` are those of the whole film; hints for other moments and
    ``references`` apply as they do in the film, where it looks like them. Raises the errors of `colorize_video`,
    `OutputError` also if the part cannot be copied, `UsageError` if the film ends earlier.
    """
    source = info.path
    # The pixels of the copy differ.
    options = replace(options, hints=hints_in_shares(options.hints, {1: upright_size(info)}, source=source))
    with tempfile.TemporaryDirectory(prefix="autochrome-") as folder:
        part = Path(folder, "part.mp4")
        end = span.start + _copy(info, span, part, stop)
        elsewhere = hints_elsewhere(info, options, colorizer, span.start, end)
        if references.numbered:
            references = references.of_part(frame_number(info, span.start - info.start))
        wanted = replace(
            moved(options, span.start, end),
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
                elsewhere=elsewhere,
                colorizer=colorizer,
                progress=progress,
                stop=stop,
                description=f"preview: a part of a film, from {time_text(span.start)} on",
            )


def _copy(info: FilmInfo, span: Span, target: Path, stop: StopRequest) -> Fraction:
    """Write the picture of ``span`` as a small 8-bit film that starts at time zero; return its duration in seconds.

    The ends of ``span`` are moved to the nearest start of a frame. Raises `OutputError`.
    """
    width, height = (side // 2 * 2 or 2 for side in size_within(_LARGEST, info.width, info.height))
    end = (span.seconds - _half_a_frame(info)) / info.time_base
    count, seconds = 0, span.seconds
    try:
        with (
            closing(_frames(info, span.start, width, height, stop)) as frames,
            open_container(str(target), "w", format=Container.MP4.muxer) as writing,
        ):
            # The tags mark results of this program, whose colours are kept.
            writing.metadata.update(info.metadata)
            stream = _stream(writing, info, width, height)
            for place, frame in frames:
                if place >= end:
                    seconds = place * info.time_base
                    break
                writing.mux(stream.encode(frame))
                count += 1
            writing.mux(stream.encode(None))
    except OSError as error:
        raise unwritable(target, error) from error
    except av.FFmpegError as error:
        raise OutputError(
            f"{target}: cannot be written: {message_of(error)}", advice="Choose another moment."
        ) from error
    if not count:
        raise UsageError(f"{info.path}: has no frames at {float(span.start):.1f} s", advice="Choose an earlier moment.")
    return seconds


def _frames(
    info: FilmInfo, start: Fraction, width: int, height: int, stop: StopRequest
) -> Generator[tuple[int, av.VideoFrame], None, None]:
    """Yield the pictures from ``start`` on, small, in 8 bits, each with its time from there. Raises `InputError`."""
    first = round(start / info.time_base)
    half = _half_a_frame(info)
    before = -1
    with reporting(info.path), closing(frames_from(info, start - half)) as decoded:
        for frame in whole_pictures(info, decoded):
            stop.check()
            if frame.pts is None or frame.pts < first - half / info.time_base:
                continue
            place = max(frame.pts - first, 0)
            if place > before:
                small = frame.reformat(width=width, height=height, format=_LAYOUT, dst_color_range="MPEG")
                small.pts, small.time_base = place, info.time_base
                yield place, small
            before = place


def _half_a_frame(info: FilmInfo) -> Fraction:
    """Return the error of times in seconds: those of shots are rounded, in some containers those of frames too."""
    return 1 / (2 * info.usual_rate)


def _stream(writing: av.container.OutputContainer, info: FilmInfo, width: int, height: int) -> Any:
    stream: Any = writing.add_stream("libx264", rate=info.usual_rate, options=_COPY)
    stream.width, stream.height, stream.pix_fmt = width, height, _LAYOUT
    context = stream.codec_context
    context.time_base = stream.time_base = info.time_base
    # The sides are rounded; the picture keeps its shape.
    shape = info.sample_aspect_ratio * Fraction(info.width * height, info.height * width)
    context.sample_aspect_ratio = shape.limit_denominator(_FINEST)
    context.colorspace, context.color_range = info.colors.matrix, 1
    if info.display_matrix is not None:
        stream.set_display_matrix(info.display_matrix)
    return stream
