"""What a film is: opened with care, described as data."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.container.core
import av.error
import av.logging

from pipeline.errors import InputError, UsageError
from pipeline.media.frame_flags import display_matrix, field_order, rotation
from pipeline.media.pixels import PixelFormat, pixel_format
from pipeline.media.sequence import Sequence, find_sequence

FORMAT_WHITELIST = "mov,matroska,avi,mpegts,mpeg,mxf,asf,flv,dv,ogg,gxf,rm,yuv4mpegpipe"
MAX_PIXELS = 16384 * 8192
UNSPECIFIED = 2
FULL_RANGE = 2
PROGRESSIVE = 1
CHROMA_LOCATIONS = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")
_ATTACHED = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
_log_level = threading.Lock()


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
    """A stream beside the picture. ``type`` is audio, subtitle, attachment, data, video or unknown."""

    index: int
    type: str
    codec: str
    tag: str
    language: str
    title: str
    disposition: int
    is_cover: bool
    metadata: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A chapter; ``start`` and ``end`` in seconds."""

    start: Fraction
    end: Fraction
    metadata: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class FilmInfo:
    """A film as found: nothing here is assumed, and what the file does not say is None or its "unspecified" code.

    ``duration`` is in seconds; ``rotation`` in degrees counter-clockwise, ``display_matrix`` its nine raw integers.
    ``field_order`` is FFmpeg's: 0 unknown, 1 progressive, 2 to 5 interlaced, by which field is coded and shown first.
    ``frame_count`` is exact in most files when it stands in the header, otherwise duration times rate.
    ``sequence`` is set when ``path`` is a folder of numbered pictures.
    """

    path: Path
    container: str
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


def open_source(path: Path) -> av.container.InputContainer:
    """Open ``path`` for reading: known film formats only, local files only. Raises `InputError`."""
    with _reporting(path):
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty", advice="Copy the file again from its source.")
        # The absolute path: FFmpeg would take a name such as "concat:a|b" for a protocol.
        return av.open(
            str(path.absolute()),
            "r",
            options={"format_whitelist": FORMAT_WHITELIST, "protocol_whitelist": "file"},
            metadata_errors="surrogateescape",
        )


def open_film(info: FilmInfo) -> av.container.InputContainer:
    """Open the film ``info`` again, be it a file or a folder of pictures. Raises `InputError`."""
    return open_source(info.path) if info.sequence is None else _open_sequence(info.sequence)


def probe(path: Path, *, rate: Fraction | None = None) -> FilmInfo:
    """Describe the film at ``path``; its first picture is decoded to learn what headers leave out.

    ``path`` is a file, or a folder of numbered pictures, for which ``rate`` sets the frames a second. Raises
    `InputError` if there is nothing in it that this program can colour, `UsageError` for the ``rate`` of a file.
    """
    sequence = find_sequence(path, rate) if path.is_dir() else None
    if rate is not None and sequence is None:
        raise UsageError(f"{path}: has a frame rate of its own", advice="--fps is for folders of numbered pictures.")
    with open_source(path) if sequence is None else _open_sequence(sequence) as container:
        stream = _picture_stream(path, container)
        description = _own_words(container, stream.index)
        try:
            picture = _first_picture(path, container, stream)
        except (av.FFmpegError, OSError) as error:
            raise InputError(
                f"{path}: its first picture cannot be decoded: {error}", advice="Play the film to see if it is damaged."
            ) from error
        info = _describe(path, container, stream, picture, description)
    return info if sequence is None else _of_sequence(info, sequence, picture)


def _open_sequence(sequence: Sequence) -> av.container.InputContainer:
    # Opening decodes the first picture. PyAV's stubs ask for a list of texts here.
    bounds: list[Any] = [{"max_pixels": str(MAX_PIXELS)}]
    with _reporting(sequence.folder):
        return av.open(
            sequence.pattern,
            "r",
            format="image2",
            options={
                "pattern_type": "sequence",
                "start_number": str(sequence.first),
                "framerate": str(sequence.rate),
                "protocol_whitelist": "file",
            },
            stream_options=bounds,
        )


def _of_sequence(info: FilmInfo, sequence: Sequence, picture: av.VideoFrame) -> FilmInfo:
    # Of all that DPX headers say, FFmpeg passes on the timecode.
    timecode = picture.metadata.get("timecode")
    return replace(
        info,
        duration=sequence.count / sequence.rate,
        frame_count=sequence.count,
        frame_count_from_header=True,
        stream_metadata={"timecode": timecode} if timecode else {},
        sequence=sequence,
    )


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise InputError(f"{path}: cannot be opened: {error.strerror}", advice="Check the path.") from error
    except (av.error.InvalidDataError, av.error.ArgumentError) as error:
        raise InputError(
            f"{path}: is not a film in a format this program opens, or is damaged beyond recognition",
            advice="Copy it again from its source, or wrap the film in Matroska, MOV, MP4, AVI, MXF or MPEG; "
            "playlists are not read.",
        ) from error
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path}: cannot be read: {error}", advice="Check the disk and the file.") from error


def bound_pixels(stream: av.VideoStream) -> None:
    """Make the decoder of ``stream`` refuse pictures beyond `MAX_PIXELS` before it allocates them."""
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}


def _picture_stream(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    candidates = [s for s in container.streams.video if not s.disposition & _ATTACHED]
    if not candidates:
        raise InputError(
            f"{path}: holds no moving picture",
            advice="Leave it out with --exclude: sound files and single pictures are not films.",
        )
    stream = next((s for s in candidates if s.disposition & av.stream.Disposition.default), candidates[0])
    if stream.codec_context is None:
        raise InputError(f"{path}: nothing here decodes its video codec", advice="Convert it to FFV1 or H.264 first.")
    if stream.width * stream.height > MAX_PIXELS:
        raise InputError(
            f"{path}: claims pictures of {stream.width} x {stream.height} pixels",
            advice=f"At most {MAX_PIXELS} pixels are accepted. If it has fewer, its header is damaged: copy it again.",
        )
    return stream


def _first_picture(path: Path, container: av.container.InputContainer, stream: av.VideoStream) -> av.VideoFrame:
    bound_pixels(stream)
    first_error: av.FFmpegError | None = None
    for packet in container.demux(stream):
        if packet.has_sidedata("encryption_info") or packet.has_sidedata("encryption_init_info"):
            raise InputError(
                f"{path}: is encrypted", advice="Colour a copy without protection, or leave it out with --exclude."
            )
        try:
            for picture in packet.decode():
                return picture
        except av.FFmpegError as error:
            # Whether damage at the start ends the film is for the reader of all frames to say.
            first_error = first_error or error
    if first_error is not None:
        raise first_error
    raise InputError(f"{path}: holds a video stream without a single picture", advice="Copy the file again.")


def _describe(
    path: Path,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    picture: av.VideoFrame,
    description: str,
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
    return FilmInfo(
        path=path,
        container=container.format.name,
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
        streams=tuple(_stream_info(s) for s in container.streams if s.index != stream.index),
        chapters=tuple(_chapter(c) for c in container.chapters()),
        metadata=dict(container.metadata),
        stream_metadata=dict(stream.metadata),
    )


def _frame_count(stream: av.VideoStream, duration: Fraction | None) -> tuple[int | None, bool]:
    if stream.frames > 0:
        return stream.frames, True
    if duration is not None and stream.average_rate:
        return round(duration * stream.average_rate), False
    return None, False


def _stream_info(stream: av.stream.Stream) -> StreamInfo:
    context = stream.codec_context
    return StreamInfo(
        index=stream.index,
        type=stream.type,
        codec=context.codec.canonical_name if context is not None else (getattr(stream, "name", None) or ""),
        tag=context.codec_tag if context is not None else "",
        language=_language(stream.metadata),
        title=_title(stream.metadata),
        disposition=int(stream.disposition),
        is_cover=stream.type == "video" and bool(stream.disposition & _ATTACHED),
        metadata=dict(stream.metadata),
    )


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
        # 0 says that there is no matrix, which is true of RGB and grey, but not of the YUV that is made of them.
        matrix=int(picture.colorspace) or UNSPECIFIED,
        primaries=int(picture.color_primaries),
        transfer=int(picture.color_trc),
        range=FULL_RANGE if pixels.is_full_range else int(picture.color_range),
        chroma_location=CHROMA_LOCATIONS.index(named.group(1)) if named else 0,
    )


def _own_words(container: av.container.InputContainer, index: int) -> str:
    """Return FFmpeg's own lines about stream ``index``: nothing else tells Python chroma location and cropping.

    Asked before the first picture is decoded: afterwards the cropping is no longer listed.
    """
    with _log_level:
        before = av.logging.get_level()
        av.logging.set_level(av.logging.VERBOSE)
        av.logging.set_libav_level(av.logging.VERBOSE)
        try:
            dump: str = container.dumps_format()  # type: ignore[attr-defined]  # missing in PyAV's stubs
        finally:
            av.logging.set_libav_level(av.logging.INFO)
            av.logging.set_level(before)
    parts = re.split(r"^  Stream #0:(\d+)", dump, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True)).get(str(index), "")
