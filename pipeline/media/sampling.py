"""A few frames from all over a film, for what must be known of the whole before the first is written."""

from __future__ import annotations

from collections.abc import Iterator

import av

from pipeline.media.frames import Frame, Timestamp
from pipeline.media.pixels import PixelFormat
from pipeline.media.probe import FilmInfo, open_film
from pipeline.media.source import bound_pixels


def sampled(
    info: FilmInfo, target: PixelFormat, *, count: int, luma_weights: tuple[float, float] | None = None
) -> Iterator[Frame]:
    """Yield up to ``count`` frames, spread evenly, in format ``target``; fewer where places cannot be reached.

    ``luma_weights`` are those of `Frame`.
    A film of unknown length, or one without seeking, yields few frames or none. Damage is left to the reading of
    the whole film, which comes later and reports it.
    """
    if not info.duration:
        return
    with open_film(info) as container:
        stream = container.streams[info.stream_index]
        assert isinstance(stream, av.VideoStream)
        bound_pixels(stream)
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
