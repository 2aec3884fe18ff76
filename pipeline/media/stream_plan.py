"""What happens to every stream beside the picture, decided before the first frame is decoded."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import av
import av.container
from av.audio.stream import AudioStream

from pipeline.media.probe import FilmInfo, StreamInfo, open_film
from pipeline.media.video_plan import Container, VideoPlan
from pipeline.results import Note, NoteKind


class Action(StrEnum):
    """COPY bit for bit; CONVERT to ``codec``; REBUILD: the muxer writes it anew from other facts; DROP."""

    COPY = "copy"
    CONVERT = "convert"
    REBUILD = "rebuild"
    DROP = "drop"


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """The fate of one stream. ``codec`` is what it will be; ``reason`` says why, for anything but a copy."""

    stream: StreamInfo
    action: Action
    codec: str
    reason: str = ""

    def __str__(self) -> str:
        """Return one line for people."""
        name = f"{self.stream.type} {self.stream.index} ({self.stream.codec or 'unknown'})"
        return f"{name}: {self.action}" + (f" to {self.codec}" if self.action is Action.CONVERT else "")


_TEXT_SUBTITLES = ("subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text")
_TEXT_TARGET = {Container.MP4: "mov_text", Container.MOV: "mov_text", Container.MATROSKA: "subrip"}
_SOUND_TARGET = {Container.MP4: "flac", Container.MOV: "pcm_s32le", Container.MATROSKA: "flac"}


def plan_streams(info: FilmInfo, video: VideoPlan) -> tuple[StreamPlan, ...]:
    """Decide for every stream of ``info`` but the picture; the container is asked, by writing a header to memory.

    Raises `InputError` if the source cannot be opened.
    """
    with open_film(info) as source:
        return tuple(_plan(info, video.container, stream, source.streams[stream.index]) for stream in info.streams)


def stream_notes(plans: Iterable[StreamPlan]) -> tuple[Note, ...]:
    """Return a note for every stream that is converted or dropped."""
    kinds = {Action.CONVERT: NoteKind.CONVERTED, Action.DROP: NoteKind.DROPPED}
    return tuple(Note(kinds[plan.action], f"{plan}: {plan.reason}") for plan in plans if plan.action in kinds)


def _plan(info: FilmInfo, container: Container, stream: StreamInfo, original: av.stream.Stream) -> StreamPlan:
    if info.chapters and _is_chapter_track(stream):
        return _because(stream, Action.REBUILD, "it holds the chapters, which are written as such")
    if stream.type == "data" and "timecode" in stream.metadata:
        return _because(stream, Action.REBUILD, "it holds the timecode, which is written as such")
    if stream.is_cover and container is Container.MATROSKA:
        return StreamPlan(stream=stream, action=Action.COPY, codec=stream.codec)
    if stream.is_cover and container is Container.MOV:
        return _because(stream, Action.DROP, "QuickTime files have no place for cover art")
    refusal = _lacks_layout(container, stream, original) or _refusal(container, original)
    if not refusal:
        return StreamPlan(stream=stream, action=Action.COPY, codec=stream.codec)
    if stream.codec in _TEXT_SUBTITLES:
        return _because(stream, Action.CONVERT, f"{container.suffix} holds no {stream.codec}", _TEXT_TARGET[container])
    if isinstance(original, AudioStream) and not original.sample_rate:
        return _because(stream, Action.DROP, "it tells no sampling rate: none of it can be played")
    if stream.type == "audio" and original.codec_context is not None:
        reason = f"{container.suffix} holds no {stream.codec}; nothing audible is lost"
        return _because(stream, Action.CONVERT, reason, _SOUND_TARGET[container])
    return _because(stream, Action.DROP, f"{container.suffix} cannot hold it")


def _is_chapter_track(stream: StreamInfo) -> bool:
    # QuickTime keeps chapters as a text track, which FFmpeg shows as data beside the chapters it read from it.
    handler = stream.metadata.get("handler_name", "").lower()
    return stream.type == "data" and stream.codec == "bin_data" and ("text" in handler or "subtitle" in handler)


def _because(stream: StreamInfo, action: Action, reason: str, codec: str = "") -> StreamPlan:
    return StreamPlan(stream=stream, action=action, codec=codec or stream.codec, reason=reason)


def _lacks_layout(container: Container, stream: StreamInfo, original: av.stream.Stream) -> str:
    # Found out only when the file is finished: MP4 writes down which channel of PCM is which, Matroska may not say it.
    is_told = not isinstance(original, AudioStream) or not original.layout.name.endswith("channels")
    return "" if is_told or container is not Container.MP4 or not stream.codec.startswith("pcm_") else "no layout"


def _refusal(container: Container, stream: av.stream.Stream) -> str:
    """Return why ``container`` refuses a copy of ``stream``; an empty text if it does not."""
    trial = av.open(io.BytesIO(), "w", format=container.muxer)
    try:
        trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
    except (ValueError, av.FFmpegError) as error:
        return str(error) or type(error).__name__
    finally:
        with contextlib.suppress(av.FFmpegError):
            trial.close()
    return ""
