"""Give a finished Matroska file its display size.

FFmpeg's muxer writes the sample aspect ratio of a stream only from a field that PyAV cannot set, and FFV1 and AV1 have
no other place for it. So the track's name is written with padding after it, and the padding is later replaced by
DisplayWidth and DisplayHeight (RFC 9559, 5.1.4.1.28); no other byte of the file moves.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

PADDING = "~" * 32

_SEGMENT, _CLUSTER, _TRACKS, _TRACK = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\x16\x54\xae\x6b", b"\xae"
_NUMBER, _NAME, _VIDEO, _VOID, _CRC = b"\xd7", b"\x53\x6e", b"\xe0", b"\xec", b"\xbf"
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
_PIXELS, _ASPECT_RATIO = 0, 3
_VIDEO_TRACK = 1


class _Element(NamedTuple):
    """An element; ``length`` is the number of bytes of its size field, which may be more than necessary."""

    name: bytes
    body: bytes
    length: int = 1

    def tobytes(self) -> bytes:
        needed = next(n for n in range(1, 9) if len(self.body) < (1 << 7 * n) - 1)
        length = max(self.length, needed)
        return self.name + (len(self.body) | 1 << 7 * length).to_bytes(length) + self.body


def set_display_size(path: Path, *, width: int, height: int, sample_aspect_ratio: Fraction) -> None:
    """Write the display size of the first track, whose name ends in `PADDING`, and remove the padding.

    Raises `ValueError` if ``path`` is not such a file.
    """
    with path.open("r+b") as file:
        start, size = _find_tracks(file)
        file.seek(start)
        display = _display(width, height, sample_aspect_ratio)
        items = [_with_display(item, display) if item.name == _TRACK else item for item in _elements(file.read(size))]
        if items and items[0].name == _CRC:
            check = zlib.crc32(_joined(items[1:]))
            items[0] = items[0]._replace(body=check.to_bytes(4, "little"))
        data = _joined(items)
        if len(data) != size:
            raise ValueError(f"{path}: its track header would change from {size} to {len(data)} bytes")
        file.seek(start)
        file.write(data)


def _display(width: int, height: int, sar: Fraction) -> tuple[int, int, int]:
    """Return display width, display height and their unit, such that their ratio is exact."""
    if width * sar.numerator % sar.denominator == 0:
        return width * sar.numerator // sar.denominator, height, _PIXELS
    if height * sar.denominator % sar.numerator == 0:
        return width, height * sar.denominator // sar.numerator, _PIXELS
    ratio = sar * width / height
    return ratio.numerator, ratio.denominator, _ASPECT_RATIO


def _with_display(track: _Element, display: tuple[int, int, int]) -> _Element:
    items = _elements(track.body)
    fields = {item.name: item.body for item in items}
    if fields.get(_NUMBER) != bytes((_VIDEO_TRACK,)):
        return track
    padding = PADDING.encode()
    if not fields.get(_NAME, b"").endswith(padding):
        raise ValueError("the video track has no padded name")
    result = []
    for item in items:
        if item.name == _NAME:
            title = item.body.removesuffix(padding)
            result += [item._replace(body=title)] if title else []
        else:
            result.append(_video(item, display) if item.name == _VIDEO else item)
    spare = len(track.body) - len(_joined(result))
    result.append(_Element(_VOID, bytes(spare - 2)))
    return track._replace(body=_joined(result))


def _video(video: _Element, display: tuple[int, int, int]) -> _Element:
    values = dict(zip((_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT), display, strict=True))
    kept = [item for item in _elements(video.body) if item.name not in values]
    kept += [_Element(name, value.to_bytes((value.bit_length() + 7) // 8 or 1)) for name, value in values.items()]
    return video._replace(body=_joined(kept))


def _find_tracks(file: BinaryIO) -> tuple[int, int]:
    """Return the start and size of the contents of Tracks."""
    while header := _header(file):
        name, size = header
        if name == _TRACKS:
            return file.tell(), size
        if name == _CLUSTER:
            break
        if name != _SEGMENT:
            file.seek(size, 1)
    raise ValueError("no track header was found")


def _header(file: BinaryIO) -> tuple[bytes, int] | None:
    first = file.read(1)
    if not first:
        return None
    name = first + file.read(_length(first[0]) - 1)
    lead = file.read(1)
    length = _length(lead[0])
    return name, int.from_bytes(lead + file.read(length - 1)) & ((1 << 7 * length) - 1)


def _length(lead: int) -> int:
    """Return the length that the first byte of an identifier or size announces (RFC 8794, 4)."""
    if lead == 0:
        raise ValueError("not a Matroska element")
    return 9 - lead.bit_length()


def _elements(data: bytes) -> list[_Element]:
    items = []
    position = 0
    while position < len(data):
        length = _length(data[position])
        name = data[position : position + length]
        position += length
        length = _length(data[position])
        size = int.from_bytes(data[position : position + length]) & ((1 << 7 * length) - 1)
        position += length
        items.append(_Element(name, data[position : position + size], length))
        position += size
    return items


def _joined(items: Iterable[_Element]) -> bytes:
    return b"".join(item.tobytes() for item in items)
