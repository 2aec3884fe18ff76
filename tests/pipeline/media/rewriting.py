"""One film through all of pipeline.media, with flat chroma instead of colour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.media.decode import frames
from pipeline.media.encode import VideoPlan, plan_video
from pipeline.media.frames import neutral_chroma
from pipeline.media.probe import FilmInfo, probe
from pipeline.media.remux import Sink, Written
from pipeline.media.streams import StreamPlan, plan_streams, stream_notes
from pipeline.media.tally import Tally
from pipeline.media.verify import verify
from pipeline.options import Codec, Quality
from pipeline.results import Note


@dataclass(frozen=True)
class Rewritten:
    output: Path
    source: FilmInfo
    video: VideoPlan
    streams: tuple[StreamPlan, ...]
    written: Written
    tally: Tally
    notes: tuple[Note, ...]

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
) -> Rewritten:
    source = probe(path)
    video = plan_video(source, codec, quality)
    streams = plan_streams(source, video)
    output = path.with_name(f"{path.stem}-{codec}-{quality}{video.suffix}")
    tally = Tally(luma=video.encoder.is_lossless)
    with Sink(source, video, streams, output) as sink:
        for frame in frames(source, video.pixel_format, tally=tally):
            flat = neutral_chroma(frame)
            frame.paint(flat, (flat + np.array(tint, flat.dtype)))
            sink.write(frame)
        written = sink.finish()
    notes = (*video.notes, *stream_notes(streams))
    if check:
        notes += verify(source, written, output, tally=tally)
    return Rewritten(output, source, video, streams, written, tally, notes)
