"""Where the time goes: ``python -m benchmarks.speed [FILM...]`` prints the tables of docs/performance.md.

Every stage is timed alone (decoding, the network, colour without the network, encoding), then a plain transcode by the
same encoder with the same settings, then the real run, all in one process and in alternation, so that other work on the
machine affects all of them. Without arguments, grainy black-and-white films of 480 and 1080 lines are made.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from benchmarks.memory import make
from engines.base import Setup
from engines.machine import cpu_name, usable_cores
from engines.network import Network, Prediction
from engines.networks import open_network
from pipeline.color.batching import examine
from pipeline.color.colorizer import Colorizer, network_threads
from pipeline.color.key_frame_predictions import PredictionSettings
from pipeline.color.model_input import ModelInput
from pipeline.color.shots import find_shots
from pipeline.color.temporal import predict_chroma
from pipeline.color.upsampling import upsample
from pipeline.film.colouring import Colouring
from pipeline.film.frames import FilmFrame, FilmSource, film_source
from pipeline.film.job import colorize_video
from pipeline.media.encoder import encode, new_encoder
from pipeline.media.frames import Frame
from pipeline.media.probe import probe
from pipeline.media.read_log import ReadLog
from pipeline.media.video_plan import plan_video
from pipeline.options import Codec, Options
from pipeline.process import prepare_process
from pipeline.results import Treatment
from pipeline.stages import ahead

_BATCH = 4
_DEPTH = 4
_MADE = {"480p": (854, 480), "1080p": (1920, 1080)}


@dataclass
class Timed:
    """Wall and CPU seconds of one part, round by round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def run(self, part: Callable[[], object]) -> None:
        """Time ``part`` once more."""
        before = time.perf_counter(), _cpu()
        part()
        self.wall.append(time.perf_counter() - before[0])
        self.cpu.append(_cpu() - before[1])


class Ways:
    """The stages and complete runs for one film, ``frames`` of it at most."""

    def __init__(self, film: Path, network: Network, colorizer: Colorizer, options: Options, *, frames: int) -> None:
        self._film, self._network, self._colorizer, self._options = film, network, colorizer, options
        info = probe(film)
        self._source: FilmSource = film_source(info, plan_video(info, options.codec, options.quality), options)
        self._frames = list(islice(self._decoded(), frames))
        self.count = len(self._frames)
        self._records = self._in_records()
        self._replies = self._ask()
        self.asked = 0
        self._chroma = self._smooth(every=None)

    def parts(self) -> dict[str, Callable[[], object]]:
        """Return every part by its name, complete runs last."""
        return {
            "decode": self._decode,
            "model inputs": self._in_records,
            "network": self._ask,
            "shots and smoothing, --every 1": partial(self._smooth, every=1),
            "shots and smoothing": partial(self._smooth, every=None),
            "chroma at full size": self._upsampled,
            "encode": lambda: self._encode(self._frames),
            "plain transcode": self._transcode,
            "coloured, --every 1": partial(self._colour, replace(self._options, every=1)),
            "coloured": partial(self._colour, self._options),
        }

    def _decoded(self) -> Iterator[Frame]:
        with closing(self._source.decode(ReadLog(luma=False))) as decoded:
            for frame in decoded:
                frame.keep()
                yield frame

    def _decode(self) -> None:
        for _ in islice(self._decoded(), self.count):
            pass

    def _in_records(self) -> list[FilmFrame]:
        return [self._source.record(number, frame, self._colorizer) for number, frame in enumerate(self._frames)]

    def _ask(self) -> list[Prediction]:
        pictures = [record.model_input for record in self._records]
        starts = range(0, self.count, _BATCH)
        return [one for n in starts for one in examine(pictures[n : n + _BATCH], self._network)]

    def _smooth(self, *, every: int | None) -> list[FilmFrame]:
        """Colour all frames from the stored predictions; ``asked`` counts the frames for which any were needed."""
        known = {id(record.model_input): one for record, one in zip(self._records, self._replies, strict=True)}
        self.asked = 0

        def ask(pictures: Sequence[ModelInput]) -> list[Prediction]:
            self.asked += len(pictures)
            return [known[id(picture)] for picture in pictures]

        coloured = _all_coloured(find_shots(replace(record) for record in self._records))
        settings = PredictionSettings(
            predict=ask, stride=self._network.spec.stride, every=every, saturation=self._options.saturation
        )
        return list(predict_chroma(coloured, settings))

    def _upsampled(self) -> None:
        for record in self._chroma:
            assert record.ab is not None
            upsampled = upsample(record.model_input, record.ab, self._source.color_spec)
            for area in record.frame.paint_areas:
                upsampled.planes(area.luma, self._source.color_spec, area.chroma_shape)

    def _encode(self, frames: Sequence[Frame] | Iterator[Frame]) -> None:
        colors = self._source.info.colors
        encoder = new_encoder(self._source.info, self._source.plan, colors)
        for frame in frames:
            encode(encoder, frame, colors)
        encoder.encode(None)

    def _transcode(self) -> None:
        with closing(ahead(islice(self._decoded(), self.count), depth=_DEPTH, name="decode")) as decoded:
            self._encode(decoded)

    def _colour(self, options: Options) -> None:
        film = replace(self._source, options=options)
        colouring = Colouring(film, self._colorizer)
        with (
            closing(colouring.parts(ReadLog(luma=False), at_least=None)) as parts,
            closing(colouring.frames(next(parts))) as ready,
        ):
            self._encode(record.frame for record in islice(ready, self.count))


def _all_coloured(frames: Iterator[FilmFrame]) -> Iterator[FilmFrame]:
    for record in frames:
        record.treatment = Treatment.COLOURED
        yield record


def table(name: str, frames: int, timed: dict[str, Timed]) -> str:
    """Return a Markdown table: frames per second, CPU ms per frame, and time and CPU relative to a plain transcode."""
    rows = [f"| {name} | frames/s | CPU ms a frame | times the transcode | times its CPU |", "|---|---|---|---|---|"]
    plain = timed["plain transcode"]
    for part, times in timed.items():
        wall, cpu = float(np.median(times.wall)), float(np.median(times.cpu))
        # Round by round: other work at that time affects both.
        ratio, cpu_ratio = (
            float(np.median(np.divide(one, other))) for one, other in ((times.wall, plain.wall), (times.cpu, plain.cpu))
        )
        numbers = f"{frames / wall:.1f} | {1000 * cpu / frames:.1f} | {ratio:.2f} | {cpu_ratio:.2f}"
        rows.append(f"| {part} | {numbers} |")
    return "\n".join(rows)


def main() -> None:
    """Print a table for every film."""
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", nargs="*", type=Path)
    parser.add_argument("--frames", type=int, default=120, help="of each film; all are kept in memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--codec", type=Codec, choices=list(Codec), default=Codec.AUTO)
    chosen = parser.parse_args()
    options = Options(engine=chosen.engine, model=chosen.model, codec=chosen.codec)
    network, choice = open_network(options.engine, options.model, setup=Setup(threads=network_threads()))
    colorizer = Colorizer(network, choice)
    print(f"{cpu_name()}, {usable_cores()} cores, {platform.system()}; {choice.reason}; OpenCV {cv2.__version__}")
    print(f"medians of {chosen.rounds} rounds\n")
    with tempfile.TemporaryDirectory() as folder:
        films = {path.name: path for path in chosen.films} or _made(Path(folder), chosen.frames)
        for name, film in films.items():
            ways = Ways(film, network, colorizer, options, frames=chosen.frames)
            timed = {part: Timed() for part in ways.parts()}
            for _ in range(chosen.rounds):
                for part, way in ways.parts().items():
                    timed[part].run(way)
            print(table(name, ways.count, timed), flush=True)
            print(f"\nBy default the network is asked for {ways.asked} of {ways.count} frames.", flush=True)
            whole = Timed()
            result = Path(folder) / "whole.mkv"
            whole.run(partial(colorize_video, film, result, options, colorizer=colorizer))
            result.unlink()
            print(f"\nThe whole film, with sound, verification and publishing: {whole.wall[0]:.1f} s\n", flush=True)


def _made(folder: Path, frames: int) -> dict[str, Path]:
    films = {}
    for name, (width, height) in _MADE.items():
        films[name] = folder / f"{name}.mp4"
        make(films[name], seconds=-(-frames // 24), width=width, height=height)
    return films


def _cpu() -> float:
    times = os.times()
    return times.user + times.system


if __name__ == "__main__":
    main()
