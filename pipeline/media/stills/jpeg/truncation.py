"""Detect missing coded data at the end of a JPEG whose codes cannot be followed one by one.

A decoder that meets a marker too early continues with zeros, without any message that reaches us. So the picture is
decoded twice, unchanged and with random bytes at the end of each scan and restart interval. Complete data never reads
them; truncated data does, and gives another picture.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import replace

import imagecodecs

from pipeline.media.stills.jpeg.segments import ARITHMETIC, ARITHMETIC_PROGRESSIVE, RESTART, JpegFile

# An encoder omits trailing zeros of arithmetic codes, which decoders assume after them (T.81, D.1.8).
_THOUGHT_OF = b"\0" * 4
# Without 0xFF, which would begin a marker.
_RANDOM = bytes(random.Random(0).choices(range(0xFF), k=64))


def breaks_off(jpeg: JpegFile) -> bool:
    """Return whether coded data is missing at the end of a scan or restart interval, or the picture cannot be decoded.

    This takes the time of two decodings. A missing last block or two may go unnoticed.
    """
    tail = _THOUGHT_OF + _RANDOM if jpeg.frame.marker in (ARITHMETIC, ARITHMETIC_PROGRESSIVE) else _RANDOM
    try:
        return _decoded(jpeg, tail) != _decoded(jpeg, b"")
    except (RuntimeError, ValueError):
        return True


def _decoded(jpeg: JpegFile, tail: bytes) -> int:
    """Return a checksum of the picture with ``tail`` wherever coded data ends."""
    scans = (
        replace(scan, data=RESTART.sub(lambda found: tail + found.group(), scan.data) + tail) for scan in jpeg.scans
    )
    data = b"".join((b"\xff\xd8", jpeg.frame.tobytes(), *(scan.tobytes() for scan in scans), b"\xff\xd9"))
    return zlib.crc32(imagecodecs.jpeg8_decode(data).tobytes())
