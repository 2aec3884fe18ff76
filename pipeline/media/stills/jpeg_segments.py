"""JPEG files as their segments (ITU-T T.81, annex B), without decoding anything."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

SOI, EOI, SOS, DQT, DHT, DRI, DAC, DNL, COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xCC, 0xDC, 0xFE
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
_FRAMES = {0xC0 + n for n in range(16)} - {DHT, 0xC8, DAC}

# What ends entropy-coded data: a marker that is neither a stuffed 0xFF, a fill byte nor a restart.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")

LARGEST_PAYLOAD = 65533
# Each scan costs a pass over the picture; progressive files have some ten.
_MOST_SCANS = 100


class DamagedJpegError(ValueError):
    """Segments that do not make a JPEG file."""


@dataclass(frozen=True)
class Segment:
    """A marker and what follows its length field."""

    marker: int
    payload: bytes

    def tobytes(self) -> bytes:
        """Give the segment as it stands in a file."""
        return struct.pack(">BBH", 0xFF, self.marker, len(self.payload) + 2) + self.payload


@dataclass(frozen=True)
class Component:
    """A component of the frame: identifier, sampling factors, quantisation table."""

    name: int
    across: int
    down: int
    table: int


@dataclass(frozen=True)
class Frame:
    """The frame header: its marker says how samples are coded."""

    marker: int
    precision: int
    height: int
    width: int
    components: tuple[Component, ...]

    def tobytes(self) -> bytes:
        """Give the frame header as it stands in a file."""
        payload = struct.pack(">BHHB", self.precision, self.height, self.width, len(self.components))
        for part in self.components:
            payload += bytes((part.name, part.across << 4 | part.down, part.table))
        return Segment(self.marker, payload).tobytes()


@dataclass(frozen=True)
class Scan:
    """Tables that precede a scan, its header, and its entropy-coded data with stuffing and restart markers."""

    tables: tuple[Segment, ...]
    header: bytes
    data: bytes

    @property
    def selectors(self) -> tuple[tuple[int, int, int], ...]:
        """(component, DC table, AC table) for every component in the scan."""
        parts = self.header[1 : 1 + 2 * self.header[0]]
        return tuple((parts[i], parts[i + 1] >> 4, parts[i + 1] & 15) for i in range(0, len(parts), 2))

    @property
    def spectrum(self) -> tuple[int, int, int, int]:
        """First and last coefficient, and successive approximation before and after (T.81, B.2.3)."""
        start, end, approximation = self.header[1 + 2 * self.header[0] :][:3]
        return start, end, approximation >> 4, approximation & 15

    def tobytes(self) -> bytes:
        """Tables, header and data as they stand in a file."""
        return b"".join(table.tobytes() for table in self.tables) + Segment(SOS, self.header).tobytes() + self.data


@dataclass(frozen=True)
class JpegFile:
    """A JPEG file taken apart; ``extra`` is how many bytes follow its end."""

    applications: tuple[Segment, ...]
    frame: Frame
    scans: tuple[Scan, ...]
    quantisation: dict[int, tuple[int, ...]]
    extra: int

    @property
    def tables_change(self) -> bool:
        """Whether quantisation tables are defined after the first scan."""
        return any(segment.marker == DQT for scan in self.scans[1:] for segment in scan.tables)


def read_frame(data: bytes) -> Frame:
    """Read the frame header alone, from the beginning of a file. Raises `DamagedJpegError`."""
    position = 2
    while True:
        segment, position = _segment(data, position)
        if segment.marker in _FRAMES:
            return _frame(segment)
        if segment.marker == SOS:
            raise DamagedJpegError("scan before any frame header")


def parse(data: bytes) -> JpegFile:
    """Take a whole file apart. Raises `DamagedJpegError`; a missing end marker is accepted."""
    applications: list[Segment] = []
    tables: list[Segment] = []
    scans: list[Scan] = []
    quantisation: dict[int, tuple[int, ...]] = {}
    frame: Frame | None = None
    position = 2
    while position < len(data) and data[position : position + 2] != b"\xff\xd9":
        segment, position = _segment(data, position)
        if segment.marker in _FRAMES:
            if frame is not None:
                raise DamagedJpegError("two frame headers")
            frame = _frame(segment)
        elif segment.marker == SOS:
            end = _scan_end(data, position)
            if len(scans) == _MOST_SCANS:
                raise DamagedJpegError(f"more than {_MOST_SCANS} scans")
            scans.append(Scan(tuple(tables), _checked(segment.payload), data[position:end]))
            tables, position = [], end
        elif segment.marker == COM or APP0 <= segment.marker <= 0xEF:
            applications.append(segment)
        else:
            tables.append(segment)
            if segment.marker == DQT:
                quantisation |= _quantisation(segment.payload)
    if frame is None or not scans:
        raise DamagedJpegError("no frame or no scan")
    return JpegFile(tuple(applications), frame, tuple(scans), quantisation, max(0, len(data) - position - 2))


def quantisation_segment(tables: dict[int, tuple[int, ...]]) -> Segment:
    """Make a DQT segment; entries are in the zigzag order of the file, 16 bits wide only where they must be."""
    payload = b""
    for name, table in tables.items():
        wide = max(table) > 255
        payload += bytes((wide << 4 | name,)) + struct.pack(">64H" if wide else "64B", *table)
    return Segment(DQT, payload)


def _segment(data: bytes, position: int) -> tuple[Segment, int]:
    while data[position : position + 2] == b"\xff\xff":
        position += 1
    if len(data) < position + 4 or data[position] != 0xFF:
        raise DamagedJpegError(f"no marker at byte {position}")
    marker, length = struct.unpack_from(">BH", data, position + 1)
    end = position + 2 + length
    if length < 2 or end > len(data):
        raise DamagedJpegError(f"segment at byte {position} does not end in the file")
    return Segment(marker, data[position + 4 : end]), end


def _scan_end(data: bytes, position: int) -> int:
    found = _MARKER.search(data, position)
    end = found.start() if found else len(data)
    # Fill bytes stand before a marker and belong to it.
    while found and end > position and data[end - 1] == 0xFF:
        end -= 1
    return end


def _frame(segment: Segment) -> Frame:
    payload = segment.payload
    if len(payload) < 6 or len(payload) < 6 + 3 * payload[5]:
        raise DamagedJpegError("short frame header")
    precision, height, width, number = struct.unpack_from(">BHHB", payload)
    parts = [payload[6 + 3 * i : 9 + 3 * i] for i in range(number)]
    components = tuple(Component(name, factors >> 4, factors & 15, table) for name, factors, table in parts)
    if not components or not all(1 <= part.across <= 4 and 1 <= part.down <= 4 for part in components):
        raise DamagedJpegError("impossible sampling factors")
    return Frame(segment.marker, precision, height, width, components)


def _checked(header: bytes) -> bytes:
    if not header or len(header) != 4 + 2 * header[0]:
        raise DamagedJpegError("short scan header")
    return header


def _quantisation(payload: bytes) -> dict[int, tuple[int, ...]]:
    tables = {}
    position = 0
    while position < len(payload):
        wide, name = payload[position] >> 4, payload[position] & 15
        code = ">64H" if wide else "64B"
        if position + 1 + struct.calcsize(code) > len(payload):
            raise DamagedJpegError("short quantisation table")
        tables[name] = struct.unpack_from(code, payload, position + 1)
        position += 1 + struct.calcsize(code)
    return tables
