"""Huffman tables of JPEG (ITU-T T.81, annexes C and F), and how far each code advances a reader.

No code is longer than sixteen bits, so the next sixteen, as a number, index tables of all that is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.media.stills.jpeg.segments import DHT, DamagedJpegError, Segment

# T.81, table K.3: categories 0 to 11, which is all that eight-bit samples can need.
_DC_COUNTS = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
_DC_CATEGORIES = bytes(range(12))

# Coefficients to go on by for what is not a number of them: added to a place in a block (0 to 63) they stay apart.
END_OF_BLOCK = 128
IMPOSSIBLE = 255


@dataclass(frozen=True)
class HuffmanTable:
    """Counts of codes by length, and their symbols, as a DHT segment lists them."""

    counts: bytes
    symbols: bytes

    def codes(self) -> list[tuple[int, int, int]]:
        """Return (code, length, symbol) in canonical order. Raises `DamagedJpegError` if they do not fit."""
        found = []
        code = position = 0
        for length, count in enumerate(self.counts, start=1):
            for _ in range(count):
                if code >> length:
                    raise DamagedJpegError("Huffman table has too many codes")
                found.append((code, length, self.symbols[position]))
                code += 1
                position += 1
            code <<= 1
        return found

    def by_window(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return, for each sixteen bits, the length of the code they begin with, 0 if none fits, and its symbol."""
        # Canonical codes ascend without gaps, so those of sixteen bits that begin with them do too.
        codes = self.codes()
        lengths = np.array([length for _, length, _ in codes] + [0])
        symbols = np.array([symbol for _, _, symbol in codes] + [0])
        spans = 1 << 16 - lengths
        spans[-1] = 65536 - spans[:-1].sum()
        return np.repeat(lengths, spans), np.repeat(symbols, spans)


@dataclass(frozen=True, eq=False)
class Steps:
    """How far a reader of block boundaries advances, for each sixteen bits ahead of it: (65536,) each.

    ``lengths`` of the codes alone (0 if none fits), ``bits`` with what follows them (at most 31), and ``coefficients``:
    1 to 64, plus `END_OF_BLOCK` if the block ends, or `IMPOSSIBLE`.
    """

    lengths: NDArray[np.int64]
    bits: NDArray[np.int64]
    coefficients: NDArray[np.int64]


def dc_steps(table: HuffmanTable, *, alone: bool) -> Steps:
    """Return steps over DC; ``alone`` in a scan of nothing else. Raises `DamagedJpegError` for categories above 11."""
    lengths, categories = table.by_window()
    if categories.max() > 11:
        raise DamagedJpegError(f"DC category {categories[categories > 11][0]}")
    return _steps(lengths, lengths + categories, np.full(65536, 64 if alone else 1))


def ac_steps(table: HuffmanTable) -> Steps:
    """Return steps over one AC code: a coefficient and the zeros before it, or the end of the block."""
    lengths, symbols = table.by_window()
    runs, sizes = symbols >> 4, symbols & 15
    return _steps(lengths, lengths + sizes, np.where((sizes == 0) & (runs < 15), END_OF_BLOCK, runs + 1))


def chained_steps(first: Steps, then: Steps, room: int) -> Steps:
    """Make steps over as many codes as sixteen bits hold: one of ``first``, then those of ``then`` sure to follow.

    They are as long as no block is full after ``room`` coefficients. ``lengths`` are those of the first code.
    """
    bits, coefficients = first.bits.copy(), first.coefficients.copy()
    going = np.flatnonzero((coefficients <= room) & (bits < 16))
    while going.size:
        rest = going << bits[going] & 65535
        length, more = then.lengths[rest], coefficients[going] + then.coefficients[rest]
        fits = (length > 0) & (bits[going] + length <= 16) & (more % END_OF_BLOCK <= room)
        going, rest = going[fits], rest[fits]
        bits[going] += then.bits[rest]
        coefficients[going] = more[fits]
        going = going[(coefficients[going] <= room) & (bits[going] < 16)]
    return Steps(first.lengths, bits, coefficients)


STANDARD_DC = HuffmanTable(_DC_COUNTS, _DC_CATEGORIES)


def read_tables(segments: tuple[Segment, ...]) -> dict[tuple[int, int], HuffmanTable]:
    """Return the tables in the DHT segments by (class, identifier): class 0 is DC, class 1 is AC."""
    tables = {}
    for segment in segments:
        position = 0
        while segment.marker == DHT and position < len(segment.payload):
            name = segment.payload[position]
            counts = segment.payload[position + 1 : position + 17]
            symbols = segment.payload[position + 17 : position + 17 + sum(counts)]
            if len(counts) < 16 or len(symbols) < sum(counts):
                raise DamagedJpegError("short Huffman table")
            tables[name >> 4, name & 15] = HuffmanTable(counts, symbols)
            position += 17 + len(symbols)
    return tables


def dc_segment(name: int, table: HuffmanTable) -> Segment:
    """Return a DHT segment that defines DC table ``name``."""
    return Segment(DHT, bytes((name,)) + table.counts + table.symbols)


def _steps(lengths: NDArray[np.int64], bits: NDArray[np.int64], coefficients: NDArray[np.int64]) -> Steps:
    # A reader advances by one bit over an impossible code, so that it always terminates.
    return Steps(lengths, np.where(lengths > 0, bits, 1), np.where(lengths > 0, coefficients, IMPOSSIBLE))
