"""Check a file for completeness by the structure of its container; no picture is decoded.

If a part is cut off, zeroed or overwritten, demuxers silently search for the next element they know, and the frames in
between are simply lost. But every container is a chain of parts that state their lengths: where the chain breaks,
something is missing.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import partial
from typing import BinaryIO, NamedTuple

import av.container
import numpy as np

from pipeline.media.source import shared_file
from pipeline.wording import count

_BLOCK = 1 << 20
_Walk = Callable[[BinaryIO, int], "str | None"]


def find_break(container: av.container.InputContainer) -> str | None:
    """Return where and how the structure of the open file breaks, or None if no break is found.

    Supported are Matroska and WebM (RFC 9559), MP4 and QuickTime (ISO/IEC 14496-12), AVI (with OpenDML), IVF, FLI and
    FLC, MXF (SMPTE ST 377-1), MPEG program and transport streams (ISO/IEC 13818-1); others are assumed complete.
    Transport streams are read to the end, of all others only the headers of the parts. The tables of an MP4 are also
    compared with the size of the file. Raises `UnreadableError` if the disk fails.
    """
    name = container.format.name
    if _walk_of(name) is None:
        return None
    with shared_file(container) as file:
        return break_in(file, name, spans=_sample_spans(container))


def break_in(file: BinaryIO, container: str, *, spans: Iterable[tuple[int, int]] = ()) -> str | None:
    """Return what `find_break` does; ``container`` is FFmpeg's name of the demuxer.

    ``spans`` are those of `_sample_spans`, as far as they are known. They are only asked for of an MP4.
    """
    walk = _walk_of(container, spans)
    return None if walk is None else walk(file, file.seek(0, os.SEEK_END))


def _sample_spans(container: av.container.InputContainer) -> Iterator[tuple[int, int]]:
    """Yield for each stream where the first and the last end of those packets that FFmpeg lists, by place in the file.

    It lists all of an MP4 on opening, and none of some streams, which are left out.
    """
    for stream in container.streams:
        ends = [entry.pos + entry.size for entry in stream.index_entries]
        if ends:
            yield min(ends), max(ends)


def _at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def _broken(place: int) -> str:
    return f"is damaged: its structure breaks at byte {place:,}"


def _cut(size: int, end: int) -> str:
    return f"is cut off: {count(end - size, 'byte')} missing behind the {size:,} that are there"


# Matroska ------------------------------------------------------------------------------------------------------------

_EBML, _SEGMENT, _CLUSTER, _VOID, _CRC = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xEC, 0xBF
_SEEK_HEAD, _INFO, _TRACKS, _CUES, _CHAPTERS, _TAGS, _ATTACHMENTS = (
    0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1043A770, 0x1254C367, 0x1941A469,
)  # fmt: skip
_IN_FILE = {_EBML, _SEGMENT, _VOID, _CRC}
_IN_SEGMENT = {_CLUSTER, _SEEK_HEAD, _INFO, _TRACKS, _CUES, _CHAPTERS, _TAGS, _ATTACHMENTS, _VOID, _CRC}
# Timestamp, silent tracks, position, size of the previous one, block, group of blocks, encrypted block.
_IN_CLUSTER = {0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, _VOID, _CRC}
_TRACK, _TRACK_NUMBER, _BLOCK_GROUP, _BLOCKS = 0xAE, 0xD7, 0xA0, (0xA3, 0xA1)
_ANYTHING: Set[int] = frozenset()
_INSIDE: Mapping[int, Set[int]] = {
    _SEGMENT: _IN_SEGMENT,
    _CLUSTER: _IN_CLUSTER,
    _TRACKS: {_TRACK, _VOID, _CRC},
    _TRACK: _ANYTHING,
    _BLOCK_GROUP: _ANYTHING,
}


class _Level(NamedTuple):
    known: Set[int]
    end: int
    is_open: bool = False  # of unknown length: it ends where a part of the level above begins


def _walk_matroska(file: BinaryIO, size: int) -> str | None:
    place, levels, tracks = 0, [_Level(_IN_FILE, size)], set[int]()
    while place < size:
        while len(levels) > 1 and place >= levels[-1].end:
            levels.pop()
        data = _at(file, place, 16)
        name, head, length = _ebml(data) or (0, 0, None)
        while len(levels) > 1 and levels[-1].is_open and name not in levels[-1].known:
            levels.pop()
        level = levels[-1]
        if name and level.known and name not in level.known and _may_be_skipped(file, level, place, head, length):
            place += head + (length or 0)
            continue
        if not name or (level.known and name not in level.known):
            return None if level.known is _IN_FILE and place else _broken(place)
        end = level.end if length is None else place + head + length
        if end > size:
            return _cut(size, end)
        if name == _TRACK_NUMBER:
            tracks.add(int.from_bytes(data[head : head + (length or 0)]))
        if end > level.end or (name in _BLOCKS and _vint(data[head:]) not in tracks):
            return _broken(place)
        inside = _INSIDE.get(name) if level.known else None
        if inside is not None:
            levels.append(_Level(inside, end, length is None))
        place = end if inside is None else place + head
    return None


def _may_be_skipped(file: BinaryIO, level: _Level, place: int, head: int, length: int | None) -> bool:
    """Return whether an unknown element is complete: a known one follows it, or it ends its level."""
    end = place + head + (length or 0)
    if length is None or end > level.end:
        return False
    following = _ebml(_at(file, end, 16))
    return end == level.end or (following is not None and following[0] in level.known)


def _ebml(data: bytes) -> tuple[int, int, int | None] | None:
    """Return name, header length and content length (None: unknown) of an element (RFC 8794)."""
    if len(data) < 2 or data[0] < 0x10:
        return None
    name_length = 9 - data[0].bit_length()
    length = _vint(data[name_length:])
    if length is None:
        return None
    head = name_length + 9 - data[name_length].bit_length()
    is_unknown = length == (1 << 7 * (head - name_length)) - 1
    return int.from_bytes(data[:name_length]), head, None if is_unknown else length


def _vint(data: bytes) -> int | None:
    """Return the variable-length number at the start of ``data`` (RFC 8794, 4)."""
    if not data or data[0] == 0:
        return None
    length = 9 - data[0].bit_length()
    return int.from_bytes(data[:length]) & ((1 << 7 * length) - 1)


# MP4 and QuickTime ---------------------------------------------------------------------------------------------------

_BOXES_OF_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}


def _walk_mov(file: BinaryIO, size: int, *, spans: Iterable[tuple[int, int]]) -> str | None:
    spans = list(spans)
    if found := _walk_boxes(file, size, samples_end=max((end for _, end in spans), default=0)):
        return found
    # A stream that lies behind the end from its first sample on is in another file, or holds no packets.
    end = max((end for first, end in spans if first <= size), default=0)
    return _cut(size, end) if end > size else None


def _walk_boxes(file: BinaryIO, size: int, *, samples_end: int) -> str | None:
    """Walk over the boxes; the last one may claim too much if all samples, up to ``samples_end``, are there."""
    seen: set[bytes] = set()
    for place, name, content, end in boxes(file, 0, size):
        is_known = name.isascii() and name.decode().isprintable()
        if {b"moov", b"mdat"} <= seen and (not is_known or end <= place):
            return None  # something was appended that is no part of the film
        if not is_known or end <= place:
            return _broken(place)
        if end > size:
            has_tables = name == b"mdat" and b"moov" in seen and b"moof" not in seen
            return None if has_tables and 0 < samples_end <= size else _cut(size, end)
        seen.add(name)
        if name == b"moov" and (found := _nested(file, content, end)):
            return found
    return None


def _nested(file: BinaryIO, start: int, stop: int) -> str | None:
    for place, name, content, end in boxes(file, start, stop):
        if end <= place or end > stop:
            return _broken(place)
        if name in _BOXES_OF_BOXES and (found := _nested(file, content, end)):
            return found
    return None


def boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[int, bytes, int, int]]:
    """Yield position, name, start of the contents and end of consecutive boxes.

    An end not after the position means that it is none.
    """
    place = start
    while place + 8 <= stop:
        length, name = struct.unpack(">I4s", _at(file, place, 8))
        content = place + 8
        if length == 1:
            length, content = int.from_bytes(_at(file, content, 8)), place + 16
        end = stop if length == 0 else place + length if length >= content - place else place
        yield place, name, content, end
        if end <= place:
            return
        place = end


# AVI -----------------------------------------------------------------------------------------------------------------


def _walk_avi(file: BinaryIO, size: int) -> str | None:
    place, ends = 0, [size]
    while place + 8 <= size:
        if len(ends) > 1 and place >= ends[-1]:
            ends.pop()
            continue
        name, length = struct.unpack("<4sI", _at(file, place, 8))
        if len(ends) == 1 and name != b"RIFF":
            return None if place else _broken(place)  # what follows the last part is none of ours
        if not _is_chunk(name):
            before = _at(file, place - 1, 4)
            if not _is_chunk(before):
                return _broken(place)
            place -= 1  # some writers leave out the byte that makes lengths even
            continue
        end = place + 8 + length
        if end > size:
            return _cut(size, end)
        if end > ends[-1] + 1:
            return _broken(place)
        if name == b"RIFF" or (name == b"LIST" and _at(file, place + 8, 4) in _LISTS_OF_CHUNKS):
            ends.append(end)
            place += 12
        else:
            place = end + (length & 1)
    return None


# Other contents of lists, tags and notes of programs, do not always consist of chunks.
_LISTS_OF_CHUNKS = (b"hdrl", b"strl", b"odml", b"movi", b"rec ")
# Chunks of DV type 1 are named 00__.
_CHUNK_CHARACTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _")


def _is_chunk(name: bytes) -> bool:
    return len(name) == 4 and all(c in _CHUNK_CHARACTERS for c in name)


# IVF -----------------------------------------------------------------------------------------------------------------

_IVF_FRAME_HEAD = 12  # length and time


def _walk_ivf(file: BinaryIO, size: int) -> str | None:
    place = int.from_bytes(_at(file, 6, 2), "little")
    while place < size:
        end = place + _IVF_FRAME_HEAD + int.from_bytes(_at(file, place, 4), "little")
        if end > size:
            return _cut(size, end)
        place = end
    return None


# FLI and FLC ---------------------------------------------------------------------------------------------------------

_FLIC_HEAD = 128


def _walk_flic(file: BinaryIO, size: int) -> str | None:
    stated = int.from_bytes(_at(file, 0, 4), "little")
    place = _FLIC_HEAD
    while place < min(stated, size):
        end = place + int.from_bytes(_at(file, place, 4), "little")
        if end <= place:
            return _broken(place)
        if end > size:
            return _cut(size, end)
        place = end
    return _cut(size, stated) if place < stated else None


# MXF -----------------------------------------------------------------------------------------------------------------

_LONGEST_RUN_IN = 1 << 16


def _walk_mxf(file: BinaryIO, size: int) -> str | None:
    place = max(_at(file, 0, _LONGEST_RUN_IN).find(b"\x06\x0e\x2b\x34"), 0)
    while place < size:
        head = _at(file, place, 25)
        if head[:4] != b"\x06\x0e\x2b\x34":
            return _broken(place)
        if len(head) < 17:
            return _cut(size, place + 17)
        extra = head[16] & 0x7F if head[16] & 0x80 else 0
        if extra > 8:
            return _broken(place)
        length = int.from_bytes(head[17 : 17 + extra]) if extra else head[16]
        end = place + 17 + extra + length
        if end > size:
            return _cut(size, end)
        place = end
    return None


# MPEG program streams ------------------------------------------------------------------------------------------------

_PACK, _END = 0xBA, 0xB9


def _walk_program(file: BinaryIO, size: int) -> str | None:
    place = 0
    while place < size:
        head = _at(file, place, 14)
        if head[:3] != b"\0\0\1" or len(head) < 4 or head[3] < _END:
            return None if _only_zeros(file, place) else _broken(place)
        if head[3] == _END:
            length = 4
        elif head[3] == _PACK:
            length = 14 + (head[13] & 7) if len(head) == 14 and head[4] & 0xC0 == 0x40 else 12
        else:
            length = 6 + int.from_bytes(head[4:6])
        if place + length > size:
            return _cut(size, place + length)
        place += length
    return None


def _only_zeros(file: BinaryIO, place: int) -> bool:
    file.seek(place)
    while block := file.read(_BLOCK):
        if block.count(0) < len(block):
            return False
    return True


# MPEG transport streams ----------------------------------------------------------------------------------------------

# Plain; with four bytes of arrival time before each packet; with sixteen of error correction after it.
_PACKET_SIZES = (188, 192, 204)
_SYNC = 0x47


def _walk_transport(file: BinaryIO, size: int) -> str | None:
    length, offset = _packets(file.read(_BLOCK) if file.seek(0) == 0 else b"")
    place = offset
    while place < size:
        data = np.frombuffer(_at(file, place, _BLOCK // length * length), np.uint8)
        whole = data[: len(data) // length * length].reshape(-1, length)
        lost = np.flatnonzero((whole[:, 0] != _SYNC) | (whole[:, 1] & 0x80 != 0))
        if len(lost):
            return _broken(place + int(lost[0]) * length)
        if len(data) % length and len(data) % length < 188:
            return _cut(size, place + (len(data) // length + 1) * length)
        place += len(data)
    return None


def _packets(start: bytes) -> tuple[int, int]:
    """Return packet length and position of the first, such that most packets begin with the sync byte."""
    data = np.frombuffer(start, np.uint8)
    best = (-1.0, 188, 0)
    for length in _PACKET_SIZES:
        rows = data[: len(data) // length * length].reshape(-1, length)
        share = (rows == _SYNC).mean(axis=0)
        offset = int(share.argmax())
        best = max(best, (float(share[offset]), length, offset))
    return best[1:]


def _walk_of(container: str, spans: Iterable[tuple[int, int]] = ()) -> _Walk | None:
    walks: Mapping[str, _Walk] = {
        "matroska": _walk_matroska,
        "mov": partial(_walk_mov, spans=spans),
        "avi": _walk_avi,
        "ivf": _walk_ivf,
        "flic": _walk_flic,
        "mxf": _walk_mxf,
        "mpeg": _walk_program,
        "mpegts": _walk_transport,
    }
    return next((walk for name, walk in walks.items() if name in container.split(",")), None)
