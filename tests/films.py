"""Small films generated with PyAV, and functions to inspect finished ones independently of the code under test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
from av.subtitles.subtitle import SubtitleSet

INTERLACED = 0x40000 | 0x20000000
_FIELDS = (
    "Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut,"
    " ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding"
)
_STYLES = "\r\n".join(
    (
        "[Script Info]",
        "ScriptType: v4.00+",
        "",
        "[V4+ Styles]",
        f"Format: Name, {_FIELDS}",
        "Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1",
        "",
        "[Events]",
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text",
        "",
    )
).encode()


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A tone; ``start`` in seconds."""

    codec: str = "aac"
    rate: int = 48000
    layout: str = "stereo"
    pitch: float = 440.0
    start: float = 0.0
    seconds: float = 0.6
    tags: Mapping[str, str] = field(default_factory=dict)
    disposition: int = 0
    bit_rate: int = 0


@dataclass(frozen=True, kw_only=True)
class Subtitles:
    """Lines of text: (start, duration) in milliseconds, and the text."""

    lines: Sequence[tuple[int, int, str]] = ((100, 150, "Good evening"), (300, 150, "The train\\Narrives"))
    codec: str = "subrip"
    tags: Mapping[str, str] = field(default_factory=dict)


def moving_luma(number: int, *, width: int, height: int, bits: int = 8, grain: float = 0.0) -> np.ndarray:
    """Return luma (H, W) of frame ``number``: a moving ramp, codes over nearly the whole range, optional grain."""
    rows, columns = np.mgrid[0:height, 0:width]
    wave = 0.5 + 0.35 * np.sin((columns + 3 * number) / 9.0) * np.cos((rows - number) / 7.0)
    if grain:
        wave = wave + np.random.default_rng(number).normal(0.0, grain, wave.shape)
    return np.clip(np.rint(wave * ((1 << bits) - 1)), 0, (1 << bits) - 1).astype(np.uint8 if bits == 8 else np.uint16)


def make_film(
    path: Path,
    *,
    codec: str = "ffv1",
    pixel_format: str = "yuv420p",
    width: int = 96,
    height: int = 64,
    times: Iterable[int] = range(15),
    time_base: Fraction = Fraction(1, 25),
    rate: Fraction | int = 25,
    grain: float = 0.0,
    options: Mapping[str, str] | None = None,
    muxer: str | None = None,
    muxer_options: Mapping[str, str] | None = None,
    sar: Fraction | None = None,
    rotation: int = 0,
    display_matrix: Sequence[int] = (),
    matrix: int = 2,
    primaries: int = 2,
    transfer: int = 2,
    color_range: int = 0,
    flags: int = 0,
    field_order: int = 0,
    tags: Mapping[str, str] | None = None,
    film_tags: Mapping[str, str] | None = None,
    sounds: Sequence[Sound] = (),
    subtitles: Sequence[Subtitles] = (),
    attachments: Sequence[tuple[str, str, bytes]] = (),
    chapters: Sequence[tuple[int, int, str]] = (),
    fields: str = "",
    luma: Callable[[int], np.ndarray] | None = None,
) -> Path:
    """Write a film whose frame ``n`` holds ``moving_luma(n)``; ``times`` are pts in ``time_base``, chapters in ms.

    ``fields``, "tff" or "bff", marks every frame as interlaced, this field first. ``luma`` draws other pictures.
    """
    with av.open(str(path), "w", format=muxer, container_options=dict(muxer_options or {})) as film:
        video = film.add_stream(codec, rate=rate, options=dict(options or {}))
        context = video.codec_context
        context.width, context.height, context.pix_fmt = width, height, pixel_format
        context.time_base = video.time_base = time_base
        context.colorspace, context.color_primaries, context.color_trc = matrix, primaries, transfer
        context.color_range = color_range
        context.flags |= flags
        context.field_order = field_order
        if sar is not None:
            context.sample_aspect_ratio = sar
        if rotation:
            video.set_display_rotation(rotation)
        if display_matrix:
            video.set_display_matrix(display_matrix)
        video.metadata.update(tags or {})
        film.metadata.update(film_tags or {})
        voices = [_add_sound(film, sound) for sound in sounds]
        texts = [_add_subtitles(film, text) for text in subtitles]
        for name, kind, data in attachments:
            film.add_attachment(name, kind, data)
        film.set_chapters(
            [
                {"id": n, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                for n, (a, b, title) in enumerate(chapters, 1)
            ]
        )
        film.start_encoding()
        for stream, text in zip(texts, subtitles, strict=True):
            _write_subtitles(film, stream, text)
        for stream, sound in zip(voices, sounds, strict=True):
            _write_sound(film, stream, sound)
        for number, pts in enumerate(times):
            frame = _picture(number, pixel_format, width, height, grain, luma)
            if fields:
                frame = marked(frame, fields)
            frame.pts, frame.time_base = pts, time_base
            frame.colorspace, frame.color_primaries, frame.color_trc = matrix, primaries, transfer
            frame.color_range = color_range
            film.mux(video.encode(frame))
        film.mux(video.encode(None))
    return path


def _picture(
    number: int,
    pixel_format: str,
    width: int,
    height: int,
    grain: float,
    drawn: Callable[[int], np.ndarray] | None = None,
) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, pixel_format)
    bits = frame.format.components[0].bits
    luma = drawn(number) if drawn else moving_luma(number, width=width, height=height, bits=bits, grain=grain)
    if frame.format.is_rgb:
        fill_rgb(frame, luma, luma, luma)
        return frame
    if not frame.format.is_planar and len(frame.format.components) > 1:
        packed = plane(frame, 0, width=2 * width)
        packed[:, :] = 1 << (bits - 1)
        packed[:, (1 if pixel_format == "uyvy422" else 0) :: 2] = luma
        return frame
    _native(frame, 0, 1)[:] = luma
    for index in range(1, len(frame.planes)):
        plane(frame, index)[:] = 1 << (bits - 1)
    return frame


def fill_rgb(frame: av.VideoFrame, red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> None:
    """Write red, green and blue, (H, W) each, into a frame of any RGB format; alpha and padding become opaque."""
    colours = {"r": red, "g": green, "b": blue}
    if frame.format.is_planar:
        for index, letter in enumerate("gbr"):
            _native(frame, index, 1)[:] = colours[letter]
        if len(frame.planes) == 4:
            _native(frame, 3, 1)[:] = (1 << frame.format.components[0].bits) - 1
        return
    order = frame.format.name.removesuffix("le").removesuffix("be").rstrip("2468")
    samples = _native(frame, 0, len(order))
    for place, letter in enumerate(order):
        samples[:, place :: len(order)] = colours.get(letter, np.full_like(red, np.iinfo(red.dtype).max))


def _native(frame: av.VideoFrame, index: int, per_pixel: int) -> np.ndarray:
    raw = frame.planes[index]
    dtype = np.dtype(np.uint8 if frame.format.components[0].bits == 8 else np.uint16)
    dtype = dtype.newbyteorder(">") if frame.format.is_big_endian else dtype
    rows = np.frombuffer(raw, dtype).reshape(raw.height, raw.line_size // dtype.itemsize)
    return rows[:, : per_pixel * frame.width]


def marked(frame: av.VideoFrame, fields: str) -> av.VideoFrame:
    """Return ``frame`` marked "tff", "bff" or "prog", which PyAV does not support."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25))
    graph.link_nodes(source, graph.add("setfield", fields), graph.add("buffersink")).configure()
    graph.push(frame)
    return graph.pull()


def write_pictures(
    folder: Path,
    pattern: str = "frame_%06d.dpx",
    *,
    codec: str = "dpx",
    pixel_format: str = "gbrp10le",
    numbers: Iterable[int] = range(1, 7),
    width: int = 96,
    height: int = 64,
) -> Path:
    """Write one picture file per number, holding ``moving_luma(0)`` onwards, and return the folder."""
    folder.mkdir(exist_ok=True)
    for count, number in enumerate(numbers):
        context: Any = av.CodecContext.create(codec, "w")
        context.width, context.height, context.pix_fmt = width, height, pixel_format
        context.time_base = Fraction(1, 25)
        packets = [*context.encode(_picture(count, pixel_format, width, height, 0.0)), *context.encode(None)]
        (folder / (pattern % number)).write_bytes(b"".join(map(bytes, packets)))
    return folder


def plane(frame: av.VideoFrame, index: int, *, width: int | None = None) -> np.ndarray:
    """Return a writable view of a plane, (H, W) unless ``width`` says otherwise."""
    raw = frame.planes[index]
    dtype = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    rows = np.frombuffer(raw, dtype).reshape(raw.height, raw.line_size // np.dtype(dtype).itemsize)
    return rows[:, : width or (frame.width if index == 0 else raw.width)]


def _add_sound(film: Any, sound: Sound) -> Any:
    stream = film.add_stream(sound.codec, rate=sound.rate, layout=sound.layout)
    if sound.bit_rate:
        stream.codec_context.bit_rate = sound.bit_rate
    stream.metadata.update(sound.tags)
    stream.disposition = sound.disposition
    return stream


def _write_sound(film: Any, stream: Any, sound: Sound) -> None:
    # FLAC, AAC and PCM use different sample formats; the encoder converts.
    total = int(sound.rate * sound.seconds)
    for begin in range(0, total, 1024):
        t = np.arange(begin, min(begin + 1024, total)) / sound.rate
        wave = (np.sin(2 * np.pi * sound.pitch * t) * 12000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave[None, :], 2, 1).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = sound.rate
        frame.pts, frame.time_base = begin + int(sound.start * sound.rate), Fraction(1, sound.rate)
        film.mux(stream.encode(frame))
    film.mux(stream.encode(None))


def _add_subtitles(film: Any, text: Subtitles) -> Any:
    stream = film.add_stream(text.codec)
    stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
    stream.codec_context.subtitle_header = _STYLES
    stream.metadata.update(text.tags)
    return stream


def _write_subtitles(film: Any, stream: Any, text: Subtitles) -> None:
    for start, duration, line in text.lines:
        ass = f"0,0,Default,,0,0,0,,{line}".encode()
        packet = stream.codec_context.encode_subtitle(SubtitleSet.create(ass, 0, duration, start))
        packet.pts = packet.dts = start
        packet.duration, packet.time_base, packet.stream = duration, Fraction(1, 1000), stream
        film.mux(packet)


def joined(path: Path, first: Path, second: Path, *, offset: int) -> Path:
    """Write the pictures of two films as one stream of ``first``'s kind; ``offset`` is when the second begins."""
    with av.open(str(path), "w") as film, av.open(str(first)) as one, av.open(str(second)) as other:
        stream = film.add_stream_from_template(one.streams.video[0], opaque=True)
        for start, source in ((0, one), (offset, other)):
            for packet in source.demux(video=0):
                if packet.size and packet.pts is not None and packet.dts is not None:
                    packet.pts, packet.dts, packet.stream = packet.pts + start, packet.dts + start, stream
                    film.mux(packet)
    return path


def luma_planes(path: Path) -> list[np.ndarray]:
    """Return copies of the luma of every frame, as the file's own decoder gives it."""
    with av.open(str(path)) as film:
        return [plane(frame, 0).copy() for frame in film.decode(video=0)]


def frame_times(path: Path) -> list[Fraction]:
    """Return the exact time of every frame in seconds."""
    with av.open(str(path)) as film:
        return [frame.pts * frame.time_base for frame in film.decode(video=0)]


def packets(path: Path, kind: str, number: int = 0) -> list[tuple[Fraction, bytes]]:
    """Return time and bytes of all packets of the ``number``-th stream of ``kind``."""
    with av.open(str(path)) as film:
        stream = [s for s in film.streams if s.type == kind][number]
        return [((p.pts or 0) * p.time_base, bytes(p)) for p in film.demux(stream) if p.size]


def positions(path: Path) -> list[tuple[int, Fraction]]:
    """Return (stream index, time in seconds) of all packets in the order in which they lie in the file."""
    with av.open(str(path)) as film:
        found = [(p.pos, p.stream_index, p.dts * p.time_base) for p in film.demux() if p.size and p.dts is not None]
    return [(index, time) for _, index, time in sorted(found)]
