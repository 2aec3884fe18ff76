"""Open a film safely, and describe it as data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.container.core

from pipeline.errors import InputError, UsageError
from pipeline.media.containers import message_of
from pipeline.media.encryption import is_scrambled
from pipeline.media.first_picture import ATTACHED, encrypted, first_picture, naming_cause, picture_stream
from pipeline.media.frame_flags import display_matrix, field_order, known_side_data, rotation
from pipeline.media.hdr import Hdr, read_hdr
from pipeline.media.pixels import PixelFormat, pixel_format
from pipeline.media.sequence import Sequence, find_sequence
from pipeline.media.source import AnyPacket, bound_pixels, describe_streams, open_sequence, open_source, reporting
from pipeline.media.timeline import Timeline
from pipeline.originals import is_folder
from pipeline.results import Note, NoteKind

UNSPECIFIED = 2
FULL_RANGE = 2
PROGRESSIVE = 1
CHROMA_LOCATIONS = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")
# In packets of 1,024 samples; AAC needs one to three.
_ENCODER_DELAY = 3


@dataclass(frozen=True, kw_only=True)
class ColorTags:
    """Raw colour tags, as numbered by ITU-T H.273 and FFmpeg.

    2 is unspecified for ``matrix``, ``primaries`` and ``transfer``; ``range`` is 0 unspecified, 1 limited, 2 full;
    ``chroma_location`` is 0 unspecified, 1 left, 2 centre, 3 top left, 4 top, 5 bottom left, 6 bottom.
    """

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    range: int = 0
    chroma_location: int = 0


@dataclass(frozen=True, kw_only=True)
class StreamInfo:
    """A stream beside the picture. ``type`` is audio, subtitle, attachment, data, video or unknown.

    ``layout`` names the channels of sound as FFmpeg does; ``sample_rate`` is 0 if FFmpeg has not read enough to know it
    (then ``is_clear`` is False, as it is for moving pictures of unknown size). `pipeline.media.packet_scan` finds
    ``packets``, ``hidden_packets``, which an edit list hides, and ``is_encrypted``.
    """

    index: int
    type: str
    codec: str
    time_base: Fraction | None
    is_decodable: bool
    is_clear: bool
    sample_rate: int
    layout: str
    language: str
    title: str
    disposition: int
    is_cover: bool
    metadata: Mapping[str, str]
    packets: int | None = None
    hidden_packets: int = 0
    is_encrypted: bool = False

    @property
    def has_custom_layout(self) -> bool:
        """Whether the channels of sound are in a non-standard order."""
        return " channels (" in self.layout

    @property
    def hides_much(self) -> bool:
        """Whether an edit list hides more of the sound than the delay of an encoder."""
        return self.hidden_packets > _ENCODER_DELAY


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A chapter; ``start`` and ``end`` in seconds."""

    start: Fraction
    end: Fraction
    metadata: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class FilmInfo:
    """A film as found: nothing is assumed, and whatever the file does not state is None or its "unspecified" code.

    ``start``, the time of the first frame, and ``duration`` are in seconds; ``rotation`` is in degrees
    counter-clockwise, ``display_matrix`` its nine raw integers.
    ``field_order`` is FFmpeg's: 0 unknown, 1 progressive, 2 to 5 interlaced, by which field is coded and shown first.
    ``frame_count`` is exact in most files if the header has it, otherwise duration times rate.
    ``sequence`` is set if ``path`` is a folder of numbered pictures. ``hdr`` is the first picture's data on the display
    it was made for. The fields after it are set by `pipeline.media.packet_scan`, which sets ``is_scanned``, and so is
    ``average_rate`` if the header's is absurd; ``broken`` tells how the structure of the file breaks.
    """

    path: Path
    container: str
    start: Fraction
    duration: Fraction | None
    stream_index: int
    codec: str
    pixel_format: PixelFormat
    width: int
    height: int
    frame_count: int | None
    frame_count_from_header: bool
    average_rate: Fraction | None
    base_rate: Fraction | None
    time_base: Fraction
    sample_aspect_ratio: Fraction
    rotation: int
    display_matrix: tuple[int, ...] | None
    field_order: int
    is_interlaced: bool
    reorders_frames: bool
    has_crop: bool
    colors: ColorTags
    language: str
    title: str
    disposition: int
    streams: tuple[StreamInfo, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    stream_metadata: Mapping[str, str] = field(default_factory=dict)
    sequence: Sequence | None = None
    hdr: Hdr = field(default_factory=Hdr)
    probe_size: int = 0
    timeline: Timeline = field(default_factory=Timeline)
    has_captions: bool = False
    broken: str | None = None
    is_scanned: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def usual_rate(self) -> Fraction:
        """Average frames per second; 25 for a film that does not state it."""
        return self.average_rate or Fraction(25)


def open_film(info: FilmInfo) -> AbstractContextManager[av.container.InputContainer]:
    """Open the film ``info`` again, a file or a folder of pictures. Raises `InputError`."""
    if info.sequence is not None:
        return open_sequence(info.sequence)
    return open_source(info.path, probe_size=info.probe_size)


@contextmanager
def open_picture(info: FilmInfo) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open the film ``info`` again, with its video stream, which is limited in pixels. Raises `InputError`."""
    with open_film(info) as container:
        stream = container.streams[info.stream_index]
        assert isinstance(stream, av.VideoStream)
        bound_pixels(stream)
        yield container, stream


def probe(path: Path, *, rate: Fraction | None = None) -> FilmInfo:
    """Describe the film at ``path``; its first picture is decoded for data that headers omit.

    ``path`` is a file, or a folder of numbered pictures, for which ``rate`` sets the frames per second. Raises
    `InputError` if it contains nothing that this program can colour, `UsageError` for the ``rate`` of a file.
    """
    with opened(path, rate=rate) as film:
        return film.info


class Probes:
    """Cached descriptions of films, each made again only if its file has changed. Several threads may call it.

    ``rate`` is for folders of numbered pictures.
    """

    def __init__(self, rate: Fraction | None = None) -> None:
        self._rate = rate
        self._known: dict[Path, tuple[tuple[int, int, int], FilmInfo]] = {}

    def of(self, path: Path) -> FilmInfo:
        """Return `probe`'s description of the film at ``path``. Raises the errors of `probe`."""
        with reporting(path):
            state = path.stat()
        version = state.st_ino, state.st_size, state.st_mtime_ns
        if path not in self._known or self._known[path][0] != version:
            self._known[path] = version, probe(path, rate=self._rate)
        return self._known[path][1]


@dataclass(frozen=True)
class OpenFilm:
    """An open film; ``info`` is the result of `probe`.

    ``packets`` of all streams were read from ``container`` to obtain it; None if there were too many to keep.
    """

    info: FilmInfo
    container: av.container.InputContainer
    packets: list[AnyPacket] | None


@contextmanager
def opened(path: Path, *, rate: Fraction | None = None, probe_size: int = 0) -> Iterator[OpenFilm]:
    """Open the film at ``path`` and describe it; errors as for `probe`.

    FFmpeg first reads ``probe_size`` bytes of a file, see `open_source`.
    """
    sequence = find_sequence(path, rate) if is_folder(path) else None
    if rate is not None and sequence is None:
        raise UsageError(f"{path}: has a frame rate of its own", advice="--fps is for folders of numbered pictures.")
    if sequence is not None:
        with open_sequence(sequence) as container:
            info, picture, packets = _described(path, container)
            yield OpenFilm(_of_sequence(info, sequence, picture), container, packets)
        return
    with ExitStack() as stack:
        with naming_cause(path):
            container = stack.enter_context(open_source(path, probe_size=probe_size))
            if is_scrambled(container):
                raise encrypted(path)
            info, _, packets = _described(path, container)
        yield OpenFilm(replace(info, probe_size=probe_size), container, packets)


def _described(
    path: Path, container: av.container.InputContainer
) -> tuple[FilmInfo, av.VideoFrame, list[AnyPacket] | None]:
    stream = picture_stream(path, container)
    descriptions = describe_streams(container)
    try:
        picture, packets = first_picture(path, container, stream)
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: its first picture cannot be decoded: {message_of(error)}",
            advice="Play the film to see if it is damaged.",
        ) from error
    return _describe(path, container, stream, known_side_data(picture), descriptions), picture, packets


def _of_sequence(info: FilmInfo, sequence: Sequence, picture: av.VideoFrame) -> FilmInfo:
    # Of the data in DPX headers, FFmpeg passes on the timecode.
    timecode = picture.metadata.get("timecode")
    return replace(
        info,
        duration=sequence.count / sequence.rate,
        frame_count=sequence.count,
        frame_count_from_header=True,
        stream_metadata={"timecode": timecode} if timecode else {},
        sequence=sequence,
    )


def _describe(
    path: Path,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    picture: av.VideoFrame,
    descriptions: Mapping[int, str],
) -> FilmInfo:
    try:
        pixels = pixel_format(picture.format.name)
    except ValueError as error:
        raise InputError(
            f"{path}: pixel format {error}", advice="Convert it to a YUV or grey format first (FFV1 keeps every bit)."
        ) from error
    if stream.time_base is None:
        raise InputError(f"{path}: its video has no time base", advice="Remux it to Matroska or MP4.")
    duration = None if container.duration is None else Fraction(container.duration, 1_000_000)
    count, from_header = _frame_count(stream, duration)
    matrix = display_matrix(picture)
    description = descriptions.get(stream.index, "")
    # WebM stores alpha in separate blocks, and declares it in what FFmpeg shows as a tag.
    tags = {name: text for name, text in stream.metadata.items() if name.lower() != "alpha_mode"}
    has_alpha = len(tags) < len(stream.metadata)
    return FilmInfo(
        path=path,
        container=container.format.name,
        start=(stream.start_time or 0) * stream.time_base,
        duration=duration,
        stream_index=stream.index,
        codec=stream.codec_context.name,
        pixel_format=pixels,
        width=picture.width,
        height=picture.height,
        frame_count=count,
        frame_count_from_header=from_header,
        average_rate=stream.average_rate or None,
        base_rate=stream.base_rate or None,
        time_base=stream.time_base,
        sample_aspect_ratio=stream.sample_aspect_ratio or Fraction(1),
        rotation=rotation(matrix),
        display_matrix=matrix,
        field_order=field_order(stream, picture),
        is_interlaced=picture.interlaced_frame or stream.codec_context.field_order > PROGRESSIVE,
        reorders_frames=stream.codec_context.has_b_frames,
        has_crop="Frame Cropping:" in description,
        colors=_color_tags(picture, pixels, description),
        language=_language(stream.metadata),
        title=_title(stream.metadata),
        disposition=int(stream.disposition),
        streams=tuple(_stream_info(s, descriptions.get(s.index, "")) for s in container.streams if s is not stream),
        chapters=tuple(_chapter(c) for c in container.chapters()),
        metadata=dict(container.metadata),
        stream_metadata=_reel_name(container) | tags,
        hdr=read_hdr(picture),
        notes=(Note(NoteKind.DROPPED, "the alpha channel beside the picture is not written"),) * has_alpha,
    )


def _reel_name(container: av.container.InputContainer) -> dict[str, str]:
    """Return the ``reel_name``, which QuickTime stores with the timecode and writes from the picture's tags."""
    names = [stream.metadata["reel_name"] for stream in container.streams if "reel_name" in stream.metadata]
    return {"reel_name": names[0]} if names else {}


def _frame_count(stream: av.VideoStream, duration: Fraction | None) -> tuple[int | None, bool]:
    if stream.frames > 0:
        return stream.frames, True
    if duration is not None and stream.average_rate:
        return round(duration * stream.average_rate), False
    return None, False


def _stream_info(stream: av.stream.Stream, description: str) -> StreamInfo:
    context = stream.codec_context
    rate, layout = _sound(description) if stream.type == "audio" else (0, "")
    return StreamInfo(
        index=stream.index,
        type=stream.type,
        codec=context.codec.canonical_name if context is not None else _codec_name(stream, description),
        time_base=stream.time_base,
        is_decodable=context is not None,
        is_clear=_is_clear(stream, rate, layout),
        sample_rate=rate,
        layout=layout,
        language=_language(stream.metadata),
        title=_title(stream.metadata),
        disposition=int(stream.disposition),
        is_cover=stream.type == "video" and bool(stream.disposition & ATTACHED),
        metadata=dict(stream.metadata),
    )


def _is_clear(stream: av.stream.Stream, rate: int, layout: str) -> bool:
    context = stream.codec_context
    if isinstance(context, av.VideoCodecContext) and not stream.disposition & ATTACHED:
        return context.width > 0 and context.height > 0
    return stream.type != "audio" or context is None or (rate > 0 and layout != "0 channels")


def _codec_name(stream: av.stream.Stream, description: str) -> str:
    """Return the file name of an attachment, or FFmpeg's name of a codec that it does not decode."""
    if stream.type == "attachment":
        return getattr(stream, "name", None) or ""
    name = re.match(r"[^:]*: \w+: (\w+)", description)
    return "" if name is None or name[1] == "none" else name[1]


def _sound(description: str) -> tuple[int, str]:
    """Return sampling rate and channels from FFmpeg's own line; 0 and an empty string if it knows no rate."""
    found = re.search(r", (\d+) Hz, (\d+ channels(?: \([^)]*\))?|[^,\n]+)", description)
    return (int(found[1]), found[2]) if found else (0, "")


def _language(metadata: Mapping[str, str]) -> str:
    language = metadata.get("language", "")
    return "" if language == "und" else language


def _title(metadata: Mapping[str, str]) -> str:
    return metadata.get("title") or metadata.get("name") or ""


def _chapter(raw: av.container.core.Chapter) -> Chapter:
    unit = raw["time_base"] or Fraction(1)
    return Chapter(start=raw["start"] * unit, end=raw["end"] * unit, metadata=dict(raw["metadata"]))


def _color_tags(picture: av.VideoFrame, pixels: PixelFormat, description: str) -> ColorTags:
    named = re.search(r"Video: .*[(,] ?(left|center|topleft|top|bottomleft|bottom)\)", description)
    return ColorTags(
        # 0 means that there is no matrix, which is true of RGB and grey, but not of the YUV made from them.
        matrix=int(picture.colorspace) or UNSPECIFIED,
        primaries=int(picture.color_primaries),
        transfer=int(picture.color_trc),
        range=FULL_RANGE if pixels.is_full_range else int(picture.color_range),
        chroma_location=CHROMA_LOCATIONS.index(named.group(1)) if named else 0,
    )
