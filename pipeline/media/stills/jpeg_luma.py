"""Take the luma out of a colour JPEG without decoding it: its quantised coefficients move over bit for bit.

A scan that holds several components interleaves their blocks; its luma becomes a scan of its own (ITU-T T.81, A.2.2):
the blocks in raster order, their AC bits copied, their DC differences coded again because the neighbour has changed.
Scans that hold luma alone are copied whole. So what a decoder makes of the luma cannot differ from the source.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pipeline.media.stills.jpeg_huffman import END_OF_BLOCK, STANDARD_DC, HuffmanTable, dc_segment, read_tables
from pipeline.media.stills.jpeg_segments import (
    BASELINE,
    DHT,
    DRI,
    EXTENDED,
    PROGRESSIVE,
    DamagedJpegError,
    Frame,
    JpegFile,
    Scan,
    Segment,
)

# Bits that may follow the last block: filling of the byte, and a stray byte some encoders add.
_SPARE_BITS = 24

_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")


class NotSeparableError(ValueError):
    """A JPEG whose luma cannot be taken out: arithmetic coding, luma smaller than chroma, and the like."""


@dataclass(frozen=True)
class _Coded:
    """Entropy-coded data without stuffing and restart markers, and where each restart interval begins (bytes)."""

    data: bytes
    starts: tuple[int, ...]


@dataclass(frozen=True)
class _Blocks:
    """Luma blocks in the order of the scan: DC value or refinement bit, and the bits of the AC coefficients."""

    dc: array[int]
    first: array[int]
    last: array[int]
    sound: bool


@dataclass(frozen=True)
class LumaScans:
    """Scans of luma alone, and whether their coded data is ``sound``: ends where the last block does."""

    scans: tuple[Scan, ...]
    sound: bool


def luma_scans(jpeg: JpegFile) -> LumaScans:
    """Take the scans of the first component alone, each with the tables it needs.

    Scans of a sequential file are followed code by code, which also finds damage that decoders pass over in silence.
    Raises `NotSeparableError` for files of another build, `DamagedJpegError` where the coded data breaks off.
    """
    luma = jpeg.frame.components[0]
    if jpeg.frame.marker not in (BASELINE, EXTENDED, PROGRESSIVE) or jpeg.frame.precision != 8 or jpeg.tables_change:
        raise NotSeparableError("coded in a rare way")
    if any(part.across > luma.across or part.down > luma.down for part in jpeg.frame.components):
        raise NotSeparableError("luma has fewer samples than chroma")
    kept: list[Scan] = []
    known: dict[tuple[int, int], HuffmanTable] = {}
    pending: list[Segment] = []
    interval = written_interval = 0
    sound = True
    for scan in jpeg.scans:
        known |= read_tables(scan.tables)
        pending += [table for table in scan.tables if table.marker == DHT]
        interval = next((_interval(table) for table in reversed(scan.tables) if table.marker == DRI), interval)
        if luma.name not in {name for name, _, _ in scan.selectors}:
            continue
        alone = len(scan.selectors) == 1
        wanted = interval if alone else 0
        tables = list(pending)
        if wanted != written_interval:
            tables.append(Segment(DRI, struct.pack(">H", wanted)))
        if not alone:
            made, ends = _separated(jpeg.frame, scan, known, interval, tables)
        else:
            made, ends = Scan(tuple(tables), scan.header, scan.data), True
            if jpeg.frame.marker != PROGRESSIVE:
                ends = _walk(jpeg.frame, scan, known, _without_markers(scan.data, interval), interval).sound
        kept.append(made)
        sound = sound and ends
        pending, written_interval = [], wanted
    _check_complete(jpeg.frame, kept)
    return LumaScans(tuple(kept), sound)


def _separated(
    frame: Frame, scan: Scan, known: dict[tuple[int, int], HuffmanTable], interval: int, tables: list[Segment]
) -> tuple[Scan, bool]:
    start, end, before, after = _spectrum(frame, scan)
    _, dc_table, ac_table = next(part for part in scan.selectors if part[0] == frame.components[0].name)
    coded = _without_markers(scan.data, interval)
    if before:
        blocks = _refinement_bits(frame, scan, coded, interval)
    else:
        blocks = _walk(frame, scan, known, coded, interval)
        tables = [*tables, dc_segment(dc_table, STANDARD_DC)]
    order = _raster_order(frame, scan)
    data = _stuffed(_joined(blocks, order, coded.data, refining=bool(before)))
    header = bytes((1, frame.components[0].name, dc_table << 4 | ac_table, start, end, before << 4 | after))
    return Scan(tuple(tables), header, data), blocks.sound


def _check_complete(frame: Frame, scans: list[Scan]) -> None:
    """Raise `DamagedJpegError` unless the scans hold every coefficient to its last bit.

    Decoders smooth what a progressive file leaves out, and each in its own way.
    """
    missing = dict.fromkeys(range(64), 1)
    for scan in scans:
        first, last, _, left = _spectrum(frame, scan)
        missing |= dict.fromkeys(range(first, last + 1), left)
    if any(missing.values()):
        raise DamagedJpegError("parts of it are missing")


def _spectrum(frame: Frame, scan: Scan) -> tuple[int, int, int, int]:
    """Say what of each block the scan holds; a sequential scan holds all of it, whatever its header says."""
    return scan.spectrum if frame.marker == PROGRESSIVE else (0, 63, 0, 0)


def _interval(segment: Segment) -> int:
    if len(segment.payload) != 2:
        raise DamagedJpegError("bad restart interval")
    return int(struct.unpack(">H", segment.payload)[0])


def _without_markers(data: bytes, interval: int) -> _Coded:
    parts = [part.replace(b"\xff\x00", b"\xff") for part in _RESTART.split(data)]
    if len(parts) > 1 and not interval:
        raise DamagedJpegError("restart marker where none belongs")
    starts = [0]
    for part in parts[:-1]:
        starts.append(starts[-1] + len(part))
    return _Coded(b"".join(parts), tuple(starts))


def _layout(frame: Frame, scan: Scan) -> list[tuple[bool, int, int]]:
    """(is luma to be moved, DC table, AC table) for every block of an MCU, in order."""
    if len(scan.selectors) == 1:
        return [(False, dc, ac) for _, dc, ac in scan.selectors]
    factors = {part.name: part.across * part.down for part in frame.components}
    luma = frame.components[0].name
    layout = []
    for name, dc, ac in scan.selectors:
        if name not in factors:
            raise DamagedJpegError(f"scan of unknown component {name}")
        layout += [(name == luma, dc, ac)] * factors[name]
    return layout


def _mcus(frame: Frame, scan: Scan) -> tuple[int, int]:
    """Rows and columns of MCUs; in a scan of one component an MCU is one block (T.81, A.2.2)."""
    luma = frame.components[0]
    down, across = (1, 1) if len(scan.selectors) == 1 else (luma.down, luma.across)
    return -(-frame.height // (8 * down)), -(-frame.width // (8 * across))


def _intervals(frame: Frame, scan: Scan, coded: _Coded, interval: int) -> Iterator[tuple[int, int, int]]:
    """(first bit, bit after the last, MCUs) of every restart interval."""
    rows, columns = _mcus(frame, scan)
    left = rows * columns
    for start, end in zip(coded.starts, (*coded.starts[1:], len(coded.data)), strict=True):
        number = min(left, interval or left)
        yield start * 8, end * 8, number
        left -= number
    if left:
        raise DamagedJpegError("restart markers are missing")


def _walk(
    frame: Frame, scan: Scan, known: dict[tuple[int, int], HuffmanTable], coded: _Coded, interval: int
) -> _Blocks:
    """Follow the codes of every block, keeping where luma lies. Differences of DC are summed up to values."""
    has_ac = _spectrum(frame, scan)[1] > 0
    try:
        tables = [
            (is_luma, known[0, dc].dc_lookup(), known[1, ac].ac_lookup() if has_ac else [])
            for is_luma, dc, ac in _layout(frame, scan)
        ]
    except KeyError as error:
        raise DamagedJpegError(f"Huffman table {error} is missing") from error
    windows = _windows(coded.data)
    blocks = _Blocks(array("q"), array("q"), array("q"), sound=True)
    sound = True
    for first, last, mcus in _intervals(frame, scan, coded, interval):
        end = _walk_interval(blocks, windows, first, mcus, tables, has_ac=has_ac)
        if end > last:
            raise DamagedJpegError("coded data breaks off")
        sound = sound and last - end < _SPARE_BITS
    return replace(blocks, sound=sound)


def _walk_interval(
    blocks: _Blocks,
    windows: memoryview,
    position: int,
    mcus: int,
    tables: list[tuple[bool, list[int], list[int]]],
    *,
    has_ac: bool,
) -> int:
    # The one hot loop of the module: some 0.2 microseconds for each coefficient that is not zero.
    value = 0
    try:
        for _ in range(mcus):
            for is_luma, dc, ac in tables:
                code = dc[windows[position >> 3] >> 8 - (position & 7) & 65535]
                if not code:
                    raise DamagedJpegError("impossible DC code")
                position += code & 31
                size = code >> 5
                if is_luma and size:
                    bits = (windows[position >> 3] >> 8 - (position & 7) & 65535) >> 16 - size
                    value += bits if bits >> size - 1 else bits - (1 << size) + 1
                position += size
                begin = position
                if has_ac:
                    done = 1
                    while done < 64:
                        code = ac[windows[position >> 3] >> 8 - (position & 7) & 65535]
                        if not code:
                            raise DamagedJpegError("impossible AC code")
                        position += code & 31
                        done += code >> 5
                    if 64 < done < END_OF_BLOCK:
                        raise DamagedJpegError("too many coefficients in a block")
                if is_luma:
                    blocks.dc.append(value)
                    blocks.first.append(begin)
                    blocks.last.append(position)
    except IndexError as error:
        raise DamagedJpegError("coded data breaks off") from error
    return position


def _refinement_bits(frame: Frame, scan: Scan, coded: _Coded, interval: int) -> _Blocks:
    """Pick the one bit of every luma block of a scan that refines DC."""
    is_luma = np.array([luma for luma, _, _ in _layout(frame, scan)])
    bits = np.unpackbits(np.frombuffer(coded.data, np.uint8))
    dc = array("q")
    for position, _, mcus in _intervals(frame, scan, coded, interval):
        part = bits[position : position + mcus * len(is_luma)]
        if len(part) < mcus * len(is_luma):
            raise DamagedJpegError("coded data breaks off")
        dc.extend(part.reshape(mcus, -1)[:, is_luma].ravel().tolist())
    nowhere = array("q", bytes(8 * len(dc)))
    return _Blocks(dc, nowhere, nowhere, sound=True)


def _windows(data: bytes) -> memoryview:
    """For every byte: it and the two after it as one number, so that sixteen bits can be read from any bit of it."""
    padded = np.frombuffer(data + b"\xff\xff", np.uint8)
    windows = padded[:-2].astype(np.uint32)
    for later in (padded[1:-1], padded[2:]):
        windows <<= 8
        windows |= later
    return windows.data


def _raster_order(frame: Frame, scan: Scan) -> list[int]:
    """Which luma block of the scan comes next in a scan of luma alone; padding blocks are left out (T.81, A.2.2)."""
    luma = frame.components[0]
    rows, columns = _mcus(frame, scan)
    numbers = np.arange(rows * columns * luma.down * luma.across)
    by_row = numbers.reshape(rows, columns, luma.down, luma.across).swapaxes(1, 2)
    raster = by_row.reshape(rows * luma.down, columns * luma.across)
    kept: list[int] = raster[: -(-frame.height // 8), : -(-frame.width // 8)].ravel().tolist()
    return kept


def _joined(blocks: _Blocks, order: list[int], data: bytes, *, refining: bool) -> bytes:
    """Bits of the blocks in ``order``: DC coded anew, AC copied out of ``data``; filled up with ones."""
    words = {category: (code, length) for code, length, category in STANDARD_DC.codes()}
    out = bytearray()
    pool = bits = before = 0
    for block in order:
        value = blocks.dc[block]
        if refining:
            pool, bits = pool << 1 | value, bits + 1
        else:
            difference, before = value - before, value
            category = abs(difference).bit_length()
            if category not in words:
                raise DamagedJpegError("DC step larger than eight-bit samples allow")
            code, length = words[category]
            rest = difference if difference >= 0 else difference + (1 << category) - 1
            pool, bits = (pool << length | code) << category | rest, bits + length + category
        first, last = blocks.first[block], blocks.last[block]
        if last > first:
            low, high = first >> 3, last + 7 >> 3
            ac = int.from_bytes(data[low:high], "big") >> 8 * high - last & (1 << last - first) - 1
            pool, bits = pool << last - first | ac, bits + last - first
        if bits > 4096:
            out += (pool >> (bits & 7)).to_bytes(bits >> 3, "big")
            pool, bits = pool & (1 << (bits & 7)) - 1, bits & 7
    fill = -bits % 8
    return bytes(out) + (pool << fill | (1 << fill) - 1).to_bytes((bits + fill) // 8, "big")


def _stuffed(data: bytes) -> bytes:
    return data.replace(b"\xff", b"\xff\x00")
