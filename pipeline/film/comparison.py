"""Film that shows another film before and after colouring, for viewing only: neither verified nor lossless."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from pipeline.errors import InputError
from pipeline.film.frames import DECLARATION, upright_size
from pipeline.media.codecs import Container
from pipeline.media.containers import open_container
from pipeline.media.damage import Damage
from pipeline.media.probe import FilmInfo, Probes, StreamInfo, probe
from pipeline.media.remux import Remuxer
from pipeline.media.sampling import frames_from
from pipeline.media.stream_plan import Action, StreamPlan
from pipeline.options import Layout, OnDamage, Options
from pipeline.originals import Originals
from pipeline.progress import Progress, announced
from pipeline.publish import publishing
from pipeline.results import FilmResult, Note, NoteKind

_CODEC, _OPTIONS = "libx264", {"crf": "18", "preset": "veryfast"}
_WIDEST = 3840
_LINE = 2  # half of the white line between the halves, in pixels
_WHITE = 235
# Sound that players support in MP4; other sound becomes AAC, at the next sampling rate that AAC supports.
_PLAYED = ("aac", "mp3", "ac3", "eac3")
_SOUND = "aac"
# Channel layouts in AAC, by FFmpeg's names; PCM in Matroska does not say which of two channels is which.
_LAYOUTS = {"1 channels": "mono", "2 channels": "stereo", "mono": "mono", "stereo": "stereo", "5.1": "5.1"}
_REMARK = "comparison, before and after"

Picture = npt.NDArray[np.uint8]


def comparison_output(result: Path) -> Path:
    """Return ``film.colorized.comparison.mp4`` beside the result ``film.colorized.mp4``."""
    return result.with_name(f"{result.stem}.comparison.mp4")


def write_comparisons(
    films: Sequence[FilmResult], options: Options, layout: Layout | None, progress: Progress, *, known: Probes
) -> list[Path]:
    """Write the comparison of every film with its source, if ``layout`` asks for it, and return their paths.

    ``known`` is what is known about the sources. Raises the errors of `write_comparison`.
    """
    if layout is None:
        return []
    paths = [comparison_output(film.output) for film in films]
    for film, path in zip(films, paths, strict=True):
        write_comparison(
            known.of(film.source), film.output, path, layout=layout, overwrite=options.overwrite, progress=progress
        )
    return paths


def write_comparison(
    source: FilmInfo, result: Path, output: Path, *, layout: Layout, overwrite: bool, progress: Progress
) -> None:
    """Write ``output``, MP4 with H.264 at 8 bits and the sound of ``result``, from ``source`` and ``result``.

    Frames are paired one by one, in order, and upright. Side by side, the pictures are reduced if they would be wider
    than 3,840 pixels. The first sound stream is copied if MP4 players support it, else converted to AAC, or left out
    with a note. The declaration of colour in ``result`` is copied. Raises `InputError` for films that cannot be read,
    `OutputError` if ``output`` exists or cannot be written.
    """
    item = str(output)
    originals = Originals((source.path, result))
    after = probe(result)
    sound, notes = _sound(after)
    for note in notes:
        progress.note(item, note)
    with (
        publishing(output, overwrite=overwrite, originals=originals) as temporary,
        announced(progress, item, after.frame_count, "frames"),
    ):
        _write(source, after, sound, temporary, layout, progress, item)


def _sound(film: FilmInfo) -> tuple[tuple[StreamPlan, ...], tuple[Note, ...]]:
    """Return the plan for the first sound stream of ``film``, and notes about it."""
    first = next((stream for stream in film.streams if stream.type == "audio"), None)
    if first is None:
        return (), ()
    if first.codec in _PLAYED:
        return (StreamPlan(stream=first, action=Action.COPY, codec=first.codec),), ()
    if reason := _unconvertible(first):
        return (), (Note(NoteKind.DROPPED, f"the comparison has no sound: {first.codec} {reason}"),)
    named = replace(first, layout=_LAYOUTS[first.layout])
    return (StreamPlan(stream=named, action=Action.CONVERT, codec=_SOUND),), ()


def _unconvertible(sound: StreamInfo) -> str:
    """Return why ``sound`` cannot be converted to AAC; an empty text if it can."""
    if not sound.is_decodable or not sound.is_clear:
        return "cannot be decoded"
    return "" if sound.layout in _LAYOUTS else f"with {sound.layout} has no place in AAC"


def _write(
    before: FilmInfo,
    after: FilmInfo,
    sound: tuple[StreamPlan, ...],
    target: Path,
    layout: Layout,
    progress: Progress,
    item: str,
) -> None:
    size = _size(after, layout)
    damage = Damage(after.path, OnDamage.CONCEAL)
    with (
        open_container(str(target), "w", format=Container.MP4.muxer) as writing,
        closing(Remuxer(after, sound, writing, Container.MP4, damage)) as remuxer,
        closing(_pictures(before, size)) as shown,
        closing(_pictures(after, size)) as coloured,
    ):
        stream: Any = writing.add_stream(_CODEC, rate=after.usual_rate, options=_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = size[0] * (2 if layout is Layout.SIDE else 1), size[1], "yuv420p"
        stream.codec_context.time_base = after.time_base
        stream.codec_context.sample_aspect_ratio = _aspect(after)
        writing.metadata.update(_declared(after))

        def mux(packets: list[Any]) -> None:
            for packet in packets:
                writing.mux([*remuxer.until(packet.dts * packet.time_base), packet])

        for frame, right in coloured:
            pair = next(shown, None)
            if pair is None:
                raise InputError(f"{before.path}: has fewer frames than its result", advice="Colour it again.")
            both = av.VideoFrame.from_ndarray(_joined(pair[1], right, layout), "yuv420p")
            both.pts, both.time_base = frame.pts, frame.time_base
            mux(stream.encode(both))
            progress.advance(item)
        mux(stream.encode(None))
        writing.mux(list(remuxer.until(None)))
    for note in damage.notes():
        progress.note(item, note)


def _declared(film: FilmInfo) -> dict[str, str]:
    """Return the tags of a comparison with ``film``: the film's declaration of colour, and a description."""
    declared = [line for text in film.metadata.values() for line in text.splitlines() if line.startswith(DECLARATION)]
    described = {key: text for key, text in film.metadata.items() if key.lower() == "description"}
    return {**described, "comment": "; ".join([*(line.strip() for line in declared), _REMARK])}


def _pictures(film: FilmInfo, size: tuple[int, int]) -> Generator[tuple[av.VideoFrame, list[Picture]], None, None]:
    """Yield every frame of ``film`` with its Y, Cb and Cr, upright, at ``size``."""
    quarters = film.rotation // 90 % 4
    with closing(frames_from(film, Fraction(0))) as frames:
        for frame in frames:
            planes = _planes(frame, size[::-1] if quarters % 2 else size)
            yield frame, [np.rot90(plane, quarters) for plane in planes]


def _size(film: FilmInfo, layout: Layout) -> tuple[int, int]:
    """Return the even size of both upright pictures."""
    width, height = upright_size(film)
    room = _WIDEST // 2 if layout is Layout.SIDE else _WIDEST
    scale = min(1.0, room / width)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _aspect(film: FilmInfo) -> Fraction:
    return 1 / film.sample_aspect_ratio if film.rotation // 90 % 2 else film.sample_aspect_ratio


def _planes(frame: av.VideoFrame, size: tuple[int, int]) -> list[Picture]:
    """Return Y, Cb and Cr of ``frame`` at ``size``, in limited range."""
    width, height = size
    small = frame.reformat(width=width, height=height, format="yuv420p", dst_color_range="MPEG").to_ndarray()
    flat: Picture = np.asarray(small, np.uint8).reshape(-1)
    luma, quarter = width * height, width * height // 4
    chroma = (flat[luma : luma + quarter], flat[luma + quarter : luma + 2 * quarter])
    return [flat[:luma].reshape(height, width), *(plane.reshape(height // 2, width // 2) for plane in chroma)]


def _joined(before: list[Picture], after: list[Picture], layout: Layout) -> Picture:
    """Join both into one picture for `av.VideoFrame.from_ndarray`."""
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
