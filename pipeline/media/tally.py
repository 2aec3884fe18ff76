"""What was read from a source, counted while it is read once."""

from __future__ import annotations

import hashlib
from array import array

import numpy as np

from pipeline.media.frames import Frame, Plane


class LumaDigest:
    """A running fingerprint of luma planes."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, luma: Plane) -> None:
        """Take in the codes of one plane, (H, W), row by row."""
        self._hash.update(np.ascontiguousarray(luma).data)

    def hexdigest(self) -> str:
        """Return the fingerprint of everything so far."""
        return self._hash.hexdigest()


class Tally:
    """The times of all frames, eight bytes each, and with ``luma`` a fingerprint of their luma."""

    def __init__(self, *, luma: bool) -> None:
        self.times = array("q")
        self.last_duration = 0
        self.luma = LumaDigest() if luma else None

    @property
    def frames(self) -> int:
        """How many frames were counted."""
        return len(self.times)

    def add(self, frame: Frame) -> None:
        """Count ``frame``."""
        self.times.append(frame.timestamp.pts)
        self.last_duration = frame.timestamp.duration
        if self.luma is not None:
            self.luma.add(frame.luma)
