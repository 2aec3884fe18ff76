"""Pass one film through all of pipeline.media, with flat chroma instead of colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.film.verification import verify
from pipeline.media.decode import frames
from pipeline.media.frames import Frame, Plane
from pipeline.media.packet_scan import surveyed
from pipeline.media.probe import FilmInfo, probe
from pipeline.media.read_log import ReadLog
from pipeline.media.stream_plan import StreamPlan, plan_streams, stream_notes
from pipeline.media.video_plan import VideoPlan, plan_video
from pipeline.media.writer import FilmWriter, Written
from pipeline.options import Codec, OnDamage, Quality
from pipeline.results import Note, Verification

BT709 = (0.2126, 0.0722)


def survey(path: Path) -> FilmInfo:
    """Describe the film at ``path`` after reading all its packets."""
    with surveyed(path) as (info, _):
        return info


def neutral_chroma(frame: Frame) -> Plane:
    """Return a chroma plane without any colour for ``frame``."""
    return np.full(frame.chroma_shape, 1 << (frame.bits - 1), frame.luma.dtype)


@dataclass(frozen=True)
class Rewritten:
    output: Path
    source: FilmInfo
    video: VideoPlan
    streams: tuple[StreamPlan, ...]
    written: Written
    read_log: ReadLog
    notes: tuple[Note, ...]
    verification: Verification | None

    @property
    def info(self) -> FilmInfo:
        return probe(self.output)


def rewrite(
    path: Path,
    *,
    codec: Codec = Codec.AUTO,
    quality: Quality = Quality.ACCESS,
    tint: int = 0,
    check: bool = True,
    suffix: str | None = None,
    deinterlace: bool = False,
    rate: Fraction | None = None,
    full: bool = False,
    on_damage: OnDamage = OnDamage.FAIL,
) -> Rewritten:
    with surveyed(path, rate=rate) as (source, container):
        video = plan_video(source, codec, quality, suffix=suffix, deinterlace=deinterlace)
        streams = plan_streams(source, video, container)
    output = path.with_name(f"{path.stem}-{codec}-{quality}{video.suffix}")
    read_log = ReadLog(luma=video.encoder.is_lossless)

    def read(read_log: ReadLog) -> Iterator[Frame]:
        weights = {"luma_weights": BT709, "deinterlace": video.deinterlaces}
        return frames(source, video.pixel_format, read_log=read_log, on_damage=on_damage, **weights)

    with FilmWriter(source, video, streams, output, on_damage=on_damage) as writer:
        for frame in read(read_log):
            flat = neutral_chroma(frame)
            frame.paint(flat, (flat + np.array(tint, flat.dtype)))
            writer.write(frame)
        written = writer.finish()
    notes = (*source.notes, *video.notes, *stream_notes(streams), *read_log.notes, *written.notes)
    verification = None
    if check:
        again = partial(read, ReadLog(luma=False)) if full else None
        verification, found = verify(source, written, output, read_log=read_log, again=again)
        notes += found
    return Rewritten(output, source, video, streams, written, read_log, notes, verification)
