"""Memory against length: ``python -m benchmarks.memory 10 60`` colours synthetic films of 10 and 60 seconds.

Every film is made and coloured in a separate process, whose peak memory (the "high-water mark" of its resident set) is
printed. It must not grow with the length of the film.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from pipeline.color.colorizer import open_colorizer
from pipeline.film.job import colorize_video
from pipeline.options import Codec, Options
from pipeline.process import prepare_process

_RATE = 24
_GRAIN = 0.02
_PICTURES = 12


def make(path: Path, *, seconds: int, width: int, height: int) -> None:
    """Write a grey film with grain: a drifting pattern with a cut every five seconds."""
    rng = np.random.default_rng(0)
    grain = rng.normal(0.0, 255 * _GRAIN, (_PICTURES, height, width)).astype(np.float32)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    with av.open(str(path), "w") as film:
        video = film.add_stream("libx264", rate=_RATE, options={"preset": "ultrafast", "crf": "20"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for number in range(seconds * _RATE):
            scale = 40.0 + 15 * (number // (5 * _RATE) % 5)
            wave = 128 + 90 * np.sin((columns + 3 * number) / scale) * np.cos(rows / scale)
            frame = av.VideoFrame(width, height, "yuv420p")
            for index, codes in enumerate((np.clip(wave + grain[number % _PICTURES], 0, 255), 128, 128)):
                plane = frame.planes[index]
                whole = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
                whole[:, : plane.width] = codes
            film.mux(video.encode(frame))
        film.mux(video.encode(None))


def colour(path: Path, options: Options) -> dict[str, float]:
    """Colour ``path`` in this process; return frames, seconds and this process's peak memory in MB."""
    started = time.monotonic()
    with open_colorizer(options) as colorizer:
        result = colorize_video(path, None, options, colorizer=colorizer)
    return {"frames": result.frames, "seconds": time.monotonic() - started, "peak": peak_megabytes()}


def peak_megabytes() -> float:
    """Return this process's peak memory, in MB of 10^6 bytes.

    From /proc where available: getrusage includes the parent's memory at the time of the fork.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def main() -> None:
    """Measure the lengths given on the command line."""
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", nargs="*", type=int, default=[10, 60])
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--codec", default="auto", type=Codec)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--colour", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    if args.make:
        make(args.make, seconds=args.seconds[0], width=width, height=height)
    elif args.colour:
        _say(json.dumps(colour(args.colour, Options(engine=args.engine, codec=args.codec))))
    else:
        _compare(args.seconds, ["--size", args.size, "--engine", args.engine, "--codec", args.codec])


def _compare(lengths: list[int], options: list[str]) -> None:
    _say(f"{'length':>8} {'frames':>8} {'frames/s':>9} {'peak MB':>9}")
    for seconds in lengths:
        with tempfile.TemporaryDirectory() as folder:
            film = str(Path(folder) / "film.mp4")
            _ourselves(str(seconds), "--make", film, *options)
            found = json.loads(_ourselves("--colour", film, *options).splitlines()[-1])
        rate = found["frames"] / found["seconds"]
        _say(f"{seconds:>6} s {found['frames']:>8} {rate:>9.1f} {found['peak']:>9.0f}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _ourselves(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.memory", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
