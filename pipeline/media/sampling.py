"""Sample a few frames from all over a film, for data needed before the first frame is written."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from fractions import Fraction

import av

from pipeline.media.frames import Frame, Timestamp
from pipeline.media.pixels import PixelFormat
from pipeline.media.probe import FilmInfo, open_picture

# Seconds before a moment where a second search begins: key frames of most films are closer together.
_LEAD = 10


def sampled(
    info: FilmInfo, target: PixelFormat, *, count: int, luma_weights: tuple[float, float] | None = None
) -> Iterator[Frame]:
    """Yield up to ``count`` frames, evenly spread, in format ``target``; fewer if positions cannot be reached.

    ``luma_weights`` are those of `Frame`.
    A film of unknown length, or one without seeking, yields few frames or none. Damage is ignored here: the later
    reading of the whole film reports it.
    """
    if not info.duration:
        return
    with open_picture(info) as (container, stream):
        start = stream.start_time or 0
        seen = set[int | None]()
        for number in range(count):
            offset = (number + 0.5) / count * float(info.duration / info.time_base)
            try:
                container.seek(start + round(offset), stream=stream)
                picture = next(container.decode(stream), None)
            except (av.FFmpegError, OSError):
                continue
            fits = picture is not None and picture.format.name == info.pixel_format.name
            if picture is None or not fits or (picture.width, picture.height) != (info.width, info.height):
                continue
            if picture.pts not in seen:
                seen.add(picture.pts)
                time = Timestamp(picture.pts or 0, info.time_base, 0)
                yield Frame(picture, time, source=info.pixel_format, target=target, luma_weights=luma_weights)


def frames_from(info: FilmInfo, seconds: Fraction) -> Generator[av.VideoFrame, None, None]:
    """Yield decoded frames up to the end of the film, beginning with one shown at ``seconds`` or before.

    If a search fails or lands after that moment, as at packets of MPEG streams that are not key frames, another begins
    10 s earlier; after that the film is read from its start. Raises PyAV's errors.
    """
    wanted = int(seconds / info.time_base)
    for lead in (0, _LEAD, None) if wanted > 0 else (None,):
        with open_picture(info) as (container, stream):
            frames = container.decode(stream)
            try:
                if lead is not None:
                    container.seek(int((seconds - lead) / info.time_base), stream=stream)
                first = next(frames, None)
            except (av.FFmpegError, OSError):
                if lead is None:
                    raise
                continue
            if lead is not None and (first is None or (first.pts is not None and first.pts > wanted)):
                continue
            if first is not None:
                yield first
                yield from frames
            return


def last_before(frames: Iterable[av.VideoFrame], moment: Fraction) -> tuple[av.VideoFrame | None, bool]:
    """Return the last of ``frames`` that begins at ``moment``, in their time base, or before; and whether none follows.

    It is the first frame if that begins later, and None if there are no frames.
    """
    found: av.VideoFrame | None = None
    for frame in frames:
        if found is not None and frame.pts is not None and frame.pts > moment:
            return found, False
        found = frame
    return found, True


def frame_at(
    info: FilmInfo, target: PixelFormat, seconds: Fraction, *, luma_weights: tuple[float, float] | None = None
) -> Frame | None:
    """Return the frame shown at ``seconds``, in format ``target``; None if the film begins later or has ended by then.

    ``luma_weights`` are those of `Frame`. Damage is ignored here: the reading of the whole film reports it.
    """
    wanted = seconds / info.time_base
    try:
        with closing(frames_from(info, seconds)) as frames:
            picture, is_last = last_before(frames, wanted)
    except (av.FFmpegError, OSError):
        return None
    if picture is None or (picture.pts or 0) > wanted or (is_last and not _is_shown(picture, wanted)):
        return None
    time = Timestamp(picture.pts or 0, info.time_base, 0)
    return Frame(picture, time, source=info.pixel_format, target=target, luma_weights=luma_weights)


def _is_shown(last: av.VideoFrame, wanted: Fraction) -> bool:
    """Return whether the ``last`` frame of a film is still shown at ``wanted``, in its time base."""
    return wanted < (last.pts or 0) + max(last.duration or 0, 1)
