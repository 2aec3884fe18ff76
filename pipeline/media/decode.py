"""A film as frames, in order; whatever is damaged stops it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from fractions import Fraction

import av
import av.container

from pipeline.errors import InputError
from pipeline.media.frames import Frame, Timestamp
from pipeline.media.pixels import PixelFormat
from pipeline.media.probe import FilmInfo, bound_pixels, open_source
from pipeline.media.tally import Tally

_DAMAGED = "Play the film there; if it is damaged, restore it from another copy."
# Packed B-frames leave placeholder packets behind the last picture.
_PACKS_FRAMES = ("mpeg4", "msmpeg4v3", "msmpeg4v2", "msmpeg4v1")
# Without a picture count, a Matroska file that ends this much before its stated end was cut off.
_MISSING_SECONDS = Fraction(1, 2)


def frames(info: FilmInfo, target: PixelFormat, *, tally: Tally | None = None) -> Generator[Frame, None, None]:
    """Yield every frame of the film ``info`` describes, in display order, ready for painting in format ``target``.

    ``tally`` counts what is read. Closing the generator closes the file. Raises `InputError` naming the file and the
    frame for anything that cannot be decoded cleanly, and at the end if the film is shorter than its header says.
    """
    container = open_source(info.path)
    try:
        reader = _Reader(info, container)
        with closing(reader.pictures()) as pictures:
            for picture in pictures:
                frame = Frame(picture, reader.timestamp(picture), source=info.pixel_format, target=target)
                if tally is not None:
                    tally.add(frame)
                yield frame
        reader.check_complete()
    finally:
        container.close()


class _Reader:
    """The state of one pass over a film: where it is, and what it has seen."""

    def __init__(self, info: FilmInfo, container: av.container.InputContainer) -> None:
        self._info = info
        self._container = container
        self._stream: av.VideoStream = container.streams[info.stream_index]  # type: ignore[assignment]
        self._number = 0
        self._packets = 0
        self._latest_packet: int | None = None
        self._file_end = Fraction(0)
        self._last: Timestamp | None = None
        self._entries = len(self._stream.index_entries)

    def pictures(self) -> Generator[av.VideoFrame, None, None]:
        self._stream.thread_type = av.codec.context.ThreadType.AUTO
        bound_pixels(self._stream)
        try:
            # All streams, because only together do they show where the file ends.
            for packet in self._container.demux():
                self._note(packet)
                is_repeat = packet.size == 0 and packet.dts is not None
                # An empty packet with a time is AVI's "show the last picture again"; without one, the stream's end.
                if packet.stream.index != self._info.stream_index or is_repeat:
                    continue
                for picture in self._stream.decode(packet):
                    self._check(picture)
                    yield picture
                    self._number += 1
        except (av.FFmpegError, OSError) as error:
            raise self._error(f"cannot be decoded: {error}") from error

    def _note(self, packet: av.Packet[av.stream.Stream]) -> None:
        if packet.size == 0:
            return
        when = packet.pts if packet.pts is not None else packet.dts
        if when is not None:
            self._file_end = max(self._file_end, (when + (packet.duration or 0)) * packet.time_base)
        if packet.stream_index == self._info.stream_index:
            self._packets += 1
            if packet.pts is not None and not packet.is_discard:
                latest = self._latest_packet
                self._latest_packet = packet.pts if latest is None else max(latest, packet.pts)

    def _check(self, picture: av.VideoFrame) -> None:
        if picture.is_corrupt:
            raise self._error("is damaged")
        expected = (self._info.pixel_format.name, self._info.width, self._info.height)
        found = (picture.format.name, picture.width, picture.height)
        if found != expected:
            raise self._error(
                f"changes the picture format from {expected} to {found}",
                advice="Cut the film there and colour the parts.",
            )

    def timestamp(self, picture: av.VideoFrame) -> Timestamp:
        pts = picture.pts
        if pts is None and not self._info.reorders_frames:
            # Without reordering, decoding and display order are the same, and so are their times.
            pts = picture.dts
        if pts is None:
            raise self._error("has no time stamp", advice="Remux the film to Matroska or MP4, which gives it one.")
        if self._last is not None and pts <= self._last.pts:
            raise self._error(
                f"is timed {float(pts * self._info.time_base):.3f} s, not after the one before it",
                advice="Remux the film so that its time stamps increase.",
            )
        self._last = Timestamp(pts, self._info.time_base, picture.duration or 0)
        return self._last

    def check_complete(self) -> None:
        if self._last is None:
            raise self._error("does not exist: nothing could be decoded")
        if "mov" in self._info.container and 0 < self._packets < self._entries:
            raise self._error(f"is the last, of {self._entries} in the index: the file is cut off", step=-1)
        if self._info.codec not in _PACKS_FRAMES and self._latest_packet is not None and self._info.average_rate:
            missing = (self._latest_packet - self._last.pts) * self._info.time_base
            if missing * self._info.average_rate > Fraction(3, 4):
                raise self._error(f"and those after it, {float(missing):.3f} s, cannot be decoded")
        stated = self._info.duration
        if "matroska" in self._info.container and stated is not None and stated - self._file_end > _MISSING_SECONDS:
            raise self._error(
                f"is the last, at {float(self._file_end):.3f} s of {float(stated):.3f} s: the file is cut off", step=-1
            )
        if self._info.container == "avi" and self._info.frame_count_from_header:
            stated_frames = self._info.frame_count or 0
            if self._packets < stated_frames - max(2, stated_frames // 100):
                raise self._error(f"is the last, of {stated_frames} in the header: the file is cut off", step=-1)

    def _error(self, what: str, *, advice: str = _DAMAGED, step: int = 0) -> InputError:
        return InputError(f"{self._info.path}: frame {self._number + step} {what}", advice=advice)
