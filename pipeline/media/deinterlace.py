"""Whole pictures made of fields, one for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable

import av
import av.filter

from pipeline.media.frame_flags import BOTTOM_FIRST, TOP_FIRST
from pipeline.media.frames import Frame, Timestamp
from pipeline.media.pixels import PixelFormat
from pipeline.media.probe import FilmInfo

_PARITIES = {**dict.fromkeys(TOP_FIRST, "tff"), **dict.fromkeys(BOTTOM_FIRST, "bff")}


def deinterlaced(frames: Iterable[Frame], info: FilmInfo, target: PixelFormat) -> Generator[Frame, None, None]:
    """Yield ``frames``, which are in format ``target``, each with its time; the interlaced ones as whole pictures.

    Of two fields the one shown first stays bit for bit; the lines of the other are made anew by FFmpeg's bwdif. Where
    only the container of the film ``info`` says that it is interlaced, every frame is taken for it.
    """
    times: deque[Timestamp] = deque()
    graph: av.filter.Graph | None = None
    for frame in frames:
        if graph is None:
            graph = _graph(info, target, are_marked=frame.is_interlaced)
        times.append(frame.timestamp)
        graph.push(frame.unpainted)
        yield from _ready(graph, times, target)
    if graph is not None:
        graph.push(None)
        yield from _ready(graph, times, target)


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


def _ready(graph: av.filter.Graph, times: deque[Timestamp], target: PixelFormat) -> Generator[Frame, None, None]:
    while True:
        try:
            picture = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(picture, av.VideoFrame)
        yield Frame(picture, times.popleft(), source=target, target=target)
