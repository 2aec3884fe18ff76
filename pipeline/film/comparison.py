"""A film that shows another before and after it was coloured, for showing: a copy, neither verified nor lossless."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from pipeline.errors import InputError
from pipeline.media.containers import open_container
from pipeline.media.probe import open_film, probe
from pipeline.media.source import bound_pixels, demux
from pipeline.options import Layout, Options
from pipeline.originals import Originals
from pipeline.progress import Progress, announced
from pipeline.publish import publishing
from pipeline.results import FilmResult

_CODEC, _OPTIONS = "libx264", {"crf": "18", "preset": "veryfast"}
_WIDEST = 3840
_LINE = 2  # half of the white line between the halves, in pixels
_WHITE = 235

Picture = npt.NDArray[np.uint8]


def comparison_output(result: Path) -> Path:
    """Return ``film.colorized.comparison.mp4`` beside the result ``film.colorized.mp4``."""
    return result.with_name(f"{result.stem}.comparison.mp4")


def write_comparisons(
    films: Sequence[FilmResult], options: Options, layout: Layout | None, progress: Progress
) -> list[Path]:
    """Write the comparison of every film with its source, if ``layout`` asks for it, and return their paths.

    Raises what `write_comparison` does.
    """
    if layout is None:
        return []
    paths = [comparison_output(film.output) for film in films]
    for film, path in zip(films, paths, strict=True):
        write_comparison(
            film.source,
            film.output,
            path,
            layout=layout,
            overwrite=options.overwrite,
            progress=progress,
            rate=options.frame_rate,
        )
    return paths


def write_comparison(
    source: Path,
    result: Path,
    output: Path,
    *,
    layout: Layout,
    overwrite: bool,
    progress: Progress,
    rate: Fraction | None = None,
) -> None:
    """Write ``output``, MP4 with H.264 at 8 bits and the sound of ``result``, from ``source`` and ``result``.

    Frames are paired one by one, in order. Side by side, the pictures shrink where they would be wider than 3,840
    pixels. ``rate`` is that of a folder of numbered pictures. Raises `InputError` for films that cannot be read,
    `OutputError` where ``output`` is taken or the disk refuses.
    """
    item = str(output)
    originals = Originals((source, result))
    films = probe(source, rate=rate), probe(result)
    with (
        publishing(output, overwrite=overwrite, originals=originals) as temporary,
        open_film(films[0]) as before,
        open_film(films[1]) as after,
        announced(progress, item, films[1].frame_count, "frames"),
    ):
        _write(before, after, temporary, layout, progress, item)


def _write(
    before: av.container.InputContainer,
    after: av.container.InputContainer,
    target: Path,
    layout: Layout,
    progress: Progress,
    item: str,
) -> None:
    picture = after.streams.video[0]
    size = _size(picture.codec_context.width, picture.codec_context.height, layout)
    with open_container(str(target), "w", format="mp4") as writing:
        stream: Any = writing.add_stream(_CODEC, rate=picture.average_rate or Fraction(25), options=_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = size[0] * (2 if layout is Layout.SIDE else 1), size[1], "yuv420p"
        stream.codec_context.time_base = picture.time_base
        stream.codec_context.sample_aspect_ratio = picture.sample_aspect_ratio
        audio = after.streams.audio[0] if after.streams.audio else None
        copied = None if audio is None else writing.add_stream_from_template(audio)
        shown = _frames(before, before.streams.video[0])
        bound_pixels(picture)
        for packet in demux(after, picture, *([] if audio is None else [audio])):
            if packet.stream is audio:
                if packet.size and packet.dts is not None:
                    packet.stream = copied
                    writing.mux(packet)
                continue
            for frame in packet.decode():
                pair = next(shown, None)
                if pair is None:
                    raise InputError(f"{before.name}: has fewer frames than its result", advice="Colour it again.")
                both = av.VideoFrame.from_ndarray(_joined(_planes(pair, size), _planes(frame, size), layout), "yuv420p")
                both.pts, both.time_base = frame.pts, frame.time_base
                writing.mux(stream.encode(both))
                progress.advance(item)
        writing.mux(stream.encode(None))


def _frames(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    bound_pixels(stream)
    yield from container.decode(stream)


def _size(width: int, height: int, layout: Layout) -> tuple[int, int]:
    """Return the even size that both pictures get."""
    room = _WIDEST // 2 if layout is Layout.SIDE else _WIDEST
    scale = min(1.0, room / width)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _planes(frame: av.VideoFrame, size: tuple[int, int]) -> list[Picture]:
    """Return Y, Cb and Cr of ``frame`` at ``size``, of limited range."""
    width, height = size
    small = frame.reformat(width=width, height=height, format="yuv420p", dst_color_range="MPEG").to_ndarray()
    flat: Picture = np.asarray(small, np.uint8).reshape(-1)
    luma, quarter = width * height, width * height // 4
    chroma = (flat[luma : luma + quarter], flat[luma + quarter : luma + 2 * quarter])
    return [flat[:luma].reshape(height, width), *(plane.reshape(height // 2, width // 2) for plane in chroma)]


def _joined(before: list[Picture], after: list[Picture], layout: Layout) -> Picture:
    """Return both as one picture as `av.VideoFrame.from_ndarray` takes it."""
    planes = []
    for number, (left, right) in enumerate(zip(before, after, strict=True)):
        if layout is Layout.SIDE:
            planes.append(np.concatenate([left, right], axis=1))
            continue
        middle, line = right.shape[1] // 2, _LINE if number == 0 else _LINE // 2
        both = right.copy()
        both[:, :middle] = left[:, :middle]
        both[:, middle - line : middle + line] = _WHITE if number == 0 else 128
        planes.append(both)
    return np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, planes[0].shape[1])
