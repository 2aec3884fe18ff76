"""Times of the packets and frames of a source, where its own time stamps do not give them."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from pipeline.media.source import AnyPacket

# Frames that wait for one stored after but shown before them; more than any encoder reorders.
FARTHEST_CROSSING = 16


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Corrections of time stamps, found by `pipeline.media.packet_scan`.

    ``offsets`` holds for each stream, by index, pairs in ascending order: the number of a packet of that stream and
    the offset of all time stamps from it on, in the stream's time base. ``frame_times`` are the times of the picture's
    frames in display order, offsets included, for sources whose time stamps do not give that order; None if they do.
    ``crossing`` is the maximum number of frames stored before one that is shown before them, in sources without
    prediction between frames, which their decoders do not reorder. ``shows_hidden``: packets hidden by the container
    are shown.
    """

    offsets: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    frame_times: array[int] | None = None
    crossing: int = 0
    shows_hidden: bool = False

    def is_at_joint(self, index: int, number: int) -> bool:
        """Return whether packet ``number`` of stream ``index`` is next to the joint of two recordings.

        FFmpeg's parser is up to two packets late in marking data that the demuxer found incomplete there.
        """
        return any(first - 3 <= number <= first for first, _ in self.offsets.get(index, ())[1:])


class Retimer:
    """Apply a `Timeline` to the packets of one pass over a source."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._counts = defaultdict[int, int](int)

    def apply(self, packet: AnyPacket) -> int:
        """Correct the time stamps of ``packet``, the next of its stream; return its number in the stream."""
        number = self._counts[packet.stream_index]
        if packet.size:
            self._counts[packet.stream_index] += 1
            offset = offset_of(self._timeline.offsets.get(packet.stream_index, ()), number)
            if offset:
                packet.pts = None if packet.pts is None else packet.pts + offset
                packet.dts = None if packet.dts is None else packet.dts + offset
        return number


def offset_of(offsets: tuple[tuple[int, int], ...], number: int) -> int:
    """Return the offset that applies to packet ``number`` of a stream, 0 before the first of ``offsets``."""
    place = bisect_right(offsets, number, key=lambda pair: pair[0])
    return offsets[place - 1][1] if place else 0


def crossing_of(times: array[int]) -> int:
    """Return the maximum number of frames stored before one that is shown before them."""
    latest: list[int] = []
    most = 0
    for time in times:
        place = bisect_right(latest, time)
        most = max(most, len(latest) - place)
        latest.insert(place, time)
        del latest[: -FARTHEST_CROSSING - 1]
    return most


def close_first_gap(times: list[int], *, most_frames: int) -> None:
    """Move the first time closer to the second: some writers put the reordering delay between these frames.

    The gap is at most ``most_frames`` frame periods.
    """
    steps = [b - a for a, b in pairwise(times[:8])]
    if len(steps) > 2 and steps[0] > steps[1] == steps[2] and steps[0] <= most_frames * steps[1]:
        times[0] = times[1] - steps[1]
