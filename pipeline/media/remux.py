"""Remux all streams except the picture: read a second time from the source, returned in order of time."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from fractions import Fraction
from typing import Any, Protocol

import av
import av.container
from av.audio.stream import AudioStream
from av.subtitles.stream import SubtitleStream

from pipeline.media.codecs import Container
from pipeline.media.containers import message_of
from pipeline.media.damage import Damage
from pipeline.media.probe import FilmInfo, StreamInfo, open_film
from pipeline.media.read_log import PacketLog, adts_header
from pipeline.media.source import AnyPacket, demux_all
from pipeline.media.stream_plan import Action, StreamPlan
from pipeline.media.timeline import Retimer
from pipeline.results import NoteKind

# Rewritten by the muxer, or true only of the source's coding.
_STALE = ("duration", "encoder", "vendor_id")
_GAP = b"\0\0"
_MILLISECONDS = Fraction(1, 1000)
_PAUSE = Fraction(1, 10)


class _Transfer(Protocol):
    """The transfer of one stream from source to result."""

    def take(self, packet: AnyPacket) -> Iterable[AnyPacket]:
        """Convert one packet of the source to packets of the result; an empty packet ends the stream."""
        ...


class Remuxer:
    """Copies and conversions of the streams in ``plans``, added to ``result``, whose header is not written yet.

    ``sent`` logs, by index in the source, the packets sent to the result. ``damage`` decides how to treat packets
    that cannot be read or decoded, or that go back in time.
    """

    def __init__(
        self,
        info: FilmInfo,
        plans: Iterable[StreamPlan],
        result: av.container.OutputContainer,
        container: Container,
        damage: Damage,
    ) -> None:
        self.sent: dict[int, PacketLog] = {}
        self._info = info
        self._damage = damage
        self._container = container
        self._streams: dict[int, StreamInfo] = {}
        self._latest: dict[int, int] = {}
        self._with_headers: set[int] = set()
        self._begun: set[int] = set()
        self._trimmed: set[int] = set()
        self._transfers: dict[int, _Transfer] = {}
        self._cleanup = ExitStack()
        self._packets: Iterator[AnyPacket] = iter(())
        self._waiting: AnyPacket | None = None
        kept = [plan for plan in plans if plan.action in (Action.COPY, Action.CONVERT)]
        if kept:
            source = self._cleanup.enter_context(open_film(info))
            try:
                for plan in kept:
                    self._add(plan, source, result)
            except BaseException:
                self.close()
                raise
            self._packets = self._cleanup.enter_context(closing(self._read(source)))

    def until(self, seconds: Fraction | None) -> Iterator[AnyPacket]:
        """Yield all packets due at or before ``seconds``, for None all remaining ones. Raises `InputError`."""
        while packet := self._waiting or next(self._packets, None):
            self._waiting = packet
            if seconds is not None and _due(packet) > seconds:
                return
            self._waiting = None
            yield packet

    def close(self) -> None:
        """Close the source."""
        self._transfers.clear()
        self._cleanup.close()

    def _read(self, source: av.container.InputContainer) -> Generator[AnyPacket, None, None]:
        for stream in source.streams:
            if stream.index not in self._transfers:
                stream.discard = av.stream.Discard.all
        if not self._transfers:
            return
        retimer = Retimer(self._info.timeline)
        for packet in demux_all(
            source,
            *(source.streams[index] for index in self._transfers),
            met=lambda error: self._damage.met(f"a stream beside the picture cannot be read: {message_of(error)}"),
        ):
            index = packet.stream.index
            retimer.apply(packet)
            if packet.is_discard and self._leaves_out_hidden(index):
                continue
            if self._is_whole(index, packet):
                yield from (ready for ready in self._taken(index, packet) if self._is_in_order(index, ready))

    def _leaves_out_hidden(self, index: int) -> bool:
        """Return whether to omit hidden packets: Matroska has no edit list that could hide them again."""
        return self._container is Container.MATROSKA and self._streams[index].hides_much

    def _is_whole(self, index: int, packet: AnyPacket) -> bool:
        """Return whether the muxer accepts ``packet``: it refuses AAC without the header that all others have."""
        if index not in self._with_headers or not packet.size:
            return True
        is_first = index not in self._begun
        self._begun.add(index)
        if adts_header(bytes(packet)):
            return True
        if is_first:
            text = f"audio {index} begins within a packet, as in a part cut from a longer film: that packet is left out"
            self._damage.remark(NoteKind.ASSUMED, text)
        else:
            self._damage.met(f"audio {index} is damaged: packets without their header are left out")
        return False

    def _taken(self, index: int, packet: AnyPacket) -> list[AnyPacket]:
        try:
            return list(self._transfers[index].take(packet))
        except (av.FFmpegError, OSError) as error:
            self._damage.met(f"{self._streams[index].type} {index} cannot be decoded everywhere: {message_of(error)}")
            return []

    def _is_in_order(self, index: int, packet: AnyPacket) -> bool:
        """Return whether the muxer accepts ``packet``, and log it; it refuses any that go back in time."""
        stream, dts = self._streams[index], packet.dts
        last = self._latest.get(index)
        if dts is not None and last is not None:
            may_repeat = self._container is Container.MATROSKA or stream.type in ("subtitle", "data")
            if dts < last or (dts == last and not may_repeat):
                if packet.is_discard:
                    self._leave_out_hidden(index)
                    return False
                self._damage.met(f"{stream.type} {index} goes back in time, which no file may: packets are left out")
                return False
        if dts is not None:
            self._latest[index] = dts
        if packet.size:  # the last one of FLAC is empty: it only brings what the header still lacks
            self.sent.setdefault(index, PacketLog()).add(packet, codec=stream.codec)
        return True

    def _leave_out_hidden(self, index: int) -> None:
        """Note that packets hidden by the edit list, after the end, have no valid times and are left out."""
        if index not in self._trimmed:
            self._trimmed.add(index)
            name = f"{self._streams[index].type} {index}"
            self._damage.remark(
                NoteKind.CONVERTED, f"{name}: packets after its end, which no player shows, are left out"
            )

    def _add(self, plan: StreamPlan, source: av.container.InputContainer, result: av.container.OutputContainer) -> None:
        original = source.streams[plan.stream.index]
        if plan.stream.is_cover and self._container is Container.MATROSKA:
            self._attach_cover(plan.stream, result)
            return
        made, transfer = _transfer(original, plan, result)
        made.metadata.update(travelling_metadata(plan.stream.metadata))
        made.disposition = plan.stream.disposition  # type: ignore[assignment]  # a plain number in PyAV
        if plan.stream.type != "attachment":
            self._transfers[plan.stream.index] = transfer
            self._streams[plan.stream.index] = plan.stream
            if plan.stream.codec == "aac" and not original.codec_context.extradata:
                self._with_headers.add(plan.stream.index)

    def _attach_cover(self, stream: StreamInfo, result: av.container.OutputContainer) -> None:
        kind = "png" if stream.codec == "png" else "jpeg"
        name = stream.metadata.get("filename") or f"cover.{'png' if kind == 'png' else 'jpg'}"
        with open_film(self._info) as source:
            picture = next(p for p in source.demux(source.streams[stream.index]) if p.size)
            result.add_attachment(name, stream.metadata.get("mimetype") or f"image/{kind}", bytes(picture))


def travelling_metadata(metadata: Any) -> dict[str, str]:
    """Return the tags of a stream that remain true when it is written elsewhere."""
    kept = {key: value for key, value in metadata.items() if key.lower() not in _STALE}
    if "name" in kept and "title" not in kept:
        kept["title"] = kept.pop("name")
    return kept


def is_gap(packet: AnyPacket) -> bool:
    """Return whether ``packet`` is the gap between two MP4 subtitles, which muxers write and readers return."""
    return packet.size == len(_GAP) and packet.stream.type == "subtitle" and bytes(packet) == _GAP


def _due(packet: AnyPacket) -> Fraction:
    when = packet.dts if packet.dts is not None else packet.pts
    return Fraction(0) if when is None else when * packet.time_base


class _Copy:
    """Packets pass unchanged; sound of unknown duration gets that of the previous packet."""

    def __init__(self, made: av.stream.Stream) -> None:
        self._made = made
        self._latest: int | None = None

    def take(self, packet: AnyPacket) -> Iterable[AnyPacket]:
        if packet.size and not is_gap(packet):
            pts, before = packet.pts, self._latest
            if packet.stream.type == "audio" and not packet.duration and pts is not None and before is not None:
                # Without one, the last packet has no length in MP4, and players omit it.
                packet.duration = max(0, pts - before)
            self._latest = pts
            packet.stream = self._made
            yield packet


class _Text:
    """Subtitles are decoded to text with simple styles and encoded again; the packets' times are kept."""

    def __init__(self, original: SubtitleStream, made: SubtitleStream) -> None:
        self._original = original
        self._made = made

    def take(self, packet: AnyPacket) -> Iterable[AnyPacket]:
        text = self._original.codec_context.decode2(packet) if packet.size else None
        if text is not None:
            line = self._made.codec_context.encode_subtitle(text)
            line.pts, line.dts, line.duration = packet.pts, packet.pts, packet.duration
            line.time_base, line.stream = packet.time_base, self._made
            yield line


class _Sound:
    """Sound is decoded and encoded, without loss if the codec of the result is lossless.

    Frames follow each other without gaps, regardless of small steps in their packets' time stamps, as in Windows Media
    and old QuickTime; only after a real pause are the time stamps used again.
    """

    def __init__(self, original: AudioStream, made: AudioStream) -> None:
        self._original = original
        self._made = made
        self._following: int | None = None

    def take(self, packet: AnyPacket) -> Iterable[AnyPacket]:
        for frame in self._original.decode(packet if packet.size else None):
            unit = Fraction(1, frame.sample_rate)
            stated = None if frame.pts is None or not frame.time_base else round(frame.pts * frame.time_base / unit)
            following = self._following
            if following is None or (stated is not None and stated - following > _PAUSE / unit):
                following = stated or 0
            frame.pts, frame.time_base = following, unit
            self._following = following + frame.samples
            yield from self._made.encode(frame)
        if not packet.size:
            yield from self._made.encode(None)


def _transfer(
    original: av.stream.Stream, plan: StreamPlan, result: av.container.OutputContainer
) -> tuple[av.stream.Stream, _Transfer]:
    if plan.action is Action.CONVERT and isinstance(original, SubtitleStream):
        return _text_transfer(original, plan.codec, result)
    if plan.action is Action.CONVERT and isinstance(original, AudioStream):
        return _sound_transfer(original, plan, result)
    made = result.add_stream_from_template(original, opaque=True)
    return made, _Copy(made)


def _text_transfer(
    original: SubtitleStream, codec: str, result: av.container.OutputContainer
) -> tuple[SubtitleStream, _Transfer]:
    original.codec_context.open(strict=False)
    made = result.add_stream(codec)
    assert isinstance(made, SubtitleStream)
    made.time_base = _MILLISECONDS
    made.codec_context.time_base = _MILLISECONDS
    # The encoder does not open without the style sheet that the decoder generates.
    made.codec_context.subtitle_header = original.codec_context.subtitle_header
    return made, _Text(original, made)


def _sound_transfer(
    original: AudioStream, plan: StreamPlan, result: av.container.OutputContainer
) -> tuple[AudioStream, _Transfer]:
    made = result.add_stream(plan.codec, rate=_sampling_rate(original, plan.codec))
    assert isinstance(made, AudioStream)
    layout = plan.stream.layout
    if plan.stream.has_custom_layout:
        # PyAV frees the map of a custom layout twice, also in frames; a plain number of channels has no map.
        layout = layout.partition(" (")[0]
        original.codec_context.layout = layout
    made.codec_context.layout = layout
    made.codec_context.format = _sample_format(original, plan.codec)
    return made, _Sound(original, made)


def _sampling_rate(original: AudioStream, codec: str) -> int:
    """Return the rate of ``original`` if ``codec`` has it, else the next above, or the highest; FLAC has all.

    PyAV's encoder resamples sound of any other rate.
    """
    rate, known = original.codec_context.sample_rate, av.codec.Codec(codec, "w").audio_rates
    return min((at for at in known if at >= rate), default=max(known)) if known else rate


def _sample_format(original: AudioStream, codec: str) -> str:
    if codec == "flac":
        return "s16" if original.codec_context.format.bytes <= 2 else "s32"
    formats = av.codec.Codec(codec, "w").audio_formats
    assert formats
    return formats[0].name
