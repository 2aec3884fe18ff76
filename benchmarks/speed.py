"""Where the time goes: ``python -m benchmarks.speed [FILM...]`` prints the tables of docs/performance.md.

Every part of the way is timed alone (decoding, the network, colour without the network, encoding), then a plain
transcode by the same encoder with the same settings, then the real run, all in one process and in turns, so that other
work on the machine falls on all of them. Without films, grainy black-and-white ones of 480 and 1080 lines are made.
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
from engines.network import Network
from engines.networks import open_network
from pipeline.color.batching import Coloured, answers
from pipeline.color.neutral import neutral_weight
from pipeline.color.painter import Painter, network_threads
from pipeline.color.shots import in_shots
from pipeline.color.sketch import Sketch
from pipeline.color.spaces import F32
from pipeline.color.temporal import steadied
from pipeline.color.upsampling import wash
from pipeline.media.encode import plan_video
from pipeline.media.encoding import encode, new_encoder
from pipeline.media.frames import Frame
from pipeline.media.probe import probe
from pipeline.media.tally import Tally
from pipeline.options import Codec, Options
from pipeline.painted import FilmSource, film_source
from pipeline.stages import ahead
from pipeline.video import colorize_video

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
    """The ways through one film, ``frames`` of it at most."""

    def __init__(self, film: Path, network: Network, painter: Painter, options: Options, *, frames: int) -> None:
        self._film, self._network, self._painter, self._options = film, network, painter, options
        info = probe(film)
        self._source: FilmSource = film_source(info, plan_video(info, options.codec, options.quality), options)
        self._frames = list(islice(self._decoded(), frames))
        self.count = len(self._frames)
        self._sketches = [self._sketch(frame) for frame in self._frames]
        self._replies = self._ask()
        self._steady = self._steadied()

    def parts(self) -> dict[str, Callable[[], object]]:
        """Return every part by its name, the whole ways last."""
        return {
            "decode": self._decode,
            "sketches": lambda: [self._sketch(frame) for frame in self._frames],
            "network": self._ask,
            "shots and smoothing": self._steadied,
            "chroma at full size": self._washed,
            "encode": lambda: self._encode(self._frames),
            "plain transcode": self._transcode,
            "coloured, --every 1": partial(self._colour, replace(self._options, every=1)),
            "coloured": partial(self._colour, self._options),
        }

    def _decoded(self) -> Iterator[Frame]:
        with closing(self._source.decoded(Tally(luma=False))) as decoded:
            for frame in decoded:
                frame.keep()
                yield frame

    def _decode(self) -> None:
        for _ in islice(self._decoded(), self.count):
            pass

    def _sketch(self, frame: Frame) -> Sketch[Frame]:
        return self._painter.sketch(frame, frame.luma, self._source.spec, size=self._painter.spec.size.film)

    def _ask(self) -> list[F32]:
        starts = range(0, self.count, _BATCH)
        return [reply for n in starts for reply in answers(self._sketches[n : n + _BATCH], self._network)]

    def _steadied(self) -> list[Coloured[Frame]]:
        replies = iter(self._replies)

        def ask(wanted: list[Sketch[Frame]]) -> list[F32]:
            return [next(replies) for _ in wanted]

        frames = steadied(in_shots(self._sketches), ask, stride=self._network.spec.stride, every=1)
        return [replace(f, ab=f.ab * neutral_weight(f.sketch.luma, f.ab.shape[1:])) for f in frames]

    def _washed(self) -> None:
        for frame, coloured in zip(self._frames, self._steady, strict=True):
            for part in frame.parts:
                wash(coloured, self._source.spec).planes(part.luma, self._source.spec, part.chroma_shape)

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
        painted = self._source.with_options(options).painted(self._painter, Tally(luma=False))
        with closing(painted) as ready:
            self._encode(painted.frame for painted in islice(ready, self.count))


def table(name: str, frames: int, timed: dict[str, Timed]) -> str:
    """Return a Markdown table: frames a second, CPU ms a frame, and times as long as a plain transcode, by medians."""
    rows = [f"| {name} | frames/s | CPU ms a frame | times the transcode |", "|---|---|---|---|"]
    plain = timed["plain transcode"]
    for part, times in timed.items():
        wall, cpu = float(np.median(times.wall)), float(np.median(times.cpu))
        # Round by round: what else ran on the machine then is in both.
        ratio = float(np.median(np.divide(times.wall, plain.wall)))
        rows.append(f"| {part} | {frames / wall:.1f} | {1000 * cpu / frames:.1f} | {ratio:.2f} |")
    return "\n".join(rows)


def main() -> None:
    """Print a table for every film."""
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
    painter = Painter(network, choice)
    print(f"{cpu_name()}, {usable_cores()} cores, {platform.system()}; {choice.reason}; OpenCV {cv2.__version__}")
    print(f"medians of {chosen.rounds} rounds\n")
    with tempfile.TemporaryDirectory() as folder:
        films = {path.name: path for path in chosen.films} or _made(Path(folder), chosen.frames)
        for name, film in films.items():
            ways = Ways(film, network, painter, options, frames=chosen.frames)
            timed = {part: Timed() for part in ways.parts()}
            for _ in range(chosen.rounds):
                for part, way in ways.parts().items():
                    timed[part].run(way)
            print(table(name, ways.count, timed), flush=True)
            whole = Timed()
            result = Path(folder) / "whole.mkv"
            whole.run(partial(colorize_video, film, result, options, painter=painter))
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
