"""What a decoded picture says of itself that PyAV does not show plainly: its first field, its turn for display."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import av
import av.filter
from av.buffer import Buffer

# FFmpeg's numbers. The second of each is what QuickTime writes: it names the field that is coded first, which cameras
# also show first.
TOP_FIRST, BOTTOM_FIRST = (2, 4), (3, 5)


def field_order(stream: av.VideoStream, picture: av.VideoFrame) -> int:
    """Return FFmpeg's number: the container's word, or the picture's where they disagree, as players go by the picture."""
    said: int = stream.codec_context.field_order
    if not picture.interlaced_frame:
        return said
    is_top = _shows_top_first(picture)
    return said if said in (TOP_FIRST if is_top else BOTTOM_FIRST) else (TOP_FIRST if is_top else BOTTOM_FIRST)[0]


def _shows_top_first(picture: av.VideoFrame) -> bool:
    # PyAV does not show this mark, but FFmpeg's filter lets through only what bears it.
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 25)
    )
    graph.link_nodes(source, graph.add("select", "eq(interlace_type,TOPFIRST)"), graph.add("buffersink")).configure()
    graph.push(picture)
    graph.push(None)
    try:
        graph.pull()
    except (av.BlockingIOError, av.EOFError):
        return False
    return True


def display_matrix(picture: av.VideoFrame) -> tuple[int, ...] | None:
    """Return the nine raw integers that say how ``picture`` is turned or mirrored for display; None if it is not."""
    try:
        data: Buffer = picture.side_data["DISPLAYMATRIX"]  # type: ignore[typeddict-item]  # stub lists one key
    except KeyError:
        return None
    except ValueError:
        # PyAV knows no name for some kinds of side data, Exif among them, and then shows none at all.
        return _turning(picture.rotation) if picture.rotation else None
    return struct.unpack("=9i", bytes(data))


def _turning(degrees: int) -> tuple[int, ...]:
    """Return the display matrix (ISO/IEC 14496-12, 8.3.2) that turns a picture counter-clockwise."""
    cos, sin = (round(part * (1 << 16)) for part in (math.cos(math.radians(degrees)), math.sin(math.radians(degrees))))
    return (cos, -sin, 0, sin, cos, 0, 0, 0, 1 << 30)
