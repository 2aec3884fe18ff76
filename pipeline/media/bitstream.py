"""Read data from single coded pictures before a film is decoded: captions, size, pixel aspect, and time."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import av

from pipeline.media.source import MAX_PIXELS

# ATSC A/53 Part 4, 6.2.3: user data that hold captions begin like this in every codec; in MPEG-2 also those of DVDs
# and of American cable (ANSI/SCTE 20).
_CAPTIONS = b"GA94\x03"
_OTHER_CAPTIONS = re.compile(rb"\x00\x00\x01\xb2(?:CC\x01\xf8|\x03[\x01\x81])")
_CAPTIONED = ("mpeg2video", "mpeg1video", "h264", "hevc", "vvc", "av1", "vc1")
_START_CODES = (b"\0\0\1", b"\0\0\0\1")
_UNIT = rb"(?:(?!\x00\x00[\x00\x01]).)*"
# Of MPEG-2 (ITU-T H.262, 6.2.2.1) only width, height and aspect ratio, in three and a half bytes.
_HEADERS = {
    codec: re.compile(rb"\x00\x00\x01" + pattern, re.DOTALL)
    for codec, pattern in {
        "mpeg2video": rb"\xb3.{4}",
        "mpeg4": rb"[\x20-\x2f]" + _UNIT,
        "h264": rb"[\x27\x47\x67]" + _UNIT,
        "hevc": rb"\x42." + _UNIT,
    }.items()
}

# RealVideo 2, by its decoder in FFmpeg (rv10.c): a byte with the number of slices less one, eight bytes for each
# slice, then bits: 2 for the kind of picture, 1, 5 for its quality, 1, and 13 for its time.
_TIME_BITS, _TIME_PLACE = 13, 9


def realvideo_time(data: bytes, near: int) -> int:
    """Return the time, in milliseconds, at which a coded picture of RealVideo 2 is shown, closest to ``near``.

    The picture states it modulo 8,192. A picture that is too short to state it is shown at ``near``.
    """
    first = 1 + 8 * (data[0] + 1) if data else 0
    header = data[first : first + 3]
    if len(header) < 3:
        return near
    cycle = 1 << _TIME_BITS
    stated = int.from_bytes(header) >> (24 - _TIME_PLACE - _TIME_BITS) & (cycle - 1)
    return near + (stated - near + cycle // 2) % cycle - cycle // 2


def holds_captions(data: bytes, codec: str) -> bool:
    """Return whether a coded picture contains closed captions (EIA-608 or 708) that are not all padding."""
    if codec not in _CAPTIONED:
        return False
    place = data.find(_CAPTIONS)
    return (place >= 0 and _says_something(data[place + len(_CAPTIONS) :])) or (
        codec == "mpeg2video" and _OTHER_CAPTIONS.search(data) is not None
    )


def _says_something(captions: bytes) -> bool:
    """Return whether a triplet of cc_data (ATSC A/53 Part 4, 6.2.3.1) is valid and not padding."""
    count = captions[0] & 0x1F if captions else 0
    triplets = (captions[2 + 3 * n : 5 + 3 * n] for n in range(count))
    return any(len(t) == 3 and t[0] & 4 and (t[1] & 0x7F or t[2] & 0x7F) for t in triplets)


def headers(data: bytes, codec: str) -> bytes:
    """Return the headers in a coded picture that give size and shape of the following ones; empty if none.

    These are the sequence header of MPEG-2, the video object layer of MPEG-4, and the sequence parameter sets of H.264
    and HEVC between start codes (ISO/IEC 14496-10 and 23008-2, annex B). If a container stores them separately from
    the pictures, nothing is found.
    """
    kind = _HEADERS.get(codec)
    if kind is None or not data.startswith(_START_CODES):
        return b""
    return b"".join(kind.findall(data))


def shape(data: bytes, codec: str) -> tuple[int, int, Fraction] | None:
    """Return width, height and pixel aspect of a coded picture with its own headers; None if it is damaged."""
    context: Any = av.CodecContext.create(codec, "r")
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_PIXELS)}
    try:
        context.decode(av.Packet(data))
    except (av.FFmpegError, OSError):
        return None
    return (context.width, context.height, context.sample_aspect_ratio or Fraction(1)) if context.width else None
