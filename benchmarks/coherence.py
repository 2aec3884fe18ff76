"""One object, one colour, over seconds: ``python -m benchmarks.coherence CLIP...`` prints a table for each clip.

Three measures of the small chroma that the pipeline upsamples, in CIELAB ab, for the network's predictions frame by
frame, for the pipeline's output from their ab alone (smoothed) and with their evidence (pooled), with key frames as by
default, and for the truth of clips that have one:

* *tracks*: the median difference between both ends of tracks 1, 2 and 4 seconds long. Tracks are found independently of
  the pipeline's own optical flow, by pyramidal Lucas-Kanade (Bouguet 2001) forward and backward.
* *return*: the clip cut in its middle and another put between, A1 B A2: the median difference, at matching positions,
  between the last frame of A1 and the first of A2; beside it that of the uncut clip.
* *within a thing*: the spread of chroma inside regions that have one colour in the truth, beside the truth's own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from engines.network import Prediction
from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.color.frame_record import FrameRecord
from pipeline.color.key_frame_predictions import Predict, PredictionSettings
from pipeline.color.model_input import ModelInput
from pipeline.color.shots import find_shots
from pipeline.color.spaces import F32, still_spec
from pipeline.color.temporal import smoothed
from pipeline.options import Options
from training.cielab_numpy import U8, rgb_to_lab

TRUTH, EACH, SMOOTHED, POOLED = "truth", "per frame", "smoothed", "pooled"
SECONDS = (1, 2, 4)

_SPEC = still_spec(8)
_BT601 = np.array([0.299, 0.587, 0.114])
_CORNERS, _QUALITY, _APART = 400, 0.01, 6
_MISS = 0.7  # pixels by which a track may miss its start when followed back, per frame
_EVERY = 6  # frames between the starts of tracks
_COLOURLESS = 3.0
_COLOURS, _LEAST_REGION = 12, 60  # colours of the truth's regions; their minimum size in chroma pixels

Chroma = list[F32]
Predictions = list[Prediction]
Colour = Callable[[list[F32], Predictions], Chroma]
Points = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """A clip at model input size: ``luma`` (h, w), 0..1, of every frame, and ``truth`` (2, rows, columns), or None.

    ``predictions`` are the network's for every frame.
    """

    rate: float
    luma: list[F32]
    predictions: Predictions
    truth: Chroma | None


def read(path: Path, colorizer: Colorizer, *, limit: int | None) -> Clip:
    """Return the clip at ``path`` with the network's prediction for every frame."""
    luma, predictions, truth, rate = list[F32](), Predictions(), Chroma(), 25.0
    with av.open(str(path)) as film:
        rate = float(film.streams.video[0].average_rate or rate)
        for number, picture in enumerate(film.decode(video=0)):
            if number == limit:
                break
            rgb: U8 = np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
            seen = colorizer.model_input(
                np.asarray(np.rint(rgb @ _BT601), np.uint8), _SPEC, size=colorizer.spec.size.film
            )
            predictions.append(colorizer.examine(seen))
            luma.append(seen.luma)
            rows, columns = predictions[-1].ab.shape[2:]
            small = np.asarray(cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
            truth.append(np.moveaxis(rgb_to_lab(small)[..., 1:], -1, 0).astype(np.float32))
    has_truth = float(np.mean([np.hypot(*ab).mean() for ab in truth])) > _COLOURLESS
    return Clip(rate, luma, predictions, truth if has_truth else None)


def each(luma: Sequence[F32], predictions: Predictions) -> Chroma:
    """Return the network's own ab of every frame."""
    del luma
    return [one.ab[0] for one in predictions]


def smooth(luma: Sequence[F32], predictions: Predictions, stride: int) -> Chroma:
    """Return the pipeline's chroma for a film of these model inputs, from the predictions' ab alone."""
    return pool(luma, [Prediction(one.ab) for one in predictions], stride)


def pool(luma: Sequence[F32], predictions: Predictions, stride: int) -> Chroma:
    """Return the pipeline's chroma for a film of these model inputs, from the predictions."""
    records = [FrameRecord(index=n, model_input=ModelInput(picture)) for n, picture in enumerate(luma)]
    settings = PredictionSettings(predict=known(records, predictions), stride=stride, every=None)
    coloured = smoothed(find_shots(records), settings)
    return [record.ab for record in coloured if record.ab is not None]


def known(records: Sequence[FrameRecord], predictions: Predictions) -> Predict:
    """Return a stand-in for a network whose ``predictions`` for ``records`` were already made."""
    answers = {id(record.model_input): one for record, one in zip(records, predictions, strict=True)}
    return lambda pictures: [answers[id(picture)] for picture in pictures]


def tracks(luma: Sequence[F32], length: int) -> Iterator[tuple[int, Points, Points]]:
    """Yield (first frame, positions (n, 2) in it, positions in the frame ``length`` later) of trackable points."""
    codes = [np.asarray(picture * 255, np.uint8) for picture in luma]
    for first in range(0, len(codes) - length, _EVERY):
        start = cv2.goodFeaturesToTrack(codes[first], _CORNERS, _QUALITY, _APART)
        if start is None:
            continue
        frames = codes[first : first + length + 1]
        end, is_found = _followed(frames, np.asarray(start, np.float32))
        back, is_found_back = _followed(frames[::-1], end)
        miss = np.linalg.norm((back - start).reshape(-1, 2), axis=1)
        kept = is_found & is_found_back & (miss < _MISS * np.sqrt(length))
        if kept.any():
            yield first, start.reshape(-1, 2)[kept], end.reshape(-1, 2)[kept]


def _followed(frames: Sequence[U8], points: Points) -> tuple[Points, npt.NDArray[np.bool_]]:
    is_found = np.ones(len(points), np.bool_)
    for before, after in pairwise(frames):
        moved, status, _ = cv2.calcOpticalFlowPyrLK(before, after, points, points.copy())
        points, is_found = np.asarray(moved, np.float32), is_found & (status.ravel() > 0)
    inside = (points >= 0).all(axis=(1, 2)) & (points[..., 0] < frames[0].shape[1]).ravel()
    return points, is_found & inside & (points[..., 1] < frames[0].shape[0]).ravel()


def long_range(clip: Clip, chroma: Chroma, seconds: float) -> float | None:
    """Return the median difference of ab between both ends of tracks of ``seconds``; None without any."""
    length = round(seconds * clip.rate)
    found = [
        _difference(chroma[first], start, chroma[first + length], end, clip.luma[first].shape)
        for first, start, end in tracks(clip.luma, length)
    ]
    return float(np.median(np.concatenate(found))) if found else None


def _difference(one: F32, start: Points, other: F32, end: Points, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    apart = _at(one, start, shape) - _at(other, end, shape)
    return np.asarray(np.hypot(apart[:, 0], apart[:, 1]), np.float64)


def _at(ab: F32, points: Points, shape: tuple[int, ...]) -> F32:
    scale = np.float32(ab.shape[2] / shape[1]), np.float32(ab.shape[1] / shape[0])
    places = (points + np.float32(0.5)) * np.array(scale, np.float32) - np.float32(0.5)
    planes = np.ascontiguousarray(np.moveaxis(ab, 0, -1))
    read = cv2.remap(planes, places[:, None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(read, np.float32).reshape(-1, 2)


def returned(clip: Clip, between: Clip, colour: Colour) -> float | None:
    """Return the median difference across ``between`` in the middle of ``clip``; None if nothing matches."""
    middle, other = len(clip.luma) // 2, len(between.luma)
    joined = colour(
        [*clip.luma[:middle], *between.luma, *clip.luma[middle:]],
        [*clip.predictions[:middle], *between.predictions, *clip.predictions[middle:]],
    )
    return _across(clip, joined[middle - 1], joined[middle + other])


def _across(clip: Clip, before: F32, after: F32) -> float | None:
    middle = len(clip.luma) // 2
    for _, start, end in tracks(clip.luma[middle - 1 : middle + 1], 1):
        return float(np.median(_difference(before, start, after, end, clip.luma[0].shape)))
    return None


def within(chroma: Chroma, truth: Chroma) -> float:
    """Return the mean spread of ab inside connected regions of one colour in the truth, over every sixth frame."""
    spreads, sizes = [], []
    for ab, true in list(zip(chroma, truth, strict=True))[::_EVERY]:
        samples = np.ascontiguousarray(true.reshape(2, -1).T)
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
        cv2.setRNGSeed(0)
        _, labels, _ = cv2.kmeans(samples, _COLOURS, None, criteria, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
        for colour in range(_COLOURS):
            mask = (labels.reshape(true.shape[1:]) == colour).astype(np.uint8)
            count, regions = cv2.connectedComponents(mask)
            for region in range(1, count):
                inside = ab[:, regions == region]
                if inside.shape[1] >= _LEAST_REGION:
                    spreads.append(float(np.hypot(*inside.std(axis=1))))
                    sizes.append(inside.shape[1])
    return float(np.average(spreads, weights=sizes))


def table(name: str, clip: Clip, between: Clip, stride: int) -> str:
    """Return the measures of a clip as a Markdown table."""
    head = " | ".join(f"tracks {seconds} s" for seconds in SECONDS)
    lines = [f"| {name} | {head} | return | uncut | within a thing |", "|---|" + "---|" * (len(SECONDS) + 3)]
    ways: dict[str, Colour] = {
        EACH: each,
        SMOOTHED: partial(smooth, stride=stride),
        POOLED: partial(pool, stride=stride),
    }
    versions = {} if clip.truth is None else {TRUTH: clip.truth}
    versions |= {version: colour(clip.luma, clip.predictions) for version, colour in ways.items()}
    middle = len(clip.luma) // 2
    for version, chroma in versions.items():
        numbers = [
            *(long_range(clip, chroma, seconds) for seconds in SECONDS),
            returned(clip, between, ways[version]) if version in ways else None,
            _across(clip, chroma[middle - 1], chroma[middle]),
            None if clip.truth is None else within(chroma, clip.truth),
        ]
        cells = " | ".join("" if number is None else f"{number:.2f}" for number in numbers)
        lines.append(f"| {version} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Print a table for every clip; each is cut by the next."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--frames", type=int, help="only so many frames of each clip")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    with open_colorizer(Options(engine=chosen.engine, model=chosen.model)) as colorizer:
        print(f"{colorizer.choice.reason}; weights {colorizer.weights}\n")
        clips = {path.stem: read(path, colorizer, limit=chosen.frames) for path in chosen.clips}
        names = list(clips)
        for number, name in enumerate(names):
            between = clips[names[(number + 1) % len(names)]]
            print(table(name, clips[name], between, colorizer.spec.stride), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
