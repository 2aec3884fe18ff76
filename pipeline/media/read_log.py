"""Log the data read from a source, in the one pass that reads it."""

from __future__ import annotations

import hashlib
from array import array
from fractions import Fraction
from typing import Any

import numpy as np
from av import Packet

from pipeline.media.frames import Frame, Plane
from pipeline.results import Note, NoteKind

_SAMPLES = 4
_SAMPLE_BYTES = 1 << 26
_REGULAR = 0.98
_NO_TIME = -(1 << 63)


class LumaDigest:
    """A running fingerprint of luma planes."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, luma: Plane) -> None:
        """Add the codes of one plane, (H, W), row by row."""
        self._hash.update(np.ascontiguousarray(luma).data)

    def hexdigest(self) -> str:
        """Return the fingerprint of everything so far."""
        return self._hash.hexdigest()


class LumaSamples:
    """Copies of the luma of a few frames, at most 4 and 64 MB in all, spread evenly over a film of unknown length."""

    def __init__(self) -> None:
        self._stride = 1
        self._planes: dict[int, Plane] = {}

    def add(self, number: int, luma: Plane) -> None:
        """Add the luma of frame ``number``, (H, W), or skip it."""
        if (number + 1) % self._stride:
            return
        most = max(1, min(_SAMPLES, _SAMPLE_BYTES // luma.nbytes))
        self._planes[number] = luma.copy()
        while len(self._planes) > most:
            self._stride *= 2
            self._planes = {n: plane for n, plane in self._planes.items() if (n + 1) % self._stride == 0}

    @property
    def planes(self) -> dict[int, Plane]:
        """Luma codes by frame number, ascending."""
        return dict(self._planes)


class ReadLog:
    """The times of all frames, eight bytes each, and data to compare their luma with.

    With ``luma`` this is a fingerprint of every sample, otherwise a few whole frames. ``notes`` are reported by the
    reader of the film at its end.
    """

    def __init__(self, *, luma: bool) -> None:
        self.times = array("q")
        self.last_duration = 0
        self.luma = LumaDigest() if luma else None
        self.samples = LumaSamples()
        self.notes: tuple[Note, ...] = ()

    @property
    def frames(self) -> int:
        """Number of frames counted."""
        return len(self.times)

    def add(self, frame: Frame) -> None:
        """Count ``frame``."""
        if self.luma is not None:
            self.luma.add(frame.luma)
        else:
            self.samples.add(self.frames, frame.luma)
        self.times.append(frame.timestamp.pts)
        self.last_duration = frame.timestamp.duration

    def pauses(self, time_base: Fraction) -> tuple[Note, ...]:
        """Return a note if frames are missing in an otherwise regular film: a pause looks like a loss."""
        steps = np.diff(np.array(self.times, np.int64))
        if len(steps) < 8:
            return ()
        usual = int(np.median(steps))
        is_regular = np.abs(steps - usual) <= max(1, usual // 10)
        gaps = np.flatnonzero(2 * steps > 3 * usual)
        if not len(gaps) or is_regular.sum() < min(_REGULAR * len(steps), len(steps) - 1):
            return ()
        missing = int(np.rint(steps[gaps] / usual - 1).sum())
        first = float(self.times[int(gaps[0])] * time_base)
        text = f"between frames there is room for {missing} more, first after {first:.3f} s; their times are kept"
        return (Note(NoteKind.ASSUMED, text),)


def adts_header(data: bytes) -> int:
    """Return the length of the header of an AAC packet (ADTS, ISO/IEC 13818-7, 6.2), 0 if it has none."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return 0
    length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    return (7 if data[1] & 1 else 9) if length == len(data) else 0


class PacketLog:
    """The packets of one stream: their number, a fingerprint of their joined contents, and their times.

    Containers may divide uncompressed sound into any packets; its joined bytes stay the same.
    """

    def __init__(self) -> None:
        self.count = 0
        self.times = array("q")
        self.time_base = Fraction(1)
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, packet: Packet[Any], *, codec: str) -> None:
        """Count ``packet``, whose stream is coded with ``codec``; empty ones have no content and do not count."""
        if not packet.size:
            return
        data = bytes(packet)
        # Transport streams put a header before every packet, other containers store it once.
        self._hash.update(data[adts_header(data) :] if codec == "aac" else data)
        self.count += 1
        self.times.append(_NO_TIME if packet.pts is None else packet.pts)
        self.time_base = packet.time_base

    def hexdigest(self) -> str:
        """Return the fingerprint of all contents so far."""
        return self._hash.hexdigest()

    def seconds(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return the times of all packets in seconds; NaN for a packet without one."""
        times = np.array(self.times, np.int64)
        return np.where(times == _NO_TIME, np.nan, times * float(self.time_base))
