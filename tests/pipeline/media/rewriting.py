"""One film through all of pipeline.media, with flat chroma instead of colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.media.decode import frames
from pipeline.media.encode import VideoPlan, plan_video
from pipeline.media.frames import Frame, neutral_chroma
from pipeline.media.probe import FilmInfo, probe
from pipeline.media.remux import Sink, Written
from pipeline.media.streams import StreamPlan, plan_streams, stream_notes
from pipeline.media.tally import Tally
from pipeline.media.verify import verify
from pipeline.options import Codec, OnDamage, Quality
from pipeline.results import Note, Verification

BT709 = (0.2126, 0.0722)


@dataclass(frozen=True)
class Rewritten:
    output: Path
    source: FilmInfo
    video: VideoPlan
    streams: tuple[StreamPlan, ...]
    written: Written
    tally: Tally
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
    source = probe(path, rate=rate)
    video = plan_video(source, codec, quality, suffix=suffix, deinterlace=deinterlace)
    streams = plan_streams(source, video)
    output = path.with_name(f"{path.stem}-{codec}-{quality}{video.suffix}")
    tally = Tally(luma=video.encoder.is_lossless)

    def read(tally: Tally) -> Iterator[Frame]:
        weights = {"luma_weights": BT709, "deinterlace": video.deinterlaces}
        return frames(source, video.pixel_format, tally=tally, on_damage=on_damage, **weights)

    with Sink(source, video, streams, output, on_damage=on_damage) as sink:
        for frame in read(tally):
            flat = neutral_chroma(frame)
            frame.paint(flat, (flat + np.array(tint, flat.dtype)))
            sink.write(frame)
        written = sink.finish()
    notes = (*video.notes, *stream_notes(streams), *tally.notes, *written.notes)
    verification = None
    if check:
        again = partial(read, Tally(luma=False)) if full else None
        verification, found = verify(source, written, output, tally=tally, again=again)
        notes += found
    return Rewritten(output, source, video, streams, written, tally, notes, verification)
