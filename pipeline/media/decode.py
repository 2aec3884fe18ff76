"""Read a film as frames, in order; damage is an error, or concealed and reported."""

from __future__ import annotations

from bisect import insort
from collections.abc import Generator
from contextlib import closing
from fractions import Fraction
from itertools import chain, pairwise

import av
import av.container

from pipeline.errors import InputError
from pipeline.media.containers import message_of
from pipeline.media.damage import ADVICE, Damage, Remedy, copy_picture
from pipeline.media.deinterlace import Deinterlacer
from pipeline.media.expected_frames import ExpectedFrames
from pipeline.media.frames import Frame, Timestamp
from pipeline.media.pixels import PixelFormat
from pipeline.media.probe import FilmInfo, open_film
from pipeline.media.read_log import ReadLog
from pipeline.media.source import AnyPacket, bound_pixels, demux_all, without_discard
from pipeline.media.structure import find_break
from pipeline.media.timeline import Retimer
from pipeline.options import OnDamage
from pipeline.results import NoteKind
from pipeline.wording import count

# Without a picture count, a file that ends this long before its stated end is truncated.
_MISSING_SECONDS = Fraction(1, 2)
# So many consecutive pictures of another format mean that the film itself changes.
_MISFITS = 25
# FFmpeg's decoder of this codec does not return the last picture, which it holds back as it may follow B-frames.
_HOLDS_LAST = "rv20"
# Demuxers whose duration comes from the header, not an estimate.
_STATES_DURATION = {"matroska", "mov", "mxf"}


def frames(
    info: FilmInfo,
    target: PixelFormat,
    *,
    read_log: ReadLog | None = None,
    on_damage: OnDamage = OnDamage.FAIL,
    luma_weights: tuple[float, float] | None = None,
    deinterlace: bool = False,
) -> Generator[Frame, None, None]:
    """Yield every frame of the film ``info`` describes, in display order, ready for new chroma, in format ``target``.

    ``read_log`` counts the yielded frames, and at the end has notes on everything irregular. ``luma_weights`` are
    those of `Frame`; ``deinterlace`` makes whole pictures of fields. Closing the generator closes the file.

    FAIL raises `InputError` naming the file and the frame for anything that cannot be decoded cleanly, before the
    first frame if the file's structure is broken, and at the end if the film is shorter than its header states.
    CONCEAL, which needs a ``read_log``, leaves damaged frames as the decoder conceals them, replaces those that cannot
    be decoded by the previous frame at their own times, and ends a truncated film where its file ends. It still
    raises `InputError` if nothing can be decoded or the pictures change their format permanently.
    """
    if on_damage is OnDamage.CONCEAL and read_log is None:
        raise ValueError("concealment needs a read log that reports it")
    damage = Damage(info.path, on_damage)
    fields = Deinterlacer(info, target) if deinterlace else None

    def counted(frame: Frame) -> Frame:
        if read_log is not None:
            read_log.add(frame)
        return frame

    with open_film(info) as container:
        broken = info.broken if info.is_scanned else find_break(container)
        if broken is not None:
            damage.met(broken)
        reader = _Reader(info, container, damage, in_place=info.pixel_format.name == target.name)
        with closing(reader.pictures()) as pictures:
            for picture, following in pairwise(chain(pictures, (None,))):
                assert picture is not None
                for shown, time in reader.shown(picture, following):
                    frame = Frame(shown, time, source=info.pixel_format, target=target, luma_weights=luma_weights)
                    for ready in (frame,) if fields is None else fields.push(frame):
                        yield counted(ready)
        reader.check_complete()
    for ready in () if fields is None else fields.rest():
        yield counted(ready)
    if read_log is not None:
        read_log.notes += (*damage.notes(), *read_log.pauses(info.time_base))


class _Reader:
    """The state of one pass over a film: its position, and what it has read."""

    def __init__(
        self, info: FilmInfo, container: av.container.InputContainer, damage: Damage, *, in_place: bool
    ) -> None:
        """With ``in_place``, pictures are modified in place, and repeated ones must be copies."""
        self._info = info
        self._container = container
        self._damage = damage
        self._in_place = in_place
        self._stream: av.VideoStream = container.streams[info.stream_index]  # type: ignore[assignment]
        self._entries = len(self._stream.index_entries)
        self._expected_frames = ExpectedFrames(info)
        self._retimer = Retimer(info.timeline)
        self._decoded = 0
        self._latest: int | None = None
        self._number = 0
        self._packets = 0
        self._misfits = 0
        self._file_end = Fraction(0)
        self._last: Timestamp | None = None
        rate = info.average_rate
        self._step = max(round(1 / rate / info.time_base), 1) if rate else 1
        self._repeated: set[int | None] = set()
        self._first: bytes | None = None
        self._holds_last = info.codec == _HOLDS_LAST and info.reorders_frames

    def shown(self, picture: av.VideoFrame, following: av.VideoFrame | None) -> list[tuple[av.VideoFrame, Timestamp]]:
        """Return ``picture`` with its time, and again for each one lost before ``following`` (None: the end).

        If pictures at the start of the film were lost, it also replaces those.
        """
        places = self._places(picture, following)
        copies = [copy_picture(picture) if self._in_place else picture for _ in places[1:]]
        return [
            (shown, self._arrive(picture, *place))
            for place, shown in zip(places, [picture, *copies][: len(places)], strict=True)
        ]

    def _places(self, picture: av.VideoFrame, following: av.VideoFrame | None) -> list[tuple[int, Remedy | None]]:
        """Return the times at which to show ``picture``, in order: its own, and those of lost neighbours."""
        if picture.is_corrupt and not self._damage.conceals:
            raise self._error("is damaged")
        pts = self._time(picture)
        if pts in self._repeated:
            return []  # it comes so late that another picture is shown in its place already
        after = None if following is None else self._time(following)
        if after in self._repeated:
            after = None
        pts, remedy = self._repaired(picture, after) if self._damage.conceals else (self._checked(picture), None)
        before = self._expected_frames.before(pts)
        behind = (
            self._expected_frames.between(pts, after)
            if following is None or (after is not None and after > pts)
            else []
        )
        if behind and not self._damage.conceals:
            seconds = float((behind[-1] - pts) * self._info.time_base)
            rest = "and those after it " if following is None else ""
            raise self._error(f"{rest}cannot be decoded: {seconds:.3f} s are missing", self._number + 1)
        if self._last is not None:
            before = []  # too late: what could be said of them was said with the picture before
        elif before and not self._damage.conceals:
            start = float(pts * self._info.time_base)
            text = f"the film starts at {start:.3f} s: {len(before)} frames before it cannot be decoded by themselves"
            self._damage.remark(NoteKind.ASSUMED, f"{text}, as in a part cut from a longer film")
            before = []
        if behind:
            self._repeated = set(behind)
        return [
            *((time, Remedy.FRONTED) for time in before),
            (pts, remedy or (Remedy.KEPT if picture.is_corrupt else None)),
            *((time, Remedy.REPEATED) for time in behind),
        ]

    def _arrive(self, picture: av.VideoFrame, pts: int, remedy: Remedy | None) -> Timestamp:
        if self._last is not None:
            self._step = pts - self._last.pts
        self._last = Timestamp(pts, self._info.time_base, picture.duration or 0)
        if remedy is not None:
            self._damage.remedied(remedy, self._number, self._last.seconds)
        self._number += 1
        return self._last

    # Packets and pictures -------------------------------------------------------------------------------------------

    def pictures(self) -> Generator[av.VideoFrame, None, None]:
        """Yield every picture that can be decoded, in display order.

        Reads the packets of all streams, because only all of them show where the file ends.
        """
        self._stream.thread_type = av.codec.context.ThreadType.AUTO
        bound_pixels(self._stream)
        # If the decoder returns pictures in stored order, this many wait for one that is shown before them.
        crossing = self._info.timeline.crossing
        waiting: list[av.VideoFrame] = []
        for demuxed in demux_all(self._container, met=self._cannot_read, drained=self._stream):
            packet, is_at_joint = self._retimed(demuxed)
            self._note(packet, is_at_joint=is_at_joint)
            for picture in self._decode(packet):
                self._set_time(picture)
                if self._fits(picture):
                    # Pictures with equal times, or with none, keep their order.
                    insort(waiting, picture, key=lambda one: self._time(one) or 0)
                    if len(waiting) > crossing:
                        yield waiting.pop(0)
                self._decoded += 1
        yield from waiting

    def _cannot_read(self, error: Exception) -> None:
        self._damage.met(f"frame {self._number} cannot be read: {message_of(error)}")

    def _decode(self, packet: AnyPacket) -> list[av.VideoFrame]:
        # An empty packet with a time means "show the last picture again" in AVI; without one, the stream's end.
        if packet.stream.index != self._info.stream_index or (packet.size == 0 and packet.dts is not None):
            return []
        if packet.size == 0 and self._holds_last and self._first is not None:
            # Any picture that is not a B-frame makes the decoder return the one before, and is itself held back.
            packet = av.Packet(self._first)
            packet.stream = self._stream
        try:
            return self._stream.decode(packet)
        except (av.FFmpegError, OSError) as error:
            if not self._damage.conceals:
                raise self._error(f"cannot be decoded: {message_of(error)}", self._decoded) from error
            self._damage.met(f"frame {self._number} is near data that cannot be decoded: {message_of(error)}")
            self._expected_frames.suspect()
            return []

    def _note(self, packet: AnyPacket, *, is_at_joint: bool) -> None:
        if packet.size == 0:
            return
        when = packet.pts if packet.pts is not None else packet.dts
        if when is not None:
            self._file_end = max(self._file_end, (when + (packet.duration or 0)) * packet.time_base)
        is_ours = packet.stream_index == self._info.stream_index
        if packet.is_corrupt and not is_at_joint:
            place = "" if when is None else f" at {float(when * packet.time_base):.3f} s"
            self._damage.met(f"frame {self._number} is near damage: {packet.stream.type} data is incomplete{place}")
        if is_ours:
            self._packets += 1
            if self._first is None and self._holds_last:
                self._first = bytes(packet)
            time = self._time(packet)
            if time is not None and not packet.is_discard:
                self._expected_frames.add(time, packet.duration or 0)

    def _fits(self, picture: av.VideoFrame) -> bool:
        """Return whether ``picture`` has the film's format; any other is an error, or a damaged header."""
        expected = (self._info.pixel_format.name, self._info.width, self._info.height)
        found = (picture.format.name, picture.width, picture.height)
        if found == expected:
            self._misfits = 0
            return True
        self._misfits += 1
        if not self._damage.conceals or self._misfits > _MISFITS:
            raise self._error(
                f"changes the picture format from {expected} to {found}",
                self._decoded,
                advice="Cut the film there and colour the parts.",
            )
        self._damage.met(f"frame {self._number} is near a picture of another format, {found}, which is left out")
        self._expected_frames.suspect()
        return False

    # Times ----------------------------------------------------------------------------------------------------------

    def _retimed(self, packet: AnyPacket) -> tuple[AnyPacket, bool]:
        """Return ``packet`` with its time by the film's timeline, and whether two recordings are joined there."""
        number = self._retimer.apply(packet)
        timeline = self._info.timeline
        is_at_joint = timeline.is_at_joint(packet.stream_index, number)
        if packet.size == 0 or packet.stream_index != self._info.stream_index:
            return packet, is_at_joint
        if timeline.shows_hidden and packet.is_discard:
            packet = without_discard(packet)
        if timeline.frame_times is not None and number < len(timeline.frame_times):
            packet.pts = packet.dts = timeline.frame_times[number]
        return packet, is_at_joint

    def _set_time(self, picture: av.VideoFrame) -> None:
        """Set the time of ``picture`` if it is missing or wrong in the file."""
        times = self._info.timeline.frame_times
        if times:
            beyond = max(0, self._decoded - len(times) + 1)
            picture.pts = times[min(self._decoded, len(times) - 1)] + beyond * self._step
        elif picture.pts is None and self._info.reorders_frames:
            # The last frames that a drained decoder returns may have lost their times.
            picture.pts = self._expected_frames.first_after(self._latest)
        self._latest = picture.pts if picture.pts is not None else self._latest

    def _time(self, timed: av.VideoFrame | AnyPacket) -> int | None:
        if timed.pts is None and not self._info.reorders_frames:
            # Without reordering, decoding and display order are the same, and so are the times.
            return timed.dts
        return timed.pts

    def _checked(self, picture: av.VideoFrame) -> int:
        pts = self._time(picture)
        if pts is None:
            raise self._error("has no time stamp", advice="Remux the film to Matroska or MP4, which gives it one.")
        if self._last is not None and pts <= self._last.pts:
            raise self._error(
                f"is timed {float(pts * self._info.time_base):.3f} s, not after the one before it",
                advice="Remux the film so that its time stamps increase.",
            )
        return pts

    def _repaired(self, picture: av.VideoFrame, after: int | None) -> tuple[int, Remedy | None]:
        """Return a time for ``picture`` after the previous one and, if possible, before ``after``."""
        pts = self._time(picture)
        last = None if self._last is None else self._last.pts
        if pts is not None and (last is None or pts > last) and (after is None or pts <= after or after <= (last or 0)):
            return pts, None
        self._expected_frames.forget(pts)
        if last is None:
            return max((after or 0) - self._step, 0), Remedy.RETIMED
        if after is not None and last + 1 < after <= last + self._step:
            return (last + after) // 2, Remedy.RETIMED
        return last + self._step, Remedy.RETIMED

    # The end --------------------------------------------------------------------------------------------------------

    def check_complete(self) -> None:
        if self._last is None:
            raise self._error("does not exist: nothing could be decoded")
        if "mov" in self._info.container and 0 < self._packets < self._entries:
            self._cut_off(f"of {self._entries} in the index")
        elif "mov" in self._info.container and self._info.frame_count_from_header:
            self._compare_count(self._info.frame_count or 0, self._number, "an edit list is taken to hide the rest")
        if self._info.sequence is not None and self._packets < (self._info.frame_count or 0):
            self._damage.met(f"frame {self._number} cannot be read: its file is gone")
        stated = self._info.duration
        if stated is not None and _STATES_DURATION & set(self._info.container.split(",")):
            missing = stated - self._file_end
            if missing > _MISSING_SECONDS:
                self._cut_off(f"at {float(self._file_end):.3f} s of {float(stated):.3f} s")
        if self._info.container == "avi" and self._info.frame_count_from_header:
            self._check_avi_count(self._info.frame_count or 0)

    def _check_avi_count(self, stated: int) -> None:
        """Compare with the header, which also counts dropped frames: their chunks are empty, but have a duration."""
        entries = self._stream.index_entries
        covered = max(self._packets, entries[len(entries) - 1].timestamp + 1 if len(entries) else 0)
        ends_early = self._file_end < (stated * self._step) * self._info.time_base - _MISSING_SECONDS
        if covered < stated - max(2, stated // 100) and ends_early:
            self._cut_off(f"of {stated} in the header")
        else:
            self._compare_count(stated, covered, "the header is taken to be wrong")

    def _compare_count(self, stated: int, found: int, assumed: str) -> None:
        if found < stated:
            text = f"the header counts {count(stated, 'frame')}, the film shows {found:,}: {assumed}"
            self._damage.remark(NoteKind.ASSUMED, text)

    def _cut_off(self, where: str) -> None:
        self._damage.met(f"frame {self._number - 1} is the last, {where}: the file is cut off")

    def _error(self, what: str, number: int | None = None, *, advice: str = ADVICE) -> InputError:
        return InputError(
            f"{self._info.path}: frame {self._number if number is None else number} {what}", advice=advice
        )
