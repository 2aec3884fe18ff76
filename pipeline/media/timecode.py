"""Read the timecode track of QuickTime and MP4: FFmpeg gives its first number, not its numbers per second."""

from __future__ import annotations

import os
import re
import struct

import av.container

from pipeline.media.source import shared_file
from pipeline.media.structure import boxes

_LARGEST_HEADER = 64 << 20
# A sample description (QuickTime File Format, "Timecode Sample Description"): size, name, 6 bytes of zero, an index,
# 4 bytes of zero, flags, time scale, duration of a frame, numbers per second.
_DESCRIPTION = re.compile(rb"tmcd\0{6}..\0{4}.{4}(.{4})(.{4})(.)", re.DOTALL)


def timecode_numbers(container: av.container.InputContainer) -> int | None:
    """Return the numbers per second of the timecode in an open file; None if it is no QuickTime or MP4, or has none.

    Raises `UnreadableError` if the disk fails.
    """
    if "mov" not in container.format.name or all("timecode" not in stream.metadata for stream in container.streams):
        return None
    with shared_file(container) as file:
        for place, name, _, end in boxes(file, 0, file.seek(0, os.SEEK_END)):
            if name == b"moov" and end > place:
                file.seek(place)
                return _numbers(file.read(min(end - place, _LARGEST_HEADER)))
    return None


def _numbers(header: bytes) -> int | None:
    for found in _DESCRIPTION.finditer(header):
        scale, duration = struct.unpack(">II", found[1] + found[2])
        if scale and duration and found[3][0] == round(scale / duration):
            return found[3][0]
    return None
