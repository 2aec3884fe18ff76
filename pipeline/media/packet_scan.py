"""Scan all packets of a film before any work, without decoding, for what headers omit or state wrongly.

The scan finds streams that begin late, joints between recordings, the start time of the film, frames whose time stamps
are missing or are not display times, encryption, captions, and changes of the pixel aspect.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import av.container

from pipeline.errors import InputError
from pipeline.media.bitstream import headers, holds_captions, realvideo_time, shape
from pipeline.media.first_picture import encrypted
from pipeline.media.mpeg_clock import MpegClock
from pipeline.media.probe import FilmInfo, OpenFilm, StreamInfo, open_film, opened
from pipeline.media.source import AnyPacket, demux_all, describe_streams
from pipeline.media.structure import find_break
from pipeline.media.timecode import timecode_numbers
from pipeline.media.timeline import FARTHEST_CROSSING, Timeline, close_first_gap, crossing_of, offset_of
from pipeline.os_errors import reading
from pipeline.results import Note, NoteKind
from pipeline.wording import count

# How far FFmpeg may read in search of streams: it keeps this data in memory.
_FIRST_LOOK, _FARTHEST_LOOK = 10 << 20, 320 << 20
_CLOCK_RATE = 90_000
_CLOCKED = ("mpeg", "mpegts")
# Elementary streams have no time stamps; FFmpeg invents some from the decoding order.
_UNTIMED = ("mpegvideo",)
# In these, packets have durations but no time stamps at all.
_RAW = ("h264", "hevc")
_FIELD_AND_A_HALF = Fraction(3, 4)  # of a frame
_NO_TIME = -(1 << 63)
# A decoder delays this many frames in these files; without display times their edit lists hide the first ones.
_HELD_BACK = 2
_RATES = (
    *(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120)),
    *(Fraction(rate) for rate in (12, 15, 16, 18, 20, 24, 25, 30, 48, 50, 60, 100, 120)),
)
_RATE_TOLERANCE = Fraction(1, 100)
_FIELD_TOLERANCE = Fraction(1, 10)
_HIGHEST_RATE = 1000
# RealMedia times pictures by when they are decoded; those of this codec state when they are shown.
_TIMED_INSIDE = "rv20"
# Different headers that are parsed for the picture size; a film has one or two, a hostile file any number.
_MOST_HEADERS = 32


@contextmanager
def surveyed(path: Path, *, rate: Fraction | None = None) -> Iterator[tuple[FilmInfo, av.container.InputContainer]]:
    """Yield a description of the film at ``path`` from one pass over its packets, and the open file, read to its end.

    Adds data from the packets to the result of `probe`. A damaged file is read as far as possible: the reader of the
    frames decides how to treat damage. Raises `InputError` like `probe`, and if the film is encrypted.
    """
    with opened(path, rate=rate) as film:
        if film.info.sequence is not None:
            yield replace(film.info, is_scanned=True), film.container
            return
        found = _Scan(film.info)
        found.read(film)
        info = found.completed(_with_late_streams(film.info, found))
        if info.probe_size == film.info.probe_size:
            yield info, film.container
            return
    with open_film(info) as container:
        yield info, container


class _Scan:
    """The state of the pass."""

    def __init__(self, info: FilmInfo) -> None:
        self._info = info
        self._clock = MpegClock(_CLOCK_RATE) if info.container in _CLOCKED else None
        self._types = {stream.index: stream.type for stream in info.streams} | {info.stream_index: "video"}
        self.packets = Counter[int]()
        self.hidden = Counter[int]()
        self.encrypted = set[int]()
        self.known: Mapping[int, str] = {}
        self._pts = array("q")
        self._dts = array("q")
        self._is_hidden = bytearray()
        self._index_times = array("q")
        self._broken: str | None = None
        self._timecode_numbers: int | None = None
        self._has_captions = False
        self._is_intra = True
        self._is_timed_inside = info.codec == _TIMED_INSIDE and info.reorders_frames
        self._untimed = self._untimed_duration = 0
        self._coded_rate: Fraction | None = None
        self._shapes: dict[bytes, tuple[int, int, Fraction] | None] = {}
        self._aspects: dict[Fraction, int] = {}
        self._sizes = Counter[tuple[int, int]]()

    def read(self, film: OpenFilm) -> None:
        """Read all packets. Raises `InputError` if the picture is encrypted, or the file cannot be opened."""
        if film.packets is not None:
            self._read(film.container, film.packets)
        else:
            with open_film(film.info) as container:
                self._read(container, ())

    def _read(self, container: av.container.InputContainer, first: Iterable[AnyPacket]) -> None:
        for packet in chain(first, demux_all(container)):
            if packet.size:
                self._add(packet)
        self.known = describe_streams(container)
        self._broken = find_break(container)
        self._timecode_numbers = timecode_numbers(container)
        stream = container.streams[self._info.stream_index]
        assert isinstance(stream, av.VideoStream)
        self._coded_rate = stream.codec_context.framerate
        if self._info.container == "avi":
            self._index_times = array("q", (entry.timestamp for entry in stream.index_entries))

    def _add(self, packet: AnyPacket) -> None:
        index = packet.stream_index
        self.packets[index] += 1
        self.hidden[index] += packet.is_discard
        if packet.has_sidedata("encryption_info") or packet.has_sidedata("encryption_init_info"):
            if index == self._info.stream_index:
                raise encrypted(self._info.path)
            self.encrypted.add(index)
        if self._clock is not None:
            self._clock.add(
                index,
                pts=packet.pts,
                dts=packet.dts,
                duration=packet.duration or 0,
                is_continuous=self._types.get(index) in ("video", "audio"),
            )
        if index == self._info.stream_index:
            self._add_picture(packet)

    def _add_picture(self, packet: AnyPacket) -> None:
        data = bytes(packet)
        pts = packet.pts
        if pts is not None and self._is_timed_inside:
            pts = realvideo_time(data, pts)
        self._pts.append(_NO_TIME if pts is None else pts)
        self._dts.append(_NO_TIME if packet.dts is None else packet.dts)
        if packet.pts is None and packet.dts is None:
            self._untimed_duration = self._untimed_duration or packet.duration or 0
        self._is_hidden.append(packet.is_discard)
        self._is_intra = self._is_intra and packet.is_keyframe
        self._has_captions = self._has_captions or holds_captions(data, self._info.codec)
        found_headers = headers(data, self._info.codec)
        if found_headers:
            self._add_shape(found_headers, data)

    def _add_shape(self, found_headers: bytes, data: bytes) -> None:
        if found_headers not in self._shapes and len(self._shapes) < _MOST_HEADERS:
            self._shapes[found_headers] = shape(data, self._info.codec)
        found = self._shapes.get(found_headers)
        if found is not None:
            self._sizes[found[:2]] += 1
            self._aspects.setdefault(found[2], len(self._pts) - 1)

    # Conclusions ---------------------------------------------------------------------------------------------------

    def completed(self, info: FilmInfo) -> FilmInfo:
        """Return ``info`` with everything that was found."""
        self._check_size()
        self._check_fields()
        notes: list[Note] = []
        offsets = self._offsets(notes)
        self._move(offsets.get(info.stream_index, ()))
        times, shows_hidden = self._frame_times()
        if self._clock is None:
            offsets = self._from_zero(info, times, notes)
            self._move(offsets.get(info.stream_index, ()))
            times, shows_hidden = self._frame_times()
            info = _with_later_chapters(info, offsets)
        crossing = 0
        if times is None and self._is_intra:
            crossing = crossing_of(self._pts)
            if crossing > FARTHEST_CROSSING:
                times, crossing = array("q", sorted(self._pts)), 0
                text = "time stamps do not follow the order of the frames: shown in the order in which they are stored"
                notes.append(Note(NoteKind.ASSUMED, text))
        rate = self._rate(info, times)
        if times and self._untimed:
            notes.append(Note(NoteKind.ASSUMED, self._about_untimed(rate)))
        if len(self._aspects) > 1:
            text = f"pixel aspect changes at frame {max(self._aspects.values()):,}; that of the first frame is written"
            notes.append(Note(NoteKind.CONVERTED, text))
        if self._timecode_numbers is not None and rate is not None and self._timecode_numbers != round(rate):
            # That of cameras at double rate does not count frames one by one.
            numbers = f"{round(rate)} numbers a second, in the source {self._timecode_numbers}"
            notes.append(Note(NoteKind.CONVERTED, f"timecode: {numbers}; it is right for the first frame"))
        return replace(
            info,
            timeline=Timeline(offsets=offsets, frame_times=times, crossing=crossing, shows_hidden=shows_hidden),
            average_rate=rate,
            frame_count=info.frame_count if info.frame_count_from_header else self._frames() or info.frame_count,
            has_captions=self._has_captions,
            broken=self._broken,
            is_scanned=True,
            streams=tuple(self._stream(stream) for stream in info.streams),
            notes=(*info.notes, *notes),
        )

    def _about_untimed(self, rate: Fraction | None) -> str:
        if self._untimed < len(self._pts) or rate is None:
            subject = count(self._untimed, "frame")
            return f"{subject} without a time of its own: shown one frame period after the one before"
        text = f"no frame has a time of its own: {float(rate):.5g} frames a second"
        return text if self._coded_rate else f"{text}, as the file does not state it"

    def _frames(self) -> int:
        """Return the number of frames in the packets that are not hidden."""
        shown = len(self._pts) - self._is_hidden.count(1)
        return (shown + 1) // 2 if self._has_field_packets() else shown

    def _has_field_packets(self) -> bool:
        """Return whether each field is a separate packet: there are twice as many packets as the rate allows."""
        shown, rate = sorted(set(self._pts) - {_NO_TIME}), self._info.average_rate
        if not self._info.is_interlaced or not rate or len(shown) < 2:
            return False
        found = Fraction(len(shown) - 1) / ((shown[-1] - shown[0]) * self._info.time_base)
        return abs(found / (2 * rate) - 1) <= _FIELD_TOLERANCE

    def _check_size(self) -> None:
        """Raise `InputError` if the picture size changes; a single header with another one may be damaged."""
        sizes = [size for size, count in self._sizes.most_common() if count > 1]
        if len(sizes) > 1:
            raise InputError(
                f"{self._info.path}: changes its picture size from {sizes[0]} to {sizes[1]}",
                advice="Cut the film there and colour the parts.",
            )

    def _check_fields(self) -> None:
        """Raise `InputError` for raw H.264 that codes fields one by one: only time stamps tell which are one frame."""
        rate = self._coded_rate or self._info.usual_rate
        if self._info.container in _RAW and self._untimed_duration * self._info.time_base * rate < _FIELD_AND_A_HALF:
            raise InputError(
                f"{self._info.path}: is raw video whose fields are coded one by one, without time stamps",
                advice="Wrap it in Matroska or MP4 first, for example with mkvmerge.",
            )

    def _stream(self, stream: StreamInfo) -> StreamInfo:
        return replace(
            stream,
            packets=self.packets[stream.index] if stream.index in self._types else None,
            hidden_packets=self.hidden[stream.index],
            is_encrypted=stream.index in self.encrypted,
        )

    def _offsets(self, notes: list[Note]) -> dict[int, tuple[tuple[int, int], ...]]:
        """Return offsets by which the parts of a joined recording follow each other, the first at zero."""
        if self._clock is None or (start := self._clock.start()) is None:
            return {}
        if self._clock.joints:
            text = f"{self._clock.joints + 1} recordings with clocks of their own, joined: each follows the one before"
            notes.append(Note(NoteKind.CONVERTED, text))
        if start:
            seconds = start / _CLOCK_RATE
            notes.append(
                Note(NoteKind.CONVERTED, f"everything starts at zero; the clock of the source says {seconds:.3f} s")
            )
        return {
            index: tuple((number, offset - start) for number, offset in pairs)
            for index, pairs in self._clock.offsets().items()
        }

    def _from_zero(
        self, info: FilmInfo, times: array[int] | None, notes: list[Note]
    ) -> dict[int, tuple[tuple[int, int], ...]]:
        """Return equal offsets for all streams so that no frame is shown before time zero."""
        shown = [
            time for time, hidden in zip(self._pts, self._is_hidden, strict=True) if not hidden and time != _NO_TIME
        ]
        first = times[0] if times else min(shown, default=0)
        if first >= 0:
            return {}
        seconds = -first * info.time_base
        notes.append(
            Note(NoteKind.CONVERTED, f"everything starts {float(seconds):.3f} s later: no frame is shown before zero")
        )
        bases = {stream.index: stream.time_base for stream in info.streams if stream.time_base}
        return {
            index: ((0, round(seconds / base)),) for index, base in {**bases, info.stream_index: info.time_base}.items()
        }

    def _move(self, offsets: tuple[tuple[int, int], ...]) -> None:
        """Add ``offsets`` to the times of the picture's packets."""
        for times in (self._pts, self._dts, self._index_times):
            for number, time in enumerate(times):
                times[number] = time if time == _NO_TIME else time + offset_of(offsets, number)

    def _frame_times(self) -> tuple[array[int] | None, bool]:
        """Return the times of all frames if the packets' are not display times; and whether hidden ones count."""
        hidden = self._is_hidden.count(1)
        shown = [pts for pts, is_hidden in zip(self._pts, self._is_hidden, strict=True) if not is_hidden]
        has_times = _NO_TIME not in shown and len(set(shown)) == len(shown)
        if has_times and self._is_timed_inside:
            return array("q", sorted(shown)), False
        is_avi = self._info.container == "avi"
        is_timed = self._info.container not in _UNTIMED
        if has_times and is_timed and not (self._info.reorders_frames and (is_avi or self._pts == self._dts)):
            return None, False
        shows_hidden = 0 < hidden <= _HELD_BACK and self._info.reorders_frames
        if hidden and not shows_hidden:
            return None, False
        if is_avi and len(self._index_times) == len(self._pts):
            times = sorted(self._index_times)
        else:
            times = self._decoding_times()
        if self._info.reorders_frames:
            close_first_gap(times, most_frames=_HELD_BACK + 1)
        late = -min(times[0], 0) if self._clock is not None else 0  # decoding begins before display
        return array("q", (time + late for time in times)), shows_hidden

    def _decoding_times(self) -> list[int]:
        """Return one time for each packet, ascending; those without a time are due a frame after the previous."""
        step = self._step()
        times: list[int] = []
        self._untimed = 0
        for pts, dts in zip(self._pts, self._dts, strict=True):
            time = dts if dts != _NO_TIME else pts
            if time == _NO_TIME or (times and time <= times[-1]):
                time = times[-1] + step if times else 0
                self._untimed += 1
            times.append(time)
        return times

    def _step(self) -> int:
        if self._untimed_duration:
            return self._untimed_duration
        rate = self._info.base_rate or self._info.average_rate or Fraction(25)
        return max(round(1 / rate / self._info.time_base), 1)

    def _rate(self, info: FilmInfo, times: array[int] | None) -> Fraction | None:
        """Return the header's frame rate or, if that is absurd, the one found from the frame times."""
        if self._has_field_packets():
            return info.average_rate
        shown = sorted(set(times or self._pts) - {_NO_TIME})
        if len(shown) < 2:
            return info.average_rate if info.average_rate and info.average_rate < _HIGHEST_RATE else info.base_rate
        found = Fraction(len(shown) - 1) / ((shown[-1] - shown[0]) * info.time_base)
        if info.average_rate and abs(info.average_rate / found - 1) <= _RATE_TOLERANCE:
            return info.average_rate
        usual = min(_RATES, key=lambda rate: abs(rate / found - 1))
        return usual if abs(usual / found - 1) <= _RATE_TOLERANCE else found.limit_denominator(1001)


def _with_later_chapters(info: FilmInfo, offsets: Mapping[int, tuple[tuple[int, int], ...]]) -> FilmInfo:
    later = offset_of(offsets.get(info.stream_index, ()), 0) * info.time_base
    chapters = tuple(replace(item, start=item.start + later, end=item.end + later) for item in info.chapters)
    return replace(info, chapters=chapters)


# Late streams --------------------------------------------------------------------------------------------------------


def _with_late_streams(info: FilmInfo, found: _Scan) -> FilmInfo:
    """Return ``info``, read again far enough to know all streams, or with notes on those that begin too late."""
    missing = _missing(info, found)
    if not missing:
        return info
    with reading(info.path):
        size = info.path.stat().st_size
    look, latest = _FIRST_LOOK, info
    while missing and look <= _FARTHEST_LOOK:
        with opened(info.path, probe_size=look) as film:
            latest = film.info
        missing = _missing(latest, found)
        if look >= size:
            break
        look *= 2
    if latest.stream_index != info.stream_index:
        raise InputError(
            f"{info.path}: streams that begin late in the file change the numbers of the others",
            advice="Remux it to Matroska first.",
        )
    text = "begins too late in the file: it is not known what it holds"
    notes = [Note(NoteKind.DROPPED, f"stream {index} {text}") for index in sorted(missing - _indices(latest))]
    return replace(latest, notes=(*latest.notes, *notes))


def _indices(info: FilmInfo) -> set[int]:
    return {info.stream_index, *(stream.index for stream in info.streams)}


def _missing(info: FilmInfo, found: _Scan) -> set[int]:
    """Return the indices of streams with packets that are unknown, or too little known to be copied."""
    late = set(found.known) - _indices(info)
    unclear = {stream.index for stream in info.streams if not stream.is_clear and found.packets[stream.index]}
    return late | unclear
