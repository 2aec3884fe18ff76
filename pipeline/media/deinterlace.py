"""Make whole pictures of fields, one for one."""

from __future__ import annotations

from collections import deque

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
            self._graph = _graph(self._info, self._target, are_marked=frame.is_interlaced)
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
        frames: list[Frame] = []
        while True:
            try:
                picture = graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return frames
            assert isinstance(picture, av.VideoFrame)
            frames.append(Frame(picture, self._times.popleft(), source=self._target, target=self._target))


def _graph(info: FilmInfo, target: PixelFormat, *, are_marked: bool) -> av.filter.Graph:
    which, parity = ("interlaced", "auto") if are_marked else ("all", _PARITIES.get(info.field_order, "auto"))
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=info.width, height=info.height, format=av.VideoFormat(target.name), time_base=info.time_base
    )
    graph.link_nodes(
        source, graph.add("bwdif", mode="send_frame", deint=which, parity=parity), graph.add("buffersink")
    ).configure()
    return graph
