"""Detect films that cannot be decoded because they are encrypted, where FFmpeg does not report it."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import av.container
import numpy as np

from pipeline.media.source import shared_file

_LOOK = 4 << 20
# Advanced Systems Format, 3.14 and 3.15: objects that describe the licence of protected content.
_ASF_PROTECTION = tuple(
    uuid.UUID(text).bytes_le
    for text in ("2211B3FB-BD23-11D2-B4B7-00A0C955FC6E", "298AE614-2622-4C17-B935-DAE07EE9289C")
)
_TRANSPORT_PACKET, _SYNC, _SCRAMBLED = 188, 0x47, 0xC0
_PES_START = b"\x00\x00\x01"
_PICTURE_STREAMS = range(0xE0, 0xF0)
# A protected kind of picture, and in it the information about its protection with the scheme (ISO/IEC 14496-12, 8.12),
# and how far apart they are at most; an encrypted track of Matroska with its method (RFC 9559, 5.1.4.1.31).
_KIND, _INFORMATION, _SCHEME = b"encv", b"sinf", re.compile(rb"schm")
_KIND_BEFORE, _INFORMATION_BEFORE = 4000, 200
_TRACK = re.compile(rb"\x50\x35.{1,8}?\x47\xe1[\x81-\x88]", re.DOTALL)


def is_scrambled(container: av.container.InputContainer) -> bool:
    """Return whether the beginning of an open film is marked as encrypted in the container only.

    Supported are Windows Media with a licence, transport streams with scrambled packets (ISO/IEC 13818-1, 2.4.3.3), and
    program streams with scrambled pictures, as on discs (2.4.3.7). Raises `UnreadableError` if the disk fails.
    """
    name = container.format.name
    if name not in ("asf", "mpegts", "mpeg"):
        return False
    with shared_file(container) as file:
        head = file.read(_LOOK)
    if name == "asf":
        return any(mark in head for mark in _ASF_PROTECTION)
    return _scrambled_packets(head) if name == "mpegts" else _scrambled_pictures(head)


def is_protected(path: Path) -> bool:
    """Return whether the beginning of an MP4 or Matroska file that cannot be decoded has a protected picture.

    One that can be decoded is not protected, whatever its marks. Raises `OSError`.
    """
    with path.open("rb") as file:
        head = file.read(_LOOK)
    # Not one expression for all three: searching a hostile file would take half an hour.
    is_mp4 = any(_is_scheme_of_picture(head, found.start()) for found in _SCHEME.finditer(head))
    return is_mp4 or _TRACK.search(head) is not None


def _is_scheme_of_picture(head: bytes, at: int) -> bool:
    information = head.rfind(_INFORMATION, max(0, at - _INFORMATION_BEFORE), at)
    return information >= 0 and head.rfind(_KIND, max(0, information - _KIND_BEFORE), information) >= 0


def _scrambled_packets(head: bytes) -> bool:
    """Return whether more than half of the transport packets are marked as scrambled."""
    data = np.frombuffer(head, np.uint8)
    for length in (_TRANSPORT_PACKET, _TRANSPORT_PACKET + 4):
        rows = data[: len(data) // length * length].reshape(-1, length)[:, length - _TRANSPORT_PACKET :]
        if len(rows) and (rows[:, 0] == _SYNC).mean() > 0.9:
            return bool((rows[:, 3] & _SCRAMBLED != 0).mean() > 0.5)
    return False


def _scrambled_pictures(head: bytes) -> bool:
    """Return whether most packets of pictures are marked as scrambled."""
    place, marks = head.find(_PES_START), []
    while 0 <= place < len(head) - 7:
        if head[place + 3] in _PICTURE_STREAMS and head[place + 6] & 0xC0 == 0x80:
            marks.append(head[place + 6] & 0x30 != 0)
            place += 6 + int.from_bytes(head[place + 4 : place + 6])
        place = head.find(_PES_START, place + 3)
    return 2 * sum(marks) > len(marks)
