"""Write a film: frames are encoded, all other streams are remuxed, in order of time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.container

from pipeline.errors import InputError
from pipeline.media.codecs import Container
from pipeline.media.containers import open_container
from pipeline.media.damage import Damage
from pipeline.media.encoder import configure, drain, encode, refusals
from pipeline.media.frames import Frame
from pipeline.media.matroska import PADDING, set_display_size
from pipeline.media.native_files import ResultFile
from pipeline.media.probe import ColorTags, FilmInfo
from pipeline.media.read_log import PacketLog
from pipeline.media.remux import Remuxer, travelling_metadata
from pipeline.media.stream_plan import Action, StreamPlan
from pipeline.media.video_plan import VideoPlan
from pipeline.options import OnDamage
from pipeline.results import Note

_WRITE_SIZE = 1 << 20
_FINEST_SCALE = 10_000_000
# Packets arrive in order of time, so the muxer need not wait for silent streams, such as subtitles, which have no
# packets for minutes: it would keep all others in memory meanwhile.
_INTERLEAVE_MICROSECONDS = 100_000
# Properties of the source file, which the muxer writes for the new one.
_OWN_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
# Keys that the two store in their own places. Any other needs the table of free keys, which some players do not read.
_KNOWN_KEYS = {"title", "artist", "album", "comment", "date", "genre", "copyright", "creation_time", "location"}
_CONTAINER_KEYS = {
    Container.MP4: _KNOWN_KEYS
    | {"composer", "album_artist", "description", "synopsis", "keywords", "show", "lyrics"}
    | {"grouping", "track", "disc", "episode_id", "network"},
    Container.MOV: _KNOWN_KEYS | {"make", "model"},
}


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a finished file must contain.

    ``packets`` logs the packets of each source stream that was copied or converted, by index; ``notes`` report damage
    in them.
    """

    video: VideoPlan
    streams: tuple[StreamPlan, ...]
    colors: ColorTags
    frames: int
    packets: Mapping[int, PacketLog]
    notes: tuple[Note, ...] = ()


class FilmWriter:
    """Writes one film to ``output``; use it in a ``with`` block, `write` every frame, then `finish`.

    Leaving the block without `finish` abandons the file: threads end, handles are closed, and the caller has to remove
    what was written. ``final`` is the name that errors mention. ``colors`` are the tags to write, if they differ from
    the source's; ``metadata`` is added to the film's; ``on_damage`` is for the streams beside the picture. Raises
    `OutputError` if the encoder or the disk fails.
    """

    def __init__(
        self,
        info: FilmInfo,
        video: VideoPlan,
        streams: Iterable[StreamPlan],
        output: Path,
        *,
        final: Path | None = None,
        colors: ColorTags | None = None,
        metadata: Mapping[str, str] | None = None,
        on_damage: OnDamage = OnDamage.FAIL,
    ) -> None:
        self._info = info
        self._plan = video
        self._streams = tuple(streams)
        self._output = output
        self._final = final or output
        self._colors = colors or info.colors
        self._metadata = dict(metadata or {})
        self._damage = Damage(info.path, on_damage)
        self._cleanup = contextlib.ExitStack()
        self._frames = 0
        self._is_encoding = False

    def __enter__(self) -> Self:
        try:
            with refusals(self._final, self._plan):
                # A separate handle: PyAV would leave its own open if the header cannot be written.
                self._file = self._cleanup.enter_context(contextlib.closing(ResultFile(self._output)))
            with self._writing():
                self._open()
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._abandon()

    def write(self, frame: Frame) -> None:
        """Encode a coloured frame and write all packets that are due. Raises `OutputError`, `InputError`."""
        if frame.timestamp.pts < 0:
            raise InputError(f"{self._info.path}: starts before time zero", advice="Remux it to Matroska first.")
        with self._writing():
            self._mux(encode(self._video.codec_context, frame, self._colors))
        self._is_encoding = True
        self._frames += 1

    def append(self, packets: Iterable[av.Packet[Any]], *, frames: int) -> None:
        """Write the packets of ``frames`` frames, encoded elsewhere by `pipeline.media.encoder.new_encoder`."""
        with self._writing():
            for packet in packets:
                packet.time_base = self._info.time_base
                self._mux([packet])
        self._frames += frames

    def finish(self) -> Written:
        """Write the encoder's remaining packets, close the file and return its contents.

        Raises `OutputError`, `InputError`.
        """
        with self._writing():
            if self._is_encoding:
                self._mux(drain(self._video.codec_context, frames=self._frames))
            for packet in self._remuxer.until(None):
                self._result.mux_one(packet)
            self._result.close()
            packets = dict(self._remuxer.sent)
            self._abandon()
            if self._shows_display_size():
                set_display_size(
                    self._output,
                    width=self._info.width,
                    height=self._info.height,
                    sample_aspect_ratio=self._info.sample_aspect_ratio,
                )
        return Written(
            video=self._plan,
            streams=self._streams,
            colors=self._colors,
            frames=self._frames,
            packets=packets,
            notes=self._damage.notes(),
        )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Convert the errors of disk and FFmpeg; those of the disk, and signals, come before what follows from them."""
        with refusals(self._final, self._plan):
            try:
                yield
            finally:
                self._file.check()

    def _open(self) -> None:
        self._result = open_container(
            self._file,
            "w",
            format=self._plan.container.muxer,
            container_options=_muxer_options(
                self._plan.container, self._finest_scale(), free_keys=self._uses_free_keys()
            ),
            buffer_size=_WRITE_SIZE,
        )
        self._cleanup.callback(_close_quietly, self._result)
        self._video = self._video_stream()
        self._remuxer = Remuxer(self._info, self._streams, self._result, self._plan.container, self._damage)
        self._cleanup.callback(self._remuxer.close)
        self._result.metadata.update(self._all_metadata())
        self._result.set_chapters(_chapters(self._info))
        self._result.start_encoding()

    def _video_stream(self) -> av.VideoStream:
        info, plan = self._info, self._plan
        stream = self._result.add_stream(plan.encoder.name, rate=info.average_rate or info.base_rate or 25)
        assert isinstance(stream, av.VideoStream)
        stream.time_base = info.time_base
        configure(stream.codec_context, info, plan, self._colors)
        if info.display_matrix is not None:
            stream.set_display_matrix(info.display_matrix)
        stream.metadata.update(_video_metadata(info))
        stream.disposition = info.disposition  # type: ignore[assignment]  # a plain number in PyAV
        if self._shows_display_size():
            stream.metadata["title"] = stream.metadata.get("title", "") + PADDING
        return stream

    def _shows_display_size(self) -> bool:
        return self._plan.container is Container.MATROSKA and self._info.sample_aspect_ratio != 1

    def _all_metadata(self) -> dict[str, str]:
        kept = {key: value for key, value in self._info.metadata.items() if key.lower() not in _OWN_TAGS}
        own = dict(self._metadata)
        if self._holds_cover():
            # FFmpeg's MP4 muxer writes either free keys or a cover; the new metadata must not get lost.
            free = [own.pop(key) for key in list(own) if key.lower() not in _CONTAINER_KEYS[Container.MP4]]
            if free:
                own["comment"] = "\n".join([*(value for key, value in kept.items() if key.lower() == "comment"), *free])
        return {**kept, **own}

    def _holds_cover(self) -> bool:
        is_kept = any(plan.stream.is_cover and plan.action is Action.COPY for plan in self._streams)
        return is_kept and self._plan.container is Container.MP4

    def _uses_free_keys(self) -> bool:
        """Return whether a tag has no place of its own in the container, which then needs the table of free keys."""
        known = _CONTAINER_KEYS.get(self._plan.container)
        return (
            known is not None
            and not self._holds_cover()
            and any(key.lower() not in known for key in self._all_metadata())
        )

    def _finest_scale(self) -> int:
        """Return the smallest number of units per second in which the times of picture and sound are integers."""
        scale = self._info.time_base.denominator
        for plan in self._streams:
            base = plan.stream.time_base
            if plan.action is Action.COPY and base and math.lcm(scale, base.denominator) <= _FINEST_SCALE:
                scale = math.lcm(scale, base.denominator)
        return scale

    def _mux(self, packets: Iterable[av.Packet[Any]]) -> None:
        for packet in packets:
            packet.stream = self._video
            if packet.dts is not None:
                for other in self._remuxer.until(packet.dts * packet.time_base):
                    self._result.mux_one(other)
            self._result.mux_one(packet)

    def _abandon(self) -> None:
        self._cleanup.close()
        # Encoders end their threads when nothing refers to them any longer.
        for name in ("_video", "_result", "_remuxer"):
            self.__dict__.pop(name, None)


def _video_metadata(info: FilmInfo) -> dict[str, str]:
    statistics = ("_STATISTICS", "BPS", "NUMBER_OF_")
    kept = travelling_metadata(info.stream_metadata)
    return {key: value for key, value in kept.items() if not key.startswith(statistics)}


def _muxer_options(container: Container, scale: int, *, free_keys: bool) -> dict[str, str]:
    # Bit-exact: no random data and no clock, so that a film coloured twice gives identical files.
    options = {"max_interleave_delta": str(_INTERLEAVE_MICROSECONDS), "fflags": "+bitexact"}
    if container is Container.MATROSKA:
        return options
    flags = "+faststart+use_metadata_tags" if free_keys else "+faststart"
    # Delays at the start are written in this unit, rounded down; the muxer's default is a millisecond.
    return {**options, "movflags": flags, "movie_timescale": str(scale)}


def _chapters(info: FilmInfo) -> list[Any]:
    unit = Fraction(1, 1_000_000_000)
    return [
        {
            "id": number,
            "start": round(chapter.start / unit),
            "end": round(chapter.end / unit),
            "time_base": unit,
            "metadata": dict(chapter.metadata),
        }
        for number, chapter in enumerate(info.chapters, 1)
    ]


def _close_quietly(result: av.container.OutputContainer) -> None:
    # After an error the trailer usually fails for the same reason; that error is already being raised.
    with contextlib.suppress(av.FFmpegError, OSError, ValueError):
        result.close()
