"""Pictures still expected, known from their packets before the decoder returns or loses them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from fractions import Fraction

from pipeline.media.probe import FilmInfo

# Codecs whose packets may give no picture: placeholders after packed B-frames, hidden reference pictures.
_UNEVEN = ("mpeg4", "msmpeg4v3", "msmpeg4v2", "msmpeg4v1", "vp8")
_SHARE = Fraction(3, 4)


class ExpectedFrames:
    """Sorted times of packets passed to the decoder whose pictures it has not returned yet.

    Two packets less than three quarters of a frame apart may be two fields of one picture and count as one.
    """

    def __init__(self, info: FilmInfo) -> None:
        self._times: list[int] = []
        self._is_uneven = info.codec in _UNEVEN
        self._is_suspicious = False
        self._step = 1 / info.average_rate / info.time_base if info.average_rate else Fraction(0)
        # If each field is a packet, as from AVCHD cameras, the packet's duration is that of a field.
        self._least_step = self._step if info.is_interlaced else Fraction(0)

    def add(self, time: int, duration: int) -> None:
        """Expect the picture of a packet; ``duration`` is 0 if the packet has none."""
        insort(self._times, time)
        if duration:
            self._step = max(Fraction(duration), self._least_step)

    def suspect(self) -> None:
        """Note a decoding error: from now on, a missing picture counts as lost with any codec."""
        self._is_suspicious = True

    def before(self, time: int) -> list[int]:
        """Remove all times up to and including ``time``; return those lost before it."""
        gone, self._times = (
            self._times[: bisect_right(self._times, time)],
            self._times[bisect_right(self._times, time) :],
        )
        return self._apart([t for t in gone if t < time], None, time)

    def first_after(self, time: int | None) -> int | None:
        """Return the earliest time after ``time`` that still lacks its picture."""
        place = 0 if time is None else bisect_right(self._times, time)
        return self._times[place] if place < len(self._times) else None

    def between(self, time: int, following: int | None) -> list[int]:
        """Return the times lost after ``time`` and before ``following``, for None until the end of the film."""
        stop = len(self._times) if following is None else bisect_left(self._times, following)
        return self._apart(self._times[bisect_right(self._times, time) : stop], time, following)

    def forget(self, time: int | None) -> None:
        """Remove one time, which proved wrong."""
        if time is not None and time in self._times:
            self._times.remove(time)

    def _apart(self, times: list[int], before: int | None, after: int | None) -> list[int]:
        if self._is_uneven and not self._is_suspicious:
            return []
        kept: list[int] = []
        for time in times:
            earlier = kept[-1] if kept else before
            if earlier is not None and time - earlier < _SHARE * self._step:
                continue
            if after is not None and after - time < _SHARE * self._step:
                continue
            kept.append(time)
        return kept
