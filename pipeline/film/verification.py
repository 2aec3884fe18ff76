"""Verification of the finished film before it gets its final name."""

from __future__ import annotations

import logging
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pipeline.errors import InputError, VerificationError
from pipeline.film.ffmpeg_check import ffmpeg_check
from pipeline.film.luma_difference import measure_all, measure_samples
from pipeline.media.codecs import Container
from pipeline.media.containers import message_of
from pipeline.media.decode import frames
from pipeline.media.frame_flags import BOTTOM_FIRST, TOP_FIRST
from pipeline.media.frames import Frame
from pipeline.media.probe import (
    FULL_RANGE,
    UNSPECIFIED,
    FilmInfo,
    StreamInfo,
    open_film,
    probe,
)
from pipeline.media.read_log import PacketLog, ReadLog
from pipeline.media.remux import is_gap
from pipeline.media.source import demux, open_source
from pipeline.media.stream_plan import Action, StreamPlan
from pipeline.media.writer import Written
from pipeline.results import LumaCheck, Note, NoteKind, Proof, Verification
from pipeline.wording import count

logger = logging.getLogger(__name__)

_SAYS_NOTHING = (0, UNSPECIFIED)
_ADVICE = "The result was not kept. Run again; if it happens again, try another --codec and report it."
# Matroska readers round the ratio to numbers of at most 255.
_RATIO_TOLERANCE = Fraction(1, 500)
_MUXER_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "creation_time")
# MP4 marks the first track of each kind as default, whatever the source has.
_CARRIED_DISPOSITIONS = ~int(av.stream.Disposition.default)
# Containers store packets of these differently: start codes or lengths, with or without delimiters and headers.
_REWRITTEN = ("h264", "hevc", "vvc", "av1", "prores", "wavpack", "truehd", "webvtt")
# MP4 has one name for all layers of MPEG audio, Matroska one for plain text and SubRip.
_NAMED_ALIKE = (("mp2", "mp3"), ("text", "subrip"))
# Matroska keeps all segments of one Blu-ray subtitle picture in one packet; other containers use one for each.
_MERGED = ("hdmv_pgs_subtitle",)
# A twentieth of a second between sound and picture is not noticed (ITU-R BT.1359 allows 45 ms); rounding in
# containers is far smaller.
_STEP_SECONDS = 0.04
_CHAPTER_SECONDS = Fraction(1, 100)
_FIRST_FIELDS = {**dict.fromkeys(TOP_FIRST, "top"), **dict.fromkeys(BOTTOM_FIRST, "bottom")}


def verify(
    source: FilmInfo,
    written: Written,
    output: Path,
    *,
    read_log: ReadLog,
    final: Path | None = None,
    again: Callable[[], Iterable[Frame]] | None = None,
) -> tuple[Verification, tuple[Note, ...]]:
    """Check the finished file ``output`` against its source; also return notes on minor losses of its container.

    Always checked: number and exact time of all frames, duration, size, sample aspect ratio, rotation, colour tags,
    field order; every stream with its codec, its packets bit for bit and their times; chapters, tags, attachments. For
    a lossless encoder every luma sample (``read_log`` holds its fingerprint), otherwise the luma of a few frames.

    With ``again``, which reads the source's frames once more, in the format of the result, the luma error of every
    frame is measured, and the ffmpeg program, if installed, checks the result too. That takes about as long as
    decoding source and result twice. ``final`` is the name used in errors. Raises `VerificationError`.
    """
    started = time.monotonic()
    name = final or output
    try:
        found = probe(output)
        check = _Check(name, source, written, found)
        contents = _read_contents(found)
        check.picture()
        notes = [*check.times(contents, read_log), *check.streams(contents), *check.labels()]
        luma = _luma(check, contents, read_log, again)
        if again is None:
            check.not_checked["ffmpeg program"] = "asked only for a full verification"
        else:
            _ask_ffmpeg(check, contents, read_log)
    except InputError as error:
        raise VerificationError(f"{name}: the finished file cannot be read: {error}", advice=_ADVICE) from error
    seconds = round(time.monotonic() - started, 3)
    logger.info("%s: verified in %.1f s; luma: %s", name, seconds, luma)
    return Verification(checks=check.checks, not_checked=check.not_checked, luma=luma, seconds=seconds), tuple(notes)


@dataclass
class _Contents:
    """Contents of the finished file as demuxed: for the picture, all times and those of key frames, both sorted."""

    times: array[int]
    keys: array[int]
    end: int
    packets: dict[int, PacketLog]


class _Check:
    """Compares source and result, and records the outcome."""

    def __init__(self, name: Path, source: FilmInfo, written: Written, found: FilmInfo) -> None:
        self.checks: dict[str, str] = {}
        self.not_checked: dict[str, str] = {}
        self.shift = 0
        self.source = source
        self.written = written
        self.found = found
        self._name = name

    def picture(self) -> None:
        source, found, written = self.source, self.found, self.written
        self.equal("size", (source.width, source.height), (found.width, found.height))
        self.equal("pixel format", written.video.pixel_format.name, found.pixel_format.name.replace("yuvj", "yuv"))
        self.equal("rotation", source.rotation % 360, found.rotation % 360)
        if abs(found.sample_aspect_ratio / source.sample_aspect_ratio - 1) > _RATIO_TOLERANCE:
            self.equal("sample aspect ratio", source.sample_aspect_ratio, found.sample_aspect_ratio)
        tags = []
        for tag in ("matrix", "primaries", "transfer"):
            wanted = getattr(written.colors, tag)
            if wanted not in _SAYS_NOTHING:
                self.equal(f"colour tag {tag}", wanted, getattr(found.colors, tag))
                tags.append(f"{tag} {wanted}")
        # H.264 omits limited range if nothing else is tagged.
        is_full = written.colors.range == FULL_RANGE
        self.equal("full range", is_full, found.colors.range == FULL_RANGE)
        self.checks["picture"] = (
            f"{found.width} x {found.height}, {found.pixel_format.name}, pixels {source.sample_aspect_ratio}, "
            f"rotated {source.rotation % 360}, {self._fields()}"
        )
        self.checks["colour tags"] = ", ".join([*tags, "full range" if is_full else "limited range"])

    def _fields(self) -> str:
        written, found = self.written.video, self.found
        if not written.codes_fields:
            return "whole frames"
        self.equal("interlacing", True, found.is_interlaced)
        wanted, got = _FIRST_FIELDS.get(written.field_order), _FIRST_FIELDS.get(found.field_order)
        if wanted is not None and got is not None:
            self.equal("first field", wanted, got)
        return f"interlaced, {wanted or 'unstated'} field first"

    def times(self, contents: _Contents, read_log: ReadLog) -> Iterator[Note]:
        times, unit = contents.times, self.found.time_base
        self.equal("number of frames read and written", read_log.frames, self.written.frames)
        self.equal("number of frames", read_log.frames, len(times))
        expected = _rescaled(read_log.times, self.source.time_base, unit)
        self.shift = times[0] - expected[0] if times else 0
        if self.shift and not self._may_shift():
            self.equal("time of the first frame", expected[0], times[0])
        for number, (wanted, got) in enumerate(zip(expected, times, strict=True)):
            if wanted + self.shift != got:
                self.equal(f"time of frame {number}, in units of {unit} s,", wanted + self.shift, got)
        self.checks["frames"] = f"{len(times):,}, each at its time in units of {unit} s"
        yield from self._duration(contents, read_log)
        if self.shift:
            seconds = float(self.shift * unit)
            yield Note(NoteKind.CONVERTED, f"everything starts {seconds:.3f} s later: Matroska has no negative times")
        if any(t * self.source.time_base % unit for t in read_log.times):
            yield Note(NoteKind.CONVERTED, f"frame times are rounded to {unit} s, as Matroska does")

    def _duration(self, contents: _Contents, read_log: ReadLog) -> Iterator[Note]:
        """Check how long the last frame is shown; the times of all frames have been checked."""
        if not contents.times:
            return
        unit, wanted = self.found.time_base, read_log.last_duration * self.source.time_base
        shown = (contents.end - contents.times[-1]) * unit
        if wanted and abs(shown - wanted) > max(unit, self.source.time_base):
            text = f"the last frame is shown for {float(shown):.3f} s, in the source for {float(wanted):.3f} s"
            yield Note(NoteKind.CONVERTED, text)
        self.checks["duration"] = f"{float((contents.end - contents.times[0]) * unit):.3f} s"

    def _may_shift(self) -> bool:
        """Tell whether Matroska may move all streams by the same time, as it does if sound begins before zero."""
        is_matroska = self.written.video.container is Container.MATROSKA
        return is_matroska and 0 < self.shift * self.found.time_base < 1

    def streams(self, contents: _Contents) -> Iterator[Note]:
        found = defaultdict(list)
        for stream in self.found.streams:
            found[_kind(stream)].append(stream)
        for plan in self.written.streams:
            if plan.action not in (Action.COPY, Action.CONVERT):
                continue
            if not found[_kind(plan.stream)]:
                self.fail(f"{plan} is missing")
            result = found[_kind(plan.stream)].pop(0)
            yield from self._stream(plan, result, contents.packets.get(result.index, PacketLog()))
        self._attachments()

    def _stream(self, plan: StreamPlan, result: StreamInfo, packets: PacketLog) -> Iterator[Note]:
        before = plan.stream
        if before.type != "attachment":
            self.checks[str(plan)] = self._packets(plan, result, packets)
        for what, old, new in (("language", before.language, result.language), ("title", before.title, result.title)):
            if old != new and old:
                yield Note(NoteKind.DROPPED, f"{plan}: its {what} {old!r} became {new!r}")
        lost = before.disposition & ~result.disposition & _CARRIED_DISPOSITIONS
        if lost:
            yield Note(NoteKind.DROPPED, f"{plan}: no longer marked {av.stream.Disposition(lost).name}")

    def _packets(self, plan: StreamPlan, result: StreamInfo, packets: PacketLog) -> str:
        sent = self.written.packets.get(plan.stream.index)
        if plan.stream.is_cover and sent is None:
            sent = _cover(self.source, plan.stream)
        sent = sent or PacketLog()
        if plan.action is Action.COPY and not plan.stream.is_cover:
            is_named_alike = (plan.stream.codec, result.codec) in _NAMED_ALIKE
            self.equal(f"codec of {plan}", plan.stream.codec, plan.stream.codec if is_named_alike else result.codec)
        if result.codec in _MERGED:
            self._among(plan, sent, packets)
        elif not result.codec.startswith("pcm_"):  # every container cuts uncompressed sound into packets as it likes
            self.equal(f"number of packets of {plan}", sent.count, packets.count)
            self._in_step(plan, sent, packets)
        if sent.hexdigest() == packets.hexdigest():
            return f"{count(sent.count, 'packet')}, bit for bit, in step with the picture"
        if result.codec not in _REWRITTEN:
            self.fail(f"{plan}: its packets differ from those that were written")
        return f"{count(sent.count, 'packet')}, stated anew for {self.written.video.suffix}, in step with the picture"

    def _in_step(self, plan: StreamPlan, sent: PacketLog, packets: PacketLog) -> None:
        if plan.stream.is_cover:
            return
        late = packets.seconds() - sent.seconds() - float(self.shift * self.found.time_base)
        wrong = np.flatnonzero(np.abs(late) > _STEP_SECONDS)
        if len(wrong):
            when = sent.seconds()[wrong[0]]
            self.fail(f"{plan}: packet {wrong[0]}, due at {when:.3f} s, is {late[wrong[0]]:+.3f} s out of step")

    def _among(self, plan: StreamPlan, sent: PacketLog, packets: PacketLog) -> None:
        """Check the times of packets that merge several of the source: each must be that of one of these."""
        due = np.sort(sent.seconds()) + float(self.shift * self.found.time_base)
        got = packets.seconds()
        if len(due) and len(got):
            after = np.clip(np.searchsorted(due, got), 1, max(len(due) - 1, 1))
            away = np.minimum(np.abs(got - due[np.minimum(after, len(due) - 1)]), np.abs(got - due[after - 1]))
            if (away > _STEP_SECONDS).any():
                self.fail(f"{plan}: a packet is {away.max():.3f} s out of step")

    def _attachments(self) -> None:
        kept = [plan.stream.index for plan in self.written.streams if plan.stream.type == "attachment"]
        kept = [i for i in kept if self._action(i) is Action.COPY]
        if kept:
            wanted = _attached(self.source, kept)
            got = _attached(self.found, [s.index for s in self.found.streams if s.type == "attachment"])
            if wanted != got:
                self.fail("its attachments are not those of the source")
            self.checks["attachments"] = f"{len(wanted)}, bit for bit"

    def _action(self, index: int) -> Action:
        return next(plan.action for plan in self.written.streams if plan.stream.index == index)

    def labels(self) -> Iterator[Note]:
        source, found, written = self.source, self.found, self.written.video
        self.equal("number of chapters", len(source.chapters), len(found.chapters))
        for number, (old, new) in enumerate(zip(source.chapters, found.chapters, strict=True), 1):
            if abs(old.start - new.start) > _CHAPTER_SECONDS + abs(self.shift) * found.time_base:
                self.fail(f"chapter {number} starts at {float(new.start):.3f} s, must at {float(old.start):.3f} s")
            title = old.metadata.get("title", "")
            if title and new.metadata.get("title", "") != title:
                yield Note(NoteKind.DROPPED, f"chapter {number}: its title {title!r}")
        if source.chapters:
            self.checks["chapters"] = f"{len(source.chapters)}, with their times and titles"
        kept = {key.lower(): value for key, value in {**found.stream_metadata, **found.metadata}.items()}
        wanted = {key: value for key, value in source.metadata.items() if key.lower() not in _MUXER_TAGS}
        if lost := sorted(key for key in wanted if key.lower() not in kept):
            yield Note(NoteKind.DROPPED, f"tags that {self.written.video.suffix} does not hold: {', '.join(lost)}")
        for key, value in wanted.items():
            if kept.get(key.lower(), value) != value:
                yield Note(NoteKind.CONVERTED, f"the tag {key} {value!r} became {kept[key.lower()]!r}")
        if source.hdr and written.encoder.hdr is not None and found.hdr != source.hdr:
            yield Note(NoteKind.DROPPED, "HDR metadata: the finished file does not say what the source says")
        if wanted:
            self.checks["tags"] = f"{len(wanted) - len(lost)} of {len(wanted)}"
        if source.display_matrix != found.display_matrix and source.rotation == 0 and source.display_matrix:
            yield Note(NoteKind.DROPPED, "the mirroring of the picture on display")

    def luma(self, read_log: ReadLog) -> LumaCheck:
        if read_log.luma is None:
            raise ValueError("a lossless result needs a log of the source's luma")
        again = ReadLog(luma=True)
        for _ in frames(self.found, self.found.pixel_format, read_log=again):
            pass
        self.equal("number of decoded frames", read_log.frames, again.frames)
        if again.luma is None or again.luma.hexdigest() != read_log.luma.hexdigest():
            self.fail("its luma is not that of the source, bit for bit")
        return LumaCheck(proof=Proof.EXACT, frames=again.frames, bits=self.found.pixel_format.bits)

    def equal(self, what: str, wanted: object, got: object) -> None:
        if wanted != got:
            self.fail(f"{what} is {got}, must be {wanted}")

    def fail(self, what: str) -> None:
        raise VerificationError(f"{self._name}: {what}", advice=_ADVICE)


def _luma(
    check: _Check, contents: _Contents, read_log: ReadLog, again: Callable[[], Iterable[Frame]] | None
) -> LumaCheck:
    if check.written.video.encoder.is_lossless:
        return check.luma(read_log)
    if again is not None:
        try:
            return measure_all(again(), check.found)
        except ValueError:
            check.fail("it decodes to another number of frames than its source")
    planes = read_log.samples.planes
    times = _rescaled((read_log.times[n] for n in planes), check.source.time_base, check.found.time_base)
    places = {number: at + check.shift for number, at in zip(planes, times, strict=True)}
    return measure_samples(planes, places, contents.keys, check.found)


def _ask_ffmpeg(check: _Check, contents: _Contents, read_log: ReadLog) -> None:
    checked = ffmpeg_check(check.source, check.found, check.written, frames=read_log.frames)
    check.checks |= checked.checks
    check.not_checked |= checked.not_checked
    if checked.objection:
        check.fail(f"the ffmpeg program objects: {checked.objection}")
    if checked.times and list(checked.times) != [at * check.found.time_base for at in contents.times]:
        check.fail("the ffmpeg program sees other frame times")


def _kind(stream: StreamInfo) -> str:
    return "cover" if stream.is_cover else stream.type


def _read_contents(found: FilmInfo) -> _Contents:
    times, keys, packets = array("q"), array("q"), defaultdict[int, PacketLog](PacketLog)
    codecs = {stream.index: stream.codec for stream in found.streams}
    last, end = None, 0
    with open_source(found.path) as container:
        try:
            for packet in demux(container):
                if packet.size == 0 or is_gap(packet):
                    continue
                if packet.stream_index != found.stream_index:
                    packets[packet.stream_index].add(packet, codec=codecs.get(packet.stream_index, ""))
                elif packet.pts is not None:
                    times.append(packet.pts)
                    if packet.is_keyframe:
                        keys.append(packet.pts)
                    if last is None or packet.pts > last:
                        last, end = packet.pts, packet.pts + (packet.duration or 0)
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{found.path}: {message_of(error)}") from error
    return _Contents(array("q", sorted(times)), array("q", sorted(keys)), end, dict(packets))


def _cover(source: FilmInfo, stream: StreamInfo) -> PacketLog:
    read_log = PacketLog()
    with open_film(source) as container:
        packet = next(p for p in container.demux(container.streams[stream.index]) if p.size)
        read_log.add(packet, codec=stream.codec)
    return read_log


def _attached(film: FilmInfo, indices: Iterable[int]) -> list[tuple[str, str, bytes]]:
    with open_film(film) as container:
        streams = [stream for stream in container.streams.attachments if stream.index in set(indices)]
        return [(stream.name or "", stream.mimetype or "", stream.data or b"") for stream in streams]


def _rescaled(times: Iterable[int], old: Fraction, new: Fraction) -> array[int]:
    """Convert times from units of ``old`` to ``new``, rounded as FFmpeg does: half away from zero."""
    ratio = old / new
    top, bottom = 2 * ratio.numerator, 2 * ratio.denominator
    half = ratio.denominator
    return array("q", ((t * top + half) // bottom if t >= 0 else -((-t * top + half) // bottom) for t in times))
