"""The proof, on the finished file and before it gets its name, that it is what it must be."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av

from pipeline.errors import InputError, VerificationError
from pipeline.media.companions import is_gap
from pipeline.media.decode import frames
from pipeline.media.encode import Container
from pipeline.media.probe import FULL_RANGE, UNSPECIFIED, FilmInfo, StreamInfo, open_source, probe
from pipeline.media.remux import Written
from pipeline.media.streams import Action, StreamPlan
from pipeline.media.tally import Tally
from pipeline.results import Note, NoteKind

_SAYS_NOTHING = (0, UNSPECIFIED)
_ADVICE = "The result was not kept. Run again; if it happens again, try another --codec and report it."
# Matroska readers round the ratio to numbers of at most 255.
_RATIO_TOLERANCE = Fraction(1, 500)
_MUXER_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "creation_time")
# MP4 marks the first track of each kind as the default one, whatever the source said.
_CARRIED_DISPOSITIONS = ~int(av.stream.Disposition.default)


def verify(
    source: FilmInfo, written: Written, output: Path, *, tally: Tally, final: Path | None = None
) -> tuple[Note, ...]:
    """Check the finished file ``output`` against its source; return notes on small things its container lost.

    Checked: number and exact time of all frames, size, sample aspect ratio, rotation, colour tags, fields, streams with
    their packets, and for a lossless encoder every luma sample (``tally`` must hold its fingerprint). ``final`` is the
    name that errors mention. Raises `VerificationError`.
    """
    name = final or output
    try:
        found = probe(output)
        check = _Check(name, source, written, found)
        times, packets = _read_packets(found)
        check.picture()
        notes = [*check.times(times, tally), *check.streams(packets), *check.labels()]
        if written.video.encoder.is_lossless:
            check.luma(tally)
    except InputError as error:
        raise VerificationError(f"{name}: the finished file cannot be read: {error}", advice=_ADVICE) from error
    return tuple(notes)


class _Check:
    def __init__(self, name: Path, source: FilmInfo, written: Written, found: FilmInfo) -> None:
        self._name = name
        self._source = source
        self._written = written
        self._found = found

    def picture(self) -> None:
        source, found, written = self._source, self._found, self._written
        self._equal("size", (source.width, source.height), (found.width, found.height))
        self._equal("pixel format", written.video.pixel_format.name, found.pixel_format.name.replace("yuvj", "yuv"))
        self._equal("rotation", source.rotation % 360, found.rotation % 360)
        if abs(found.sample_aspect_ratio / source.sample_aspect_ratio - 1) > _RATIO_TOLERANCE:
            self._equal("sample aspect ratio", source.sample_aspect_ratio, found.sample_aspect_ratio)
        for tag in ("matrix", "primaries", "transfer"):
            wanted = getattr(written.colors, tag)
            if wanted not in _SAYS_NOTHING:
                self._equal(f"colour tag {tag}", wanted, getattr(found.colors, tag))
        # H.264 leaves limited range unsaid where nothing else is tagged.
        self._equal("full range", written.colors.range == FULL_RANGE, found.colors.range == FULL_RANGE)
        if written.video.codes_fields and not found.is_interlaced:
            self._equal("interlacing", source.is_interlaced, found.is_interlaced)

    def times(self, times: array[int], tally: Tally) -> Iterator[Note]:
        self._equal("number of frames read and written", tally.frames, self._written.frames)
        self._equal("number of frames", tally.frames, len(times))
        expected = _rescaled(tally.times, self._source.time_base, self._found.time_base)
        shift = times[0] - expected[0] if times else 0
        if shift and not self._may_shift(shift):
            self._equal("time of the first frame", expected[0], times[0])
        for number, (wanted, got) in enumerate(zip(expected, times, strict=True)):
            if wanted + shift != got:
                self._equal(f"time of frame {number}, in units of {self._found.time_base} s,", wanted + shift, got)
        if shift:
            seconds = float(shift * self._found.time_base)
            yield Note(NoteKind.CONVERTED, f"everything starts {seconds:.3f} s later: Matroska has no negative times")
        if any(t * self._source.time_base % self._found.time_base for t in tally.times):
            yield Note(NoteKind.CONVERTED, f"frame times are rounded to {self._found.time_base} s, as Matroska does")

    def _may_shift(self, shift: int) -> bool:
        """Sound that begins before zero makes the Matroska muxer move all streams by the same time."""
        return self._written.video.container is Container.MATROSKA and 0 < shift * self._found.time_base < 1

    def streams(self, packets: Counter[int]) -> Iterator[Note]:
        found = defaultdict(list)
        for stream in self._found.streams:
            found[_kind(stream)].append(stream)
        for plan in self._written.streams:
            if plan.action not in (Action.COPY, Action.CONVERT):
                continue
            if not found[_kind(plan.stream)]:
                self._fail(f"{plan} is missing")
            result = found[_kind(plan.stream)].pop(0)
            yield from self._stream(plan, result, packets[result.index])

    def _stream(self, plan: StreamPlan, result: StreamInfo, packets: int) -> Iterator[Note]:
        if plan.action is Action.COPY and not plan.stream.is_cover and plan.stream.type != "attachment":
            self._equal(f"codec of {plan}", plan.stream.codec, result.codec)
            self._equal(f"number of packets of {plan}", self._written.packets.get(plan.stream.index, 0), packets)
        for what, before, after in (
            ("language", plan.stream.language, result.language),
            ("title", plan.stream.title, result.title),
        ):
            if before != after and before:
                yield Note(NoteKind.DROPPED, f"{plan}: its {what} {before!r} became {after!r}")
        lost = plan.stream.disposition & ~result.disposition & _CARRIED_DISPOSITIONS
        if lost:
            yield Note(NoteKind.DROPPED, f"{plan}: no longer marked {av.stream.Disposition(lost).name}")

    def labels(self) -> Iterator[Note]:
        source, found = self._source, self._found
        self._equal("number of chapters", len(source.chapters), len(found.chapters))
        kept = {key.lower() for key in (*found.metadata, *found.stream_metadata)}
        lost = sorted(key for key in source.metadata if key.lower() not in kept and key.lower() not in _MUXER_TAGS)
        if lost:
            yield Note(NoteKind.DROPPED, f"tags that {self._written.video.suffix} does not hold: {', '.join(lost)}")
        if source.display_matrix != found.display_matrix and source.rotation == 0 and source.display_matrix:
            yield Note(NoteKind.DROPPED, "the mirroring of the picture on display")

    def luma(self, tally: Tally) -> None:
        if tally.luma is None:
            raise ValueError("a lossless result needs a tally of the source's luma")
        again = Tally(luma=True)
        for _ in frames(self._found, self._found.pixel_format, tally=again):
            pass
        self._equal("number of decoded frames", tally.frames, again.frames)
        if again.luma is None or again.luma.hexdigest() != tally.luma.hexdigest():
            self._fail("its luma is not that of the source, bit for bit")

    def _equal(self, what: str, wanted: object, got: object) -> None:
        if wanted != got:
            self._fail(f"{what} is {got}, must be {wanted}")

    def _fail(self, what: str) -> None:
        raise VerificationError(f"{self._name}: {what}", advice=_ADVICE)


def _kind(stream: StreamInfo) -> str:
    return "cover" if stream.is_cover else stream.type


def _read_packets(found: FilmInfo) -> tuple[array[int], Counter[int]]:
    """Return the sorted times of all pictures, and the number of packets of every stream."""
    times, packets = array("q"), Counter[int]()
    with open_source(found.path) as container:
        try:
            for packet in container.demux():
                if packet.size == 0 or is_gap(packet):
                    continue
                packets[packet.stream_index] += 1
                if packet.stream_index == found.stream_index and packet.pts is not None:
                    times.append(packet.pts)
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{found.path}: {error}") from error
    return array("q", sorted(times)), packets


def _rescaled(times: Iterable[int], old: Fraction, new: Fraction) -> array[int]:
    """Return times in units of ``new`` instead of ``old``, rounded as FFmpeg does: half away from zero."""
    ratio = old / new
    top, bottom = 2 * ratio.numerator, 2 * ratio.denominator
    half = ratio.denominator
    return array("q", ((t * top + half) // bottom if t >= 0 else -((-t * top + half) // bottom) for t in times))
