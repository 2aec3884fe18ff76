"""Properties of decoded pictures that PyAV does not expose directly: first field, and rotation for display."""

from __future__ import annotations

import math
import re
import struct
from fractions import Fraction

import av
import av.filter
from av.buffer import Buffer

# FFmpeg's numbers. The second of each is written by QuickTime: it names the field coded first, which cameras also
# show first.
TOP_FIRST, BOTTOM_FIRST = (2, 4), (3, 5)
_UPRIGHT = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def field_order(stream: av.VideoStream, picture: av.VideoFrame) -> int:
    """Return FFmpeg's number: the container's, or if they disagree the picture's, because players follow that."""
    stated: int = stream.codec_context.field_order
    if not picture.interlaced_frame:
        return stated
    orders = BOTTOM_FIRST if _filtered(picture, "select", "eq(interlace_type,TOPFIRST)") is None else TOP_FIRST
    return stated if stated in orders else orders[0]


def with_first_field(picture: av.VideoFrame, *, bottom: bool) -> av.VideoFrame:
    """Return ``picture`` marked as two fields, with the one at the ``bottom`` or the other first."""
    marked = _filtered(picture, "setfield", "bff" if bottom else "tff")
    assert marked is not None
    marked.pts, marked.time_base, marked.duration = picture.pts, picture.time_base, picture.duration
    return marked


def known_side_data(picture: av.VideoFrame) -> av.VideoFrame:
    """Return ``picture`` without side data unknown to PyAV, which shows none at all if one kind is unknown."""
    while True:
        try:
            len(picture.side_data)
        except ValueError as error:
            unknown = re.match(r"\d+", str(error))
            bare = _filtered(picture, "sidedata", f"mode=delete:type={unknown[0]}") if unknown else None
            if bare is None:
                raise
            picture = bare
        else:
            return picture


def display_matrix(picture: av.VideoFrame) -> tuple[int, ...] | None:
    """Return the nine raw integers that rotate or mirror ``picture`` for display (ISO/IEC 14496-12, 8.3.2), if any.

    PyAV must know all kinds of its side data.
    """
    try:
        data: Buffer = picture.side_data["DISPLAYMATRIX"]  # type: ignore[typeddict-item]  # stub lists one key
    except KeyError:
        return None
    matrix = struct.unpack("=9i", bytes(data))
    return None if matrix == _UPRIGHT else matrix


def rotation(matrix: tuple[int, ...] | None) -> int:
    """Return the counter-clockwise rotation by ``matrix`` in degrees, after mirroring left to right if it mirrors."""
    if matrix is None:
        return 0
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    side = -1 if a * d < b * c else 1
    return -round(math.degrees(math.atan2(side * b, side * a)))


def _filtered(picture: av.VideoFrame, name: str, options: str) -> av.VideoFrame | None:
    """Return the output of the FFmpeg filter ``name`` for ``picture``; None if there is none."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 25)
    )
    graph.link_nodes(source, graph.add(name, options), graph.add("buffersink")).configure()
    graph.push(picture)
    graph.push(None)
    try:
        result = graph.pull()
    except (av.BlockingIOError, av.EOFError):
        return None
    assert isinstance(result, av.VideoFrame)
    return result
