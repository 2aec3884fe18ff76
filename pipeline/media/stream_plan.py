"""Decide what happens to every stream beside the picture, before the first frame is decoded."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import av
import av.container

from pipeline.media.codecs import Container
from pipeline.media.containers import open_container
from pipeline.media.probe import FilmInfo, StreamInfo
from pipeline.media.video_plan import VideoPlan
from pipeline.results import Note, NoteKind


class Action(StrEnum):
    """COPY bit for bit; CONVERT to ``codec``; REBUILD: the muxer rewrites it from other data; DROP."""

    COPY = "copy"
    CONVERT = "convert"
    REBUILD = "rebuild"
    DROP = "drop"


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """The plan for one stream. ``codec`` is that of the result; ``reason`` explains anything but a copy.

    ``remark`` tells how a copy is limited, or what it loses.
    """

    stream: StreamInfo
    action: Action
    codec: str
    reason: str = ""
    remark: Note | None = None

    def __str__(self) -> str:
        """Return one readable line."""
        name = f"{self.stream.type} {self.stream.index} ({self.stream.codec or 'unknown'})"
        return f"{name}: {self.action}" + (f" to {self.codec}" if self.action is Action.CONVERT else "")


_TEXT_SUBTITLES = ("subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text")
_TEXT_TARGET = {Container.MP4: "mov_text", Container.MOV: "mov_text", Container.MATROSKA: "subrip"}
_FLAC_CHANNELS = 8
_SOUND_TARGET = {Container.MP4: "flac", Container.MOV: "pcm_s32le", Container.MATROSKA: "flac"}


def plan_streams(info: FilmInfo, video: VideoPlan, source: av.container.InputContainer) -> tuple[StreamPlan, ...]:
    """Plan every stream of ``source``, which ``info`` describes, except the picture.

    Whether the container accepts a stream is tested by writing a header to memory.
    """
    return tuple(_plan(info, video.container, stream, source.streams[stream.index]) for stream in info.streams)


def stream_notes(plans: Iterable[StreamPlan]) -> tuple[Note, ...]:
    """Return a note for every stream that is converted or dropped, and for moving pictures that stay unchanged."""
    return tuple(note for plan in plans for note in _notes(plan))


def _notes(plan: StreamPlan) -> Iterator[Note]:
    kinds = {Action.CONVERT: NoteKind.CONVERTED, Action.DROP: NoteKind.DROPPED}
    if plan.action in kinds:
        yield Note(kinds[plan.action], f"{plan}: {plan.reason}")
    if plan.remark is not None:
        yield Note(plan.remark.kind, f"{plan}: {plan.remark.text}")


def _plan(info: FilmInfo, container: Container, stream: StreamInfo, original: av.stream.Stream) -> StreamPlan:
    if info.chapters and _is_chapter_track(stream):
        return _because(stream, Action.REBUILD, "it holds the chapters, which are written as such")
    if stream.type == "data" and "timecode" in stream.metadata:
        return _because(stream, Action.REBUILD, "it holds the timecode, which is written as such")
    if info.container == "flv" and stream.type == "subtitle":
        return _because(stream, Action.DROP, "it holds data for scripts of Flash, not text")
    if stream.is_encrypted:
        return _because(stream, Action.DROP, "it is encrypted")
    if stream.packets == 0 and not stream.is_cover and container is not Container.MATROSKA:
        return _because(stream, Action.DROP, f"it holds no packets, and {container.suffix} no such stream")
    if stream.is_cover and container is Container.MATROSKA:
        return StreamPlan(stream=stream, action=Action.COPY, codec=stream.codec)
    if stream.is_cover and container is Container.MOV:
        return _because(stream, Action.DROP, "QuickTime files have no place for cover art")
    if not stream.is_decodable and stream.type not in ("attachment", "data"):
        return _because(stream, Action.DROP, "its codec is not known here, and it cannot be copied without it")
    if not stream.is_clear:
        unknown = "size" if stream.type == "video" else "sampling rate or its channels"
        reason = f"nothing says its {unknown}, so that it cannot be played"
        return _because(stream, Action.DROP, "it holds no packets" if stream.packets == 0 else reason)
    refusal = _lacks_layout(container, stream) or _refusal(container, original)
    if not refusal:
        return StreamPlan(stream=stream, action=Action.COPY, codec=stream.codec, remark=_remark(container, stream))
    if stream.codec in _TEXT_SUBTITLES:
        return _because(stream, Action.CONVERT, f"{container.suffix} holds no {stream.codec}", _TEXT_TARGET[container])
    if stream.type == "audio":
        return _converted_sound(container, stream)
    return _because(stream, Action.DROP, f"{container.suffix} cannot hold it")


def _remark(container: Container, stream: StreamInfo) -> Note | None:
    """Return how a copy of ``stream`` is limited, or what it loses."""
    if stream.type == "video" and not stream.is_cover:
        return Note(
            NoteKind.ASSUMED, "without new colour: of several video streams, the one with the most frames is coloured"
        )
    if container is Container.MATROSKA and stream.hides_much:
        text = f"the {stream.hidden_packets} packets that an edit list hides are left out"
        return Note(NoteKind.CONVERTED, text)
    is_usual = stream.layout in ("mono", "stereo") or stream.layout.endswith(" channels")
    if container is Container.MATROSKA and stream.codec.startswith("pcm_") and not is_usual:
        return Note(NoteKind.DROPPED, f"which of its channels is which ({stream.layout})")
    return None


def _converted_sound(container: Container, stream: StreamInfo) -> StreamPlan:
    reason = f"{container.suffix} holds no {stream.codec}; nothing audible is lost"
    if _fits_flac(stream) or container is Container.MOV:
        return _because(stream, Action.CONVERT, reason, _SOUND_TARGET[container])
    if container is Container.MP4 and _fits_flac(stream, floating=True):
        return _because(stream, Action.CONVERT, f"{reason}, samples are rounded to 24 bits", _SOUND_TARGET[container])
    if container is Container.MP4 or not stream.codec.startswith("pcm_"):
        return _because(stream, Action.DROP, f"{container.suffix} holds no {stream.codec} with {stream.layout}")
    depth = re.search(r"[sf](16|24|32|64)", stream.codec)
    lost = f", but not which channel is which ({stream.layout})" if stream.has_custom_layout else ""
    return _because(stream, Action.CONVERT, reason + lost, f"pcm_{depth[0]}le" if depth else "pcm_s32le")


def _fits_flac(stream: StreamInfo, *, floating: bool = False) -> bool:
    # A layout made from its name is safe; that of a stream is not if it is custom.
    is_whole = floating or not stream.codec.startswith("pcm_f")
    return is_whole and not stream.has_custom_layout and av.AudioLayout(stream.layout).nb_channels <= _FLAC_CHANNELS


def _is_chapter_track(stream: StreamInfo) -> bool:
    # QuickTime stores chapters as a text track, which FFmpeg returns as data beside the chapters read from it.
    handler = stream.metadata.get("handler_name", "").lower()
    return stream.type == "data" and stream.codec == "bin_data" and ("text" in handler or "subtitle" in handler)


def _because(stream: StreamInfo, action: Action, reason: str, codec: str = "") -> StreamPlan:
    return StreamPlan(stream=stream, action=action, codec=codec or stream.codec, reason=reason)


def _lacks_layout(container: Container, stream: StreamInfo) -> str:
    # Otherwise found only on finishing the file: MP4 records which channel of PCM is which, Matroska need not.
    has_layout = not stream.layout.endswith("channels") or container is not Container.MP4 or stream.codec[:4] != "pcm_"
    return "" if has_layout else "no layout"


def _refusal(container: Container, stream: av.stream.Stream) -> str:
    """Return why ``container`` refuses a copy of ``stream``; an empty string if it does not."""
    trial = open_container(io.BytesIO(), "w", format=container.muxer)
    try:
        trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
    except (ValueError, av.FFmpegError) as error:
        return str(error) or type(error).__name__
    finally:
        with contextlib.suppress(av.FFmpegError):
            trial.close()
    return ""
