"""JPEG files as their segments (ITU-T T.81, annex B), without decoding anything."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

SOI, EOI, SOS, DQT, DHT, DRI, DAC, COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xCC, 0xFE
APP0, APP1, APP2, APP13, APP14 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE
BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS = 0xC0, 0xC1, 0xC2, 0xC3
ARITHMETIC, ARITHMETIC_PROGRESSIVE = 0xC9, 0xCA
# Frames that libjpeg decodes.
DECODED = (BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS, ARITHMETIC, ARITHMETIC_PROGRESSIVE)
_FRAMES = {0xC0 + n for n in range(16)} - {DHT, 0xC8, DAC}

# End of entropy-coded data: a marker that is neither a stuffed 0xFF, a fill byte nor a restart.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
# The same where restarts are not allowed.
_ANY_MARKER = re.compile(rb"\xff[\x01-\xfe]")
# Start of a segment between scans: restarts and similar markers there have no length, and are skipped.
_NEXT = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")

# Restart markers, inside of entropy-coded data.
RESTART = re.compile(rb"\xff[\xd0-\xd7]")

LARGEST_PAYLOAD = 65533
_JFIF_SIZE = 14
# Each scan costs a pass over the picture; progressive files have some ten.
_MOST_SCANS = 100


class DamagedJpegError(ValueError):
    """Segments that do not form a JPEG file."""


@dataclass(frozen=True)
class Segment:
    """A marker and what follows its length field."""

    marker: int
    payload: bytes

    def tobytes(self) -> bytes:
        """Return the segment as stored in a file."""
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
    """The frame header, whose marker tells how samples are coded."""

    marker: int
    precision: int
    height: int
    width: int
    components: tuple[Component, ...]

    def tobytes(self) -> bytes:
        """Return the frame header as stored in a file."""
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
        """Return tables, header and data as stored in a file."""
        return b"".join(table.tobytes() for table in self.tables) + Segment(SOS, self.header).tobytes() + self.data


@dataclass(frozen=True)
class JpegFile:
    """A parsed JPEG file.

    ``is_closed``: it has an end marker; ``trailer`` follows it. ``stray`` bytes lie between segments.
    """

    applications: tuple[Segment, ...]
    frame: Frame
    scans: tuple[Scan, ...]
    quantisation: dict[int, tuple[int, ...]]
    is_closed: bool
    trailer: bytes
    stray: int

    @property
    def tables_change(self) -> bool:
        """Whether quantisation tables are defined after the first scan."""
        return any(segment.marker == DQT for scan in self.scans[1:] for segment in scan.tables)


def read_frame(data: bytes) -> Frame:
    """Read only the frame header, from the beginning of a file. Raises `DamagedJpegError`."""
    position = 2
    while (at := _marker(data, position)) is not None:
        if data[at] == EOI:
            break
        segment, position = _segment(data, at)
        if segment.marker in _FRAMES:
            return _frame(segment)
        if segment.marker == SOS:
            raise DamagedJpegError("scan before any frame header")
    raise DamagedJpegError("no frame header")


def parse(data: bytes) -> JpegFile:
    """Parse a whole file. Raises `DamagedJpegError`.

    Like decoders, it skips stray bytes between segments, and accepts a missing end marker.
    """
    applications: list[Segment] = []
    tables: list[Segment] = []
    scans: list[Scan] = []
    quantisation: dict[int, tuple[int, ...]] = {}
    frame: Frame | None = None
    position, stray, has_restarts = 2, 0, False
    while (at := _marker(data, position)) is not None and data[at] != EOI:
        stray += len(data[position : at - 1].rstrip(b"\xff"))
        segment, position = _segment(data, at)
        if segment.marker in _FRAMES:
            if frame is not None:
                raise DamagedJpegError("two frame headers")
            frame = _frame(segment)
        elif segment.marker == SOS:
            end = _scan_end(data, position, has_restarts=has_restarts)
            if len(scans) == _MOST_SCANS:
                raise DamagedJpegError(f"more than {_MOST_SCANS} scans")
            scans.append(Scan(tuple(tables), _checked(segment.payload), data[position:end]))
            tables, position = [], end
        elif _is_no_jfif(segment):
            stray += len(segment.tobytes())
        elif _is_application(segment.marker):
            applications.append(segment)
        else:
            tables.append(segment)
            if segment.marker == DRI:
                has_restarts = any(segment.payload)
            elif segment.marker == DQT:
                quantisation |= _quantisation(segment.payload)
    if frame is None or not scans:
        raise DamagedJpegError("no frame or no scan")
    return JpegFile(
        applications=tuple(applications),
        frame=frame,
        scans=tuple(scans),
        quantisation=quantisation,
        is_closed=at is not None,
        trailer=b"" if at is None else data[at + 1 :],
        stray=stray + len(data[position : len(data) if at is None else at - 1].strip(b"\xff\0")),
    )


def for_decoders(data: bytes) -> bytes:
    """Return a file without those parts of its first segments that libjpeg ignores and Pillow does not."""
    kept, position = [data[:2]], 2
    while (at := _marker(data, position)) is not None and _is_application(data[at]):
        segment, position = _segment(data, at)
        if not _is_no_jfif(segment):
            kept.append(data[at - 1 : position])
    return data if at is None else b"".join((*kept, data[at - 1 :]))


def quantisation_segment(tables: dict[int, tuple[int, ...]]) -> Segment:
    """Return a DQT segment; entries are in the zigzag order of the file, 16 bits wide only if necessary."""
    payload = b""
    for name, table in tables.items():
        wide = max(table) > 255
        payload += bytes((wide << 4 | name,)) + struct.pack(">64H" if wide else "64B", *table)
    return Segment(DQT, payload)


def _marker(data: bytes, position: int) -> int | None:
    """Return the position of the next marker's code, after any number of fill bytes; None if there is none."""
    found = _NEXT.search(data, position)
    return None if found is None else found.end() - 1


def _segment(data: bytes, at: int) -> tuple[Segment, int]:
    """Return the segment whose marker's code is at ``at``, and where it ends."""
    if at + 3 > len(data):
        raise DamagedJpegError(f"segment at byte {at - 1} does not end in the file")
    marker, length = struct.unpack_from(">BH", data, at)
    if _is_application(marker):
        # That of an empty segment is 2; some writers leave out the length field itself.
        length = max(length, 2)
    end = at + 1 + length
    if length < 2 or end > len(data):
        raise DamagedJpegError(f"segment at byte {at - 1} does not end in the file")
    return Segment(marker, data[at + 3 : end]), end


def _is_application(marker: int) -> bool:
    return marker == COM or APP0 <= marker <= 0xEF


def _is_no_jfif(segment: Segment) -> bool:
    """Return whether a segment is called JFIF but is too short: libjpeg does not accept it as JFIF."""
    return segment.marker == APP0 and segment.payload.startswith(b"JFIF\0") and len(segment.payload) < _JFIF_SIZE


def _scan_end(data: bytes, position: int, *, has_restarts: bool) -> int:
    found = (_MARKER if has_restarts else _ANY_MARKER).search(data, position)
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
