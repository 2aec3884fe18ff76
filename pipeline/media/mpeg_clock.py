"""Follow the clocks of MPEG program and transport streams: where parts were joined, and where the film begins.

Parts that were recorded one after another and joined as files each have their own clock. Every stream is followed
separately; at a jump a new epoch begins, which the other streams reach a few packets earlier or later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# In seconds. Decoding times never go back; the tolerance is for rounding.
_BACKWARD = 0.1
# A pause this long in one stream, while the others pause as well, is a change of clock: the ffmpeg program's limit.
_FORWARD = 10.0
_TOGETHER = 5.0


@dataclass
class _Span:
    """The extent of one stream in one epoch, in clock units: ``start`` and ``end`` of display."""

    number: int
    start: int
    end: int


@dataclass
class _Track:
    """One stream: its packets so far, when the next one is due by the provisional offsets, and its spans by epoch."""

    is_continuous: bool
    count: int = 0
    epoch: int = 0
    due: int | None = None
    spans: dict[int, _Span] = field(default_factory=dict)


class MpegClock:
    """Follows the packets of all streams, whose time stamps count ``1 / rate`` seconds."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._provisional = [0]
        self._tracks: dict[int, _Track] = {}

    def add(self, index: int, *, pts: int | None, dts: int | None, duration: int, is_continuous: bool) -> None:
        """Add the next packet of stream ``index``; sound and picture are continuous, subtitles are not."""
        track = self._tracks.setdefault(index, _Track(is_continuous))
        number = track.count
        track.count += 1
        time = dts if dts is not None else pts
        if time is None:
            return
        if is_continuous:
            track.epoch = self._epoch(track, time)
            track.due = time + self._provisional[track.epoch] + duration
        else:
            track.epoch = len(self._provisional) - 1
        shown = pts if pts is not None else time
        span = track.spans.setdefault(track.epoch, _Span(number, shown, shown))
        span.start, span.end = min(span.start, shown), max(span.end, shown + duration)

    def _epoch(self, track: _Track, time: int) -> int:
        latest = len(self._provisional) - 1
        if track.due is None:
            return latest
        distances = {epoch: time + self._provisional[epoch] - track.due for epoch in range(track.epoch, latest + 1)}
        epoch = min(distances, key=lambda key: abs(distances[key]))
        if not self._is_jump(track, distances[epoch]):
            return epoch
        self._provisional.append(track.due - time)
        return latest + 1

    def _is_jump(self, track: _Track, distance: int) -> bool:
        if distance < -_BACKWARD * self._rate:
            return True
        others = [other.due for other in self._tracks.values() if other is not track and other.due is not None]
        if distance <= _FORWARD * self._rate or not others or track.due is None:
            return False
        return max(others) < track.due + _TOGETHER * self._rate

    @property
    def joints(self) -> int:
        """Number of clock jumps."""
        return len(self._provisional) - 1

    def offsets(self) -> dict[int, tuple[tuple[int, int], ...]]:
        """Return for each stream the first packet of each epoch and the offset that makes epochs consecutive.

        All streams of an epoch have the same offset, so large that none of them overlaps its part in the previous one.
        """
        moves = [0]
        for epoch in range(1, len(self._provisional)):
            gaps = []
            for track in self._tracks.values():
                before = [key for key in track.spans if key < epoch]
                if track.is_continuous and epoch in track.spans and before:
                    gaps.append(track.spans[max(before)].end + moves[max(before)] - track.spans[epoch].start)
            moves.append(max(gaps, default=moves[-1]))
        return {
            index: tuple((span.number if epoch else 0, moves[epoch]) for epoch, span in sorted(track.spans.items()))
            for index, track in self._tracks.items()
        }

    def start(self) -> int | None:
        """Return when the very first packet is shown; None if no packet has a time."""
        starts = [track.spans[min(track.spans)].start for track in self._tracks.values() if track.spans]
        return min(starts, default=None)
