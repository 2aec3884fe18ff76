"""A few seconds of a film as a separate film, for a trial before a long run: packets are copied, not re-encoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from pipeline.errors import InputError, UsageError
from pipeline.film_time import moment
from pipeline.media.containers import message_of, open_container
from pipeline.media.probe import FilmInfo, open_film
from pipeline.media.sequence import find_sequence
from pipeline.media.source import AnyPacket, demux, demux_all, open_source, reporting
from pipeline.options import Options, Span
from pipeline.originals import is_folder
from pipeline.os_errors import reading, unwritable, writing

_COPIED = {"video", "audio"}
# From this many packets per frame on, packets are taken to hold fields.
_FIELDS = 1.5
LACKING = Fraction(1, 10)
"""Seconds that may be missing at the end of an `excerpt`."""


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """A film with a part of another; ``start`` is where that part actually begins, at a key frame, in seconds.

    It is relative to the film's first frame, whose time in the film is ``origin``.
    """

    path: Path
    start: Fraction
    origin: Fraction


def excerpt(source: Path, span: Span, folder: Path, *, rate: Fraction | None = None) -> Excerpt:
    """Copy the part ``span`` of the film ``source``, picture and sound, into ``folder``.

    It begins at the key frame at or before ``span.start``; a frame may be missing at its very end. ``rate`` is the
    frame rate for folders of numbered pictures. Raises `InputError` if the film cannot be cut, `UsageError` if it ends
    earlier, `OutputError` if ``folder`` cannot be written to.
    """
    if is_folder(source):
        return _pictures(source, span, folder, rate)
    # Matroska, which holds every codec, but under the film's own name, which determines the plan of the result.
    target = folder / source.name
    with open_source(source) as container:
        if not container.streams.video:
            raise InputError(f"{source}: has no picture", advice="Check that it is a film.")
        try:
            with open_container(str(target), "w", format="matroska") as part:
                # The tags mark results of this program, whose colours are kept.
                part.metadata.update(container.metadata)
                start, origin = _copied(container, part, span, source)
                return Excerpt(path=target, start=start, origin=origin)
        except OSError as error:
            raise unwritable(folder, error) from error
        except (av.FFmpegError, ValueError) as error:
            raise InputError(
                f"{source}: no part can be cut from it: {message_of(error)}",
                advice="Colour the film without --preview.",
            ) from error


def frame_number(info: FilmInfo, time: Fraction) -> int:
    """Count the frames of the film ``info`` shown before ``time``, in seconds from its start.

    Reads all its packets. Raises `InputError` for a film that can no longer be opened.
    """
    if info.sequence is not None:
        return int(time * info.sequence.rate)
    with open_film(info) as container:
        video = container.streams[info.stream_index]
        end = _seconds(video.start_time or 0, video) + time
        count = before = 0
        for packet in demux_all(container, video):
            if packet.size and not packet.is_discard and (packet.pts, packet.dts) != (None, None):
                count += 1
                before += _place(packet) < end
    return before // 2 if count > _FIELDS * (info.frame_count or count) else before


def moved(options: Options, start: Fraction, end: Fraction) -> Options:
    """Return ``options`` for the part of a film between two times, in seconds.

    Hints outside the part are left out, and so is the location of references, which are found for the whole film.
    """
    times = [(hint, hint.time) for hint in options.hints if hint.time is not None]
    hints = tuple(
        replace(hint, time=max(0.0, float(Fraction(time) - start)))
        for hint, time in times
        if start <= moment(time) < end
    )
    return replace(options, hints=hints, reference=None)


def _copied(
    container: av.container.InputContainer, part: av.container.OutputContainer, span: Span, source: Path
) -> tuple[Fraction, Fraction]:
    video = container.streams.video[0]
    kept: dict[int, Any] = {
        stream.index: part.add_stream_from_template(stream)
        for stream in container.streams
        if stream.type in _COPIED and (stream.type != "video" or stream is video)
    }
    origin = _seconds(video.start_time or 0, video)
    if span.start:
        with reporting(source):
            container.seek(int((origin + span.start) / _base(video)), stream=video)
    first: Fraction | None = None
    reached = False
    packets = _read(source, demux(container, *(container.streams[index] for index in kept)))
    for packet in _until(packets, origin + _end(span), video):
        at = _place(packet)
        reached = reached or (packet.stream is video and at + _length(packet) > origin + span.start)
        if packet.stream is video and first is None and packet.is_keyframe:
            first = at
        if first is None or at < first:
            continue
        moved = round(first / _base(packet.stream))
        packet.pts = None if packet.pts is None else packet.pts - moved
        packet.dts = None if packet.dts is None else packet.dts - moved
        packet.stream = kept[packet.stream.index]
        part.mux(packet)
    if first is None or not reached:
        # Seeking beyond the end finds the last key frame, which may be the first.
        raise UsageError(
            f"{source}: has no frames at {float(span.start):.1f} s", advice="Name an earlier moment with --preview."
        )
    return max(first - origin, Fraction(0)), origin


def _read(source: Path, packets: Iterator[AnyPacket]) -> Iterator[AnyPacket]:
    """Yield ``packets`` of ``source``. Raises `InputError`, which names it, if they cannot be read."""
    with reporting(source):
        yield from packets


def _until(packets: Iterator[AnyPacket], end: Fraction, video: av.VideoStream) -> Iterator[AnyPacket]:
    """Yield picture packets up to the first one to be decoded at ``end``, and sound packets before that."""
    for packet in packets:
        at = packet.dts if packet.dts is not None else packet.pts
        if not packet.size or at is None:
            continue
        if _seconds(at, packet.stream) < end:
            yield packet
        elif packet.stream is video:
            return


def _place(packet: AnyPacket) -> Fraction:
    at = packet.pts if packet.pts is not None else packet.dts
    assert at is not None, "packets without times are left out"
    return _seconds(at, packet.stream)


def _length(packet: AnyPacket) -> Fraction:
    """Return how long a frame is shown; if that is unknown, an instant."""
    return _seconds(packet.duration or 1, packet.stream)


def _seconds(at: int, stream: Any) -> Fraction:
    return at * _base(stream)


def _base(stream: Any) -> Fraction:
    return Fraction(stream.time_base)


def _end(span: Span) -> Fraction:
    return span.start + span.seconds


def _pictures(source: Path, span: Span, folder: Path, rate: Fraction | None) -> Excerpt:
    sequence = find_sequence(source, rate)
    first = int(span.start * sequence.rate)
    count = min(max(1, round(span.seconds * sequence.rate)), sequence.count - first)
    if count <= 0:
        raise UsageError(
            f"{source}: has no frames at {float(span.start):.1f} s", advice="Name an earlier moment with --preview."
        )
    inside = folder / source.resolve().name
    with writing(folder):
        inside.mkdir()
    for number in range(sequence.first + first, sequence.first + first + count):
        name = f"{sequence.prefix}{number:0{sequence.digits}}{sequence.suffix}"
        with reading(source / name):
            picture = (source / name).read_bytes()
        with writing(folder):
            (inside / name).write_bytes(picture)
    return Excerpt(path=inside, start=first / sequence.rate, origin=Fraction(0))
