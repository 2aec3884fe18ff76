"""Make whole pictures of fields, one for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Generic, TypeVar

import av
import av.filter

from pipeline.media.frame_flags import BOTTOM_FIRST, TOP_FIRST
from pipeline.media.frames import Frame, Timestamp
from pipeline.media.pixels import PixelFormat
from pipeline.media.probe import FilmInfo

Time = TypeVar("Time")

_PARITIES = {**dict.fromkeys(TOP_FIRST, "tff"), **dict.fromkeys(BOTTOM_FIRST, "bff")}


class Deinterlacer:
    """Makes whole pictures of interlaced frames, which are in format ``target``, one for one, each with its time.

    Of two fields the one shown first stays bit for bit; the lines of the other are recreated by FFmpeg's bwdif. If only
    the container of the film ``info`` states that it is interlaced, every frame is treated as interlaced.
    """

    def __init__(self, info: FilmInfo, target: PixelFormat) -> None:
        self._target = target
        self._filter: _Filter[Timestamp] = _Filter(info)

    def push(self, frame: Frame) -> list[Frame]:
        """Take ownership of the next frame; return those that are ready, in order: the filter looks ahead."""
        return self._framed(self._filter.push(frame.unpainted, frame.timestamp))

    def rest(self) -> list[Frame]:
        """Return the remaining frames after the last has been pushed."""
        return self._framed(self._filter.rest())

    def _framed(self, made: Iterable[tuple[av.VideoFrame, Timestamp]]) -> list[Frame]:
        return [Frame(picture, time, source=self._target, target=self._target) for picture, time in made]


def whole_pictures(info: FilmInfo, pictures: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Yield decoded ``pictures`` of the film ``info``, for viewing: made whole as by `Deinterlacer` if interlaced."""
    if not info.is_interlaced:
        yield from pictures
        return
    fields: _Filter[int | None] = _Filter(info)
    for one in chain(pictures, (None,)):
        for picture, time in fields.rest() if one is None else fields.push(one, one.pts):
            picture.pts, picture.time_base = time, info.time_base
            yield picture


class _Filter(Generic[Time]):
    """FFmpeg's bwdif for a film: pictures go in with a time of any kind, and come out with it, one for one."""

    def __init__(self, info: FilmInfo) -> None:
        self._info = info
        self._times: deque[Time] = deque()
        self._graph: av.filter.Graph | None = None

    def push(self, picture: av.VideoFrame, time: Time) -> list[tuple[av.VideoFrame, Time]]:
        """Take the next picture; return those that are ready, in order."""
        if self._graph is None:
            self._graph = _graph(self._info, picture)
        self._times.append(time)
        self._graph.push(picture)
        return self._ready(self._graph)

    def rest(self) -> list[tuple[av.VideoFrame, Time]]:
        """Return the remaining pictures after the last has been pushed."""
        if self._graph is None:
            return []
        self._graph.push(None)
        return self._ready(self._graph)

    def _ready(self, graph: av.filter.Graph) -> list[tuple[av.VideoFrame, Time]]:
        made: list[tuple[av.VideoFrame, Time]] = []
        while True:
            try:
                picture = graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return made
            assert isinstance(picture, av.VideoFrame)
            made.append((picture, self._times.popleft()))


def _graph(info: FilmInfo, first: av.VideoFrame) -> av.filter.Graph:
    which, parity = (
        ("interlaced", "auto") if first.interlaced_frame else ("all", _PARITIES.get(info.field_order, "auto"))
    )
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=info.width, height=info.height, format=av.VideoFormat(first.format.name), time_base=info.time_base
    )
    graph.link_nodes(
        source, graph.add("bwdif", mode="send_frame", deint=which, parity=parity), graph.add("buffersink")
    ).configure()
    return graph
