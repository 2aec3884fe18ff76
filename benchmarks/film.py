"""Stability of colour: ``python -m benchmarks.film CLIP...`` prints the tables of docs/temporal.md.

Clips are converted to grey (BT.601 luma), coloured frame by frame, and by the pipeline from the network's ab alone
(smoothed) and with its evidence (pooled), and compared. Clips without colour of their own are measured without a truth.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np

from engines.network import Network, Prediction
from engines.networks import open_network
from pipeline.color.batching import examine
from pipeline.color.frame_record import FrameRecord, Link
from pipeline.color.key_frame_predictions import PredictionSettings
from pipeline.color.model_input import ModelInput, model_input
from pipeline.color.shots import find_shots
from pipeline.color.spaces import F32, still_spec
from pipeline.color.temporal import smoothed
from pipeline.color.upsampling import upsample
from training.cielab_numpy import F64, U8, rgb_to_lab
from training.film_metrics import WarpError, cdc, histogram
from training.metrics import ciede2000, colourfulness

TRUTH, GREY, EACH = "truth", "grey", "per frame"
# Interval between frames given to the network (None: as the motion requires), and whether its evidence is used.
VERSIONS: dict[str, tuple[int | None, bool]] = {
    "smoothed": (None, False),
    "pooled": (None, True),
}

_SPEC = still_spec(8)
_BT601 = np.array([0.299, 0.587, 0.114])
# The error of every fifth frame and fifth pixel is enough for its mean, and saves most of the time.
_THINNED = 5
_COLOURLESS = 3.0


@dataclass(frozen=True)
class Score:
    """The measures of one version of a clip; ``asked`` is the share of frames the network saw, ``cpu`` ms per frame."""

    cdc: float
    warp_error: float
    ciede2000: float | None
    colourfulness: float
    asked: float | None
    cpu: float | None


@dataclass
class _Answers:
    """A clip's model inputs with the network's full predictions, and their cost."""

    frames: list[FrameRecord] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    cpu: float = 0.0


def measure(clip: Path, network: Network, *, limit: int | None = None) -> dict[str, Score]:
    """Return the scores of a clip's versions by name: truth, grey, per frame and those of `VERSIONS`."""
    known = _asked_for_all(clip, network, limit)
    count = len(known.frames)
    chroma: dict[str, list[F32]] = {EACH: [one.ab[0] for one in known.predictions]}
    asked: dict[str, float] = {EACH: 1.0}
    cpu: dict[str, float] = {EACH: 1e3 * known.cpu / count}
    for name, (every, has_evidence) in VERSIONS.items():
        lookup = _Lookup(known, has_evidence=has_evidence)
        start = time.process_time()
        chroma[name] = [
            _ab(frame)
            for frame in smoothed(
                iter(known.frames), PredictionSettings(predict=lookup, stride=network.spec.stride, every=every)
            )
        ]
        cpu[name] = 1e3 * (time.process_time() - start) / count
        asked[name] = lookup.count / count
    return _scores(clip, known.frames, chroma, asked, cpu, limit)


class _Lookup:
    """Looks up stored predictions and counts them."""

    def __init__(self, known: _Answers, *, has_evidence: bool) -> None:
        self._known = {
            id(frame.model_input): one if has_evidence else Prediction(one.ab)
            for frame, one in zip(known.frames, known.predictions, strict=True)
        }
        self.count = 0

    def __call__(self, pictures: Sequence[ModelInput]) -> list[Prediction]:
        self.count += len(pictures)
        return [self._known[id(picture)] for picture in pictures]


def _ab(frame: FrameRecord) -> F32:
    """Return the chroma of ``frame``, whose record is reused for the next version."""
    ab, frame.prediction = frame.ab, None
    assert ab is not None
    return ab


def _asked_for_all(clip: Path, network: Network, limit: int | None) -> _Answers:
    known = _Answers()
    frames = (
        FrameRecord(
            index=number,
            model_input=model_input(_luma(rgb), _SPEC, size=network.spec.size, short=network.spec.size.film),
        )
        for number, rgb in enumerate(_frames(clip, limit))
    )
    known.frames = list(find_shots(frames))
    for start in range(0, len(known.frames), 4):
        batch = [frame.model_input for frame in known.frames[start : start + 4]]
        before = time.process_time()
        known.predictions += examine(batch, network)
        known.cpu += time.process_time() - before
    return known


def _frames(clip: Path, limit: int | None) -> Iterator[U8]:
    with av.open(str(clip)) as film:
        for number, frame in enumerate(film.decode(video=0)):
            if number == limit:
                return
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _luma(rgb: U8) -> U8:
    return np.asarray(np.rint(rgb @ _BT601), np.uint8)


@dataclass
class _Measured:
    histograms: list[F64] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    colours: list[float] = field(default_factory=list)

    def add(self, picture: U8, truth: U8, *, error: bool) -> None:
        self.histograms.append(histogram(picture))
        self.colours.append(colourfulness(picture))
        if error:
            thin = np.s_[::_THINNED, ::_THINNED]
            self.errors.append(float(ciede2000(rgb_to_lab(picture[thin]), rgb_to_lab(truth[thin])).mean()))


def _scores(
    clip: Path,
    frames: Sequence[FrameRecord],
    chroma: dict[str, list[F32]],
    asked: dict[str, float],
    cpu: dict[str, float],
    limit: int | None,
) -> dict[str, Score]:
    measured = {name: _Measured() for name in (TRUTH, GREY, *chroma)}
    warp = WarpError()
    for number, (truth, frame) in enumerate(zip(_frames(clip, limit), frames, strict=True)):
        luma = _luma(truth)
        pictures = {TRUTH: truth, GREY: np.repeat(luma[..., None], 3, axis=2)}
        pictures |= {name: _rgb(frame.model_input, ab[number], luma) for name, ab in chroma.items()}
        if frame.link is Link.CUT:
            warp.cut()
        warp.add(luma, pictures)
        for name, picture in pictures.items():
            measured[name].add(picture, truth, error=number % _THINNED == 0)
    has_truth = float(np.mean(measured[TRUTH].colours)) > _COLOURLESS
    return {
        name: Score(
            cdc(one.histograms),
            warp.value(name),
            float(np.mean(one.errors)) if has_truth else None,
            float(np.mean(one.colours)),
            asked.get(name),
            cpu.get(name),
        )
        for name, one in measured.items()
        if has_truth or name != TRUTH
    }


def _rgb(small: ModelInput, ab: F32, luma: U8) -> U8:
    """Return the picture as R, G, B (H, W, 3), as the pipeline would write it."""
    strips = upsample(small, ab, _SPEC).strips(luma, _SPEC, luma.shape)
    return np.asarray(np.concatenate([_SPEC.rgb_codes(y, cb, cr) for _, y, cb, cr in strips]), np.uint8)


def mean(scores: Sequence[Score]) -> Score:
    """Return the mean of each number over clips; None where a clip has none."""

    def over(number: Callable[[Score], float | None]) -> float | None:
        values = [value for score in scores if (value := number(score)) is not None]
        return float(np.mean(values)) if len(values) == len(scores) else None

    return Score(
        float(np.mean([score.cdc for score in scores])),
        float(np.mean([score.warp_error for score in scores])),
        over(lambda score: score.ciede2000),
        float(np.mean([score.colourfulness for score in scores])),
        over(lambda score: score.asked),
        over(lambda score: score.cpu),
    )


def table(title: str, scores: dict[str, Score]) -> str:
    """Return the scores as a Markdown table."""
    lines = [
        f"| {title} | CDC | warp error | CIEDE2000 | CF | frames asked | CPU ms a frame |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, score in scores.items():
        error = "" if score.ciede2000 is None else f"{score.ciede2000:.2f}"
        asked = "" if score.asked is None else f"{score.asked:.0%}"
        cpu = "" if score.cpu is None else f"{score.cpu:.1f}"
        still = f"{score.cdc:.5f} | {score.warp_error:.2f}"
        lines.append(f"| {name} | {still} | {error} | {score.colourfulness:.1f} | {asked} | {cpu} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the clips on the command line and print a table for each, and their mean."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    arguments.add_argument("--engine", default="auto")
    arguments.add_argument("--model", default="fast")
    arguments.add_argument("--frames", type=int, help="only so many frames of each clip")
    arguments.add_argument("--json", type=Path, help="write all numbers here as well")
    options = arguments.parse_args()
    cv2.setNumThreads(1)
    network, choice = open_network(options.engine, options.model)
    try:
        print(f"{choice.reason}; weights {network.spec.model} {network.spec.weights_sha256[:12]}\n")
        measured: dict[str, dict[str, Score]] = {}
        for clip in options.clips:
            measured[clip.stem] = measure(clip, network, limit=options.frames)
            print(table(clip.stem, measured[clip.stem]), end="\n\n", flush=True)
    finally:
        network.close()
    names = [name for name in (TRUTH, GREY, EACH, *VERSIONS) if all(name in of for of in measured.values())]
    total = {name: mean([of[name] for of in measured.values()]) for name in names}
    print(table("mean of the clips", total))
    if options.json:
        options.json.write_text(
            json.dumps({clip: {name: asdict(score) for name, score in of.items()} for clip, of in measured.items()})
        )


if __name__ == "__main__":
    main()
