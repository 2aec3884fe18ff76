"""Extract the luma of a colour JPEG without decoding it: its quantised coefficients are copied bit for bit.

A scan with several components interleaves their blocks; its luma becomes a separate scan (ITU-T T.81, A.2.2): the
blocks in raster order, their AC bits copied, their DC differences coded again because the neighbour has changed.
Scans with luma alone are copied whole. So the decoded luma cannot differ from the source.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.media.stills.jpeg.bits import counted, joined, sixteen_bits, windows
from pipeline.media.stills.jpeg.huffman import STANDARD_DC, HuffmanTable, dc_segment, read_tables
from pipeline.media.stills.jpeg.lockstep import walk_in_lockstep
from pipeline.media.stills.jpeg.segments import (
    ARITHMETIC_PROGRESSIVE,
    BASELINE,
    DECODED,
    DHT,
    DRI,
    EXTENDED,
    LOSSLESS,
    PROGRESSIVE,
    RESTART,
    DamagedJpegError,
    Frame,
    JpegFile,
    Scan,
    Segment,
)
from pipeline.media.stills.jpeg.walk import Blocks, BlockTables, Intervals, walk_in_turn

# Bits that may follow the last block: padding of the byte, and a stray byte some encoders add.
_SPARE_BITS = 24

# Bytes above which walking in lockstep is faster.
_LONG = 100_000


class NotSeparableError(ValueError):
    """A JPEG whose luma cannot be extracted: arithmetic coding, luma smaller than chroma, and the like."""


@dataclass(frozen=True, eq=False)
class _Coded:
    """Windows of the entropy-coded data of a scan, without stuffing and restart markers, and its intervals."""

    windows: NDArray[np.uint32]
    intervals: Intervals


@dataclass(frozen=True, eq=False)
class _LumaBlocks:
    """Luma blocks in scan order, int64: DC value or refinement bit; first and last bit of AC."""

    dc: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


@dataclass(frozen=True)
class LumaScans:
    """Scans of luma alone, and whether their coded data is ``sound``: ends with the last block."""

    scans: tuple[Scan, ...]
    sound: bool


def luma_scans(jpeg: JpegFile) -> LumaScans:
    """Extract the scans of the first component alone, each with the tables it needs.

    Scans of a sequential file are followed code by code, which also finds damage that decoders silently ignore.
    Raises `NotSeparableError` for files of other structure, `DamagedJpegError` if the coded data is truncated.
    """
    luma = jpeg.frame.components[0]
    if jpeg.frame.marker not in (BASELINE, EXTENDED, PROGRESSIVE) or jpeg.frame.precision != 8 or jpeg.tables_change:
        raise NotSeparableError("coded in a rare way")
    if any(part.across > luma.across or part.down > luma.down for part in jpeg.frame.components):
        raise NotSeparableError("luma has fewer samples than chroma")
    kept: list[Scan] = []
    pending: list[Segment] = []
    written_interval, sound = 0, True
    for scan, known, interval in _in_order(jpeg):
        pending += [table for table in scan.tables if table.marker == DHT]
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
                _, ends = _walk(jpeg.frame, scan, known, _coded(jpeg.frame, scan, interval))
        kept.append(made)
        sound = sound and ends
        pending, written_interval = [], wanted
    _check_complete(jpeg.frame, kept)
    return LumaScans(tuple(kept), sound)


def coded_whole(jpeg: JpegFile, *, luma: bool = True) -> bool:
    """Return whether every scan reaches its last block, and every coefficient has its last bit.

    Only sequential scans of Huffman codes can be followed; others are only checked for presence. False for other
    structures. Without ``luma``, scans of luma alone are not followed.
    """
    if jpeg.frame.marker not in DECODED or jpeg.frame.marker == LOSSLESS:
        return False
    try:
        for scan, known, interval in _in_order(jpeg):
            is_luma = [name for name, _, _ in scan.selectors] == [jpeg.frame.components[0].name]
            if jpeg.frame.marker in (BASELINE, EXTENDED) and (luma or not is_luma):
                _walk(jpeg.frame, scan, known, _coded(jpeg.frame, scan, interval))
        for part in jpeg.frame.components:
            own = [scan for scan in jpeg.scans if part.name in {name for name, _, _ in scan.selectors}]
            _check_complete(jpeg.frame, own)
    except DamagedJpegError:
        return False
    return True


def _in_order(jpeg: JpegFile) -> Iterator[tuple[Scan, dict[tuple[int, int], HuffmanTable], int]]:
    """Yield the scans, each with its current Huffman tables and restart interval. Raises `DamagedJpegError`."""
    known: dict[tuple[int, int], HuffmanTable] = {}
    interval = 0
    for scan in jpeg.scans:
        known |= read_tables(scan.tables)
        interval = next((_interval(table) for table in reversed(scan.tables) if table.marker == DRI), interval)
        yield scan, known, interval


def _separated(
    frame: Frame, scan: Scan, known: dict[tuple[int, int], HuffmanTable], interval: int, tables: list[Segment]
) -> tuple[Scan, bool]:
    start, end, before, after = _spectrum(frame, scan)
    _, dc_table, ac_table = next(part for part in scan.selectors if part[0] == frame.components[0].name)
    coded = _coded(frame, scan, interval)
    if before:
        luma, sound = _refinement_bits(frame, scan, coded), True
    else:
        blocks, sound = _walk(frame, scan, known, coded)
        luma = _luma_blocks(frame, scan, known, coded, blocks)
        tables = [*tables, dc_segment(dc_table, STANDARD_DC)]
    data = _stuffed(_joined(luma, _raster_order(frame, scan), coded.windows, refining=bool(before)))
    header = bytes((1, frame.components[0].name, dc_table << 4 | ac_table, start, end, before << 4 | after))
    return Scan(tuple(tables), header, data), sound


def _check_complete(frame: Frame, scans: list[Scan]) -> None:
    """Raise `DamagedJpegError` unless the scans contain every coefficient to its last bit.

    Decoders smooth where a progressive file is incomplete, each in its own way.
    """
    missing = dict.fromkeys(range(64), 1)
    for scan in scans:
        first, last, _, left = _spectrum(frame, scan)
        missing |= dict.fromkeys(range(first, last + 1), left)
    if any(missing.values()):
        raise DamagedJpegError("parts of it are missing")


def _spectrum(frame: Frame, scan: Scan) -> tuple[int, int, int, int]:
    """Return the part of each block in the scan; a sequential scan has all of it, whatever its header states."""
    return scan.spectrum if frame.marker in (PROGRESSIVE, ARITHMETIC_PROGRESSIVE) else (0, 63, 0, 0)


def _interval(segment: Segment) -> int:
    if len(segment.payload) != 2:
        raise DamagedJpegError("bad restart interval")
    return int(struct.unpack(">H", segment.payload)[0])


def _coded(frame: Frame, scan: Scan, interval: int) -> _Coded:
    *closed, rest = RESTART.split(scan.data)
    if closed and not interval:
        raise DamagedJpegError("restart marker where none belongs")
    # Any number of 0xFF may stand before a marker.
    parts = [part.replace(b"\xff\x00", b"\xff") for part in (*(part.rstrip(b"\xff") for part in closed), rest)]
    last = 8 * np.cumsum([len(part) for part in parts])
    rows, columns = _mcus(frame, scan)
    mcus = np.clip(rows * columns - interval * np.arange(len(parts)), 0, interval or rows * columns)
    return _Coded(windows(b"".join(parts)), Intervals(np.append(0, last[:-1]), last, mcus))


def _layout(frame: Frame, scan: Scan) -> list[tuple[bool, int, int]]:
    """Return (is luma to be moved, DC table, AC table) for every block of an MCU, in order."""
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
    """Return rows and columns of MCUs; in a scan of one component an MCU is one block (T.81, A.1.1 and A.2.2)."""
    down = max(part.down for part in frame.components)
    across = max(part.across for part in frame.components)
    if len(scan.selectors) > 1:
        return -(-frame.height // (8 * down)), -(-frame.width // (8 * across))
    name = scan.selectors[0][0]
    part = next((part for part in frame.components if part.name == name), None)
    if part is None:
        raise DamagedJpegError(f"scan of unknown component {name}")
    rows, columns = -(-frame.height * part.down // down), -(-frame.width * part.across // across)
    return -(-rows // 8), -(-columns // 8)


def _check_intervals(frame: Frame, scan: Scan, intervals: Intervals) -> None:
    rows, columns = _mcus(frame, scan)
    if intervals.mcus.sum() < rows * columns:
        raise DamagedJpegError("restart markers are missing")


def _walk(frame: Frame, scan: Scan, known: dict[tuple[int, int], HuffmanTable], coded: _Coded) -> tuple[Blocks, bool]:
    """Return the position of every block, and whether every restart interval ends with its last block."""
    has_ac = _spectrum(frame, scan)[1] > 0
    try:
        places = [BlockTables(known[0, dc], known[1, ac] if has_ac else None) for _, dc, ac in _layout(frame, scan)]
    except KeyError as error:
        raise DamagedJpegError(f"Huffman table {error} is missing") from error
    intervals = coded.intervals
    blocks = walk_in_lockstep(coded.windows, intervals, places) if len(coded.windows) >= _LONG else None
    if blocks is None:
        blocks = walk_in_turn(coded.windows, intervals, places)
    _check_intervals(frame, scan, intervals)
    return blocks, bool((intervals.last - blocks.ends < _SPARE_BITS).all())


def _luma_blocks(
    frame: Frame, scan: Scan, known: dict[tuple[int, int], HuffmanTable], coded: _Coded, blocks: Blocks
) -> _LumaBlocks:
    """Return the luma blocks, with their DC differences summed to values."""
    layout = _layout(frame, scan)
    places = [place for place, (is_luma, _, _) in enumerate(layout) if is_luma]
    begins, last = (bits.reshape(-1, len(layout))[:, places] for bits in (blocks.first, blocks.last))
    first, differences = np.empty_like(begins), np.empty_like(begins)
    for column, place in enumerate(places):
        lengths, categories = known[0, layout[place][1]].by_window()
        code = sixteen_bits(coded.windows, begins[:, column])
        behind, category = begins[:, column] + lengths[code], categories[code]
        bits = sixteen_bits(coded.windows, behind) >> 16 - category
        negative = bits < 1 << category >> 1
        differences[:, column] = np.where(negative, bits - (1 << category) + 1, bits)
        first[:, column] = behind + category
    numbers = coded.intervals.mcus * len(places)
    sums = np.append(0, np.cumsum(differences))
    before = sums[np.cumsum(numbers) - numbers]
    return _LumaBlocks(sums[1:] - np.repeat(before, numbers), first.ravel(), last.ravel())


def _refinement_bits(frame: Frame, scan: Scan, coded: _Coded) -> _LumaBlocks:
    """Return the single bit of every luma block of a scan that refines DC."""
    is_luma = np.array([luma for luma, _, _ in _layout(frame, scan)])
    numbers = coded.intervals.mcus * len(is_luma)
    if (coded.intervals.first + numbers > 8 * len(coded.windows)).any():
        raise DamagedJpegError("coded data breaks off")
    _check_intervals(frame, scan, coded.intervals)
    positions = np.repeat(coded.intervals.first, numbers) + counted(numbers)
    bits = sixteen_bits(coded.windows, positions.reshape(-1, len(is_luma))[:, is_luma].ravel()) >> 15
    return _LumaBlocks(bits, np.zeros_like(bits), np.zeros_like(bits))


def _raster_order(frame: Frame, scan: Scan) -> NDArray[np.int64]:
    """Return the order of luma blocks in a scan of luma alone; padding blocks are left out (T.81, A.2.2)."""
    luma = frame.components[0]
    rows, columns = _mcus(frame, scan)
    numbers = np.arange(rows * columns * luma.down * luma.across)
    by_row = numbers.reshape(rows, columns, luma.down, luma.across).swapaxes(1, 2)
    raster = by_row.reshape(rows * luma.down, columns * luma.across)
    return raster[: -(-frame.height // 8), : -(-frame.width // 8)].ravel()


def _joined(luma: _LumaBlocks, order: NDArray[np.int64], windows: NDArray[np.uint32], *, refining: bool) -> bytes:
    """Return the bits of the blocks in ``order``: DC coded again, AC copied; padded with ones."""
    dc, first, last = luma.dc[order], luma.first[order], luma.last[order]
    if refining:
        return joined(dc, np.ones_like(dc), windows, first, last)
    differences = np.diff(dc, prepend=0)
    category = np.frexp(np.abs(differences))[1].astype(np.int64)
    codes, lengths, categories = np.array(STANDARD_DC.codes()).T
    if category.max(initial=0) > categories[-1]:
        raise DamagedJpegError("DC step larger than eight-bit samples allow")
    rest = np.where(differences < 0, differences + (1 << category) - 1, differences)
    return joined(codes[category] << category | rest, lengths[category] + category, windows, first, last)


def _stuffed(data: bytes) -> bytes:
    return data.replace(b"\xff", b"\xff\x00")
