"""Huffman tables of JPEG (ITU-T T.81, annexes C and F) as look-up lists over sixteen bits."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.media.stills.jpeg_segments import DHT, DamagedJpegError, Segment

# T.81, table K.3: categories 0 to 11, which is all that eight-bit samples can need.
_DC_COUNTS = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
_DC_CATEGORIES = bytes(range(12))

END_OF_BLOCK = 128


@dataclass(frozen=True)
class HuffmanTable:
    """Counts of codes by length, and their symbols, as a DHT segment lists them."""

    counts: bytes
    symbols: bytes

    def codes(self) -> list[tuple[int, int, int]]:
        """(code, length, symbol) in canonical order. Raises `DamagedJpegError` if they do not fit."""
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

    def dc_lookup(self) -> list[int]:
        """For each sixteen bits: category of the difference << 5 | length of its code; 0 where no code fits."""
        lookup = [0] * 65536
        for code, length, category in self.codes():
            if category > 11:
                raise DamagedJpegError(f"DC category {category}")
            _fill(lookup, code, length, category << 5 | length)
        return lookup

    def ac_lookup(self) -> list[int]:
        """For each sixteen bits: coefficients to go on << 5 | bits to go on; 0 where no code fits.

        The end of a block goes on by `END_OF_BLOCK` coefficients.
        """
        lookup = [0] * 65536
        for code, length, symbol in self.codes():
            run, size = symbol >> 4, symbol & 15
            ends = size == 0 and run < 15
            _fill(lookup, code, length, (END_OF_BLOCK if ends else run + 1) << 5 | length + size)
        return lookup


STANDARD_DC = HuffmanTable(_DC_COUNTS, _DC_CATEGORIES)


def read_tables(segments: tuple[Segment, ...]) -> dict[tuple[int, int], HuffmanTable]:
    """Tables in the DHT segments by (class, identifier): class 0 is DC, class 1 is AC."""
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
    """Make a DHT segment that defines DC table ``name``."""
    return Segment(DHT, bytes((name,)) + table.counts + table.symbols)


def _fill(lookup: list[int], code: int, length: int, value: int) -> None:
    spare = 16 - length
    lookup[code << spare : (code + 1) << spare] = [value] * (1 << spare)
