"""Make whole pictures of fields, one for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain

import av
import av.filter

from pipeline.media.frame_flags import BOTTOM_FIRST, TOP_FIRST
from pipeline.media.frames import Frame, Timestamp
from pipeline.media.pixels import PixelFormat
from pipeline.media.probe import FilmInfo

_PARITIES = {**dict.fromkeys(TOP_FIRST, "tff"), **dict.fromkeys(BOTTOM_FIRST, "bff")}


class Deinterlacer:
    """Makes whole pictures of interlaced frames, which are in format ``target``, one for one, each with its time.

    Of two fields the one shown first stays bit for bit; the lines of the other are recreated by FFmpeg's bwdif. If only
    the container of the film ``info`` states that it is interlaced, every frame is treated as interlaced.
    """

    def __init__(self, info: FilmInfo, target: PixelFormat) -> None:
        self._info, self._target = info, target
        self._times: deque[Timestamp] = deque()
        self._graph: av.filter.Graph | None = None

    def push(self, frame: Frame) -> list[Frame]:
        """Take ownership of the next frame; return those that are ready, in order: the filter looks ahead."""
        if self._graph is None:
            self._graph = _graph(self._info, self._target.name, are_marked=frame.is_interlaced)
        self._times.append(frame.timestamp)
        self._graph.push(frame.unpainted)
        return self._ready(self._graph)

    def rest(self) -> list[Frame]:
        """Return the remaining frames after the last has been pushed."""
        if self._graph is None:
            return []
        self._graph.push(None)
        return self._ready(self._graph)

    def _ready(self, graph: av.filter.Graph) -> list[Frame]:
        return [
            Frame(picture, self._times.popleft(), source=self._target, target=self._target)
            for picture in _pulled(graph)
        ]


def whole_pictures(info: FilmInfo, pictures: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Yield decoded ``pictures`` of the film ``info``, for viewing: made whole as by `Deinterlacer` if interlaced."""
    if not info.is_interlaced:
        yield from pictures
        return
    graph: av.filter.Graph | None = None
    times: deque[int | None] = deque()
    for picture in chain(pictures, (None,)):
        if picture is not None:
            graph = graph or _graph(info, picture.format.name, are_marked=picture.interlaced_frame)
            times.append(picture.pts)
        if graph is not None:
            graph.push(picture)
            for made in _pulled(graph):
                made.pts, made.time_base = times.popleft(), info.time_base
                yield made


def _pulled(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            picture = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(picture, av.VideoFrame)
        yield picture


def _graph(info: FilmInfo, pixel_format: str, *, are_marked: bool) -> av.filter.Graph:
    which, parity = ("interlaced", "auto") if are_marked else ("all", _PARITIES.get(info.field_order, "auto"))
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=info.width, height=info.height, format=av.VideoFormat(pixel_format), time_base=info.time_base
    )
    graph.link_nodes(
        source, graph.add("bwdif", mode="send_frame", deint=which, parity=parity), graph.add("buffersink")
    ).configure()
    return graph
