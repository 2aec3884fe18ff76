"""The effect on a film of colours given for one frame: ``python -m benchmarks.statements CLIP...`` prints a table.

Clips are in colour. True colours are given at random positions of the middle frame, as hints, or for the whole of the
first or the middle frame, as a reference for its frame. The numbers are CIEDE2000 over every fifth frame of the clip,
at the size of chroma and with the film's own lightness, for the pipeline's output with key frames as by default.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.coherence import Clip, known, read
from pipeline.color.colorizer import open_colorizer
from pipeline.color.frame_record import FrameRecord, Link
from pipeline.color.hints import Adjustments, ColorHint
from pipeline.color.key_frame_predictions import PredictionSettings
from pipeline.color.model_input import ModelInput
from pipeline.color.spaces import F32, lightness
from pipeline.color.statements import Statement, hinted, statement
from pipeline.color.temporal import predict_chroma
from pipeline.options import Options
from pipeline.results import Treatment
from training.metrics import ciede2000

POINTS = (5, 10, 20)
_EVERY = 5


def coloured(clip: Clip, stated: Statement | None, number: int, *, stride: int) -> list[F32]:
    """Return the chroma ab (2, h, w) of every frame, with the statement ``stated`` for frame ``number``."""
    records = []
    for index, luma in enumerate(clip.luma):
        record = FrameRecord(index=index, model_input=ModelInput(luma))
        record.link, record.treatment = (Link.SAME if index else Link.CUT), Treatment.COLOURED
        record.statements = (stated,) if stated is not None and index == number else ()
        records.append(record)
    answers, statements = known(records, clip.predictions), () if stated is None else (stated,)
    settings = PredictionSettings(predict=answers, stride=stride, every=Options().every, statements=statements)
    made = predict_chroma(records, settings)
    return [record.ab for record in made if record.ab is not None]


def distance(clip: Clip, chroma: Sequence[F32]) -> float:
    """Return the mean CIEDE2000 between ``chroma`` and the clip's truth."""
    assert clip.truth is not None
    found = []
    for luma, ab, true in list(zip(clip.luma, chroma, clip.truth, strict=True))[::_EVERY]:
        small = np.asarray(cv2.resize(luma, ab.shape[:0:-1], interpolation=cv2.INTER_AREA), np.float32)
        both = (np.moveaxis(np.concatenate([lightness(small)[None], one]), 0, -1) for one in (ab, true))
        found.append(float(ciede2000(*both).mean()))
    return float(np.mean(found))


def points(clip: Clip, number: int, count: int, *, stride: int) -> Statement:
    """Return the statement of ``count`` hints for frame ``number``: its own colours at random positions."""
    assert clip.truth is not None
    true = clip.truth[number]
    rows, columns = true.shape[1:]
    places = np.random.default_rng(0).permutation(rows * columns)[:count]
    hints = tuple(
        ColorHint(
            x=(place % columns + 0.5) / columns,
            y=(place // columns + 0.5) / rows,
            ab=(float(true[0].flat[place]), float(true[1].flat[place])),
        )
        for place in map(int, places)
    )
    return hinted(ModelInput(clip.luma[number]), clip.predictions[number], Adjustments(hints=hints), stride=stride)


def whole(clip: Clip, number: int, *, stride: int) -> Statement:
    """Return the statement of a reference that is frame ``number`` in its own colours."""
    assert clip.truth is not None
    true = clip.truth[number]
    share = np.ones(true.shape[1:], np.float32)
    return statement(ModelInput(clip.luma[number]), clip.predictions[number], true, share, stride=stride)


def measured(clip: Clip, stride: int) -> list[float]:
    """Return the distances without statements, with hints, and with references."""
    middle = len(clip.luma) // 2
    stated: list[tuple[Statement | None, int]] = [(None, 0)]
    stated += [(points(clip, middle, count, stride=stride), middle) for count in POINTS]
    stated += [(whole(clip, number, stride=stride), number) for number in (0, middle)]
    return [distance(clip, coloured(clip, one, number, stride=stride)) for one, number in stated]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--model", default="fast")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    rows = []
    with open_colorizer(Options(engine=chosen.engine, model=chosen.model)) as colorizer:
        print(f"{colorizer.choice.reason}; weights {colorizer.weights}; {time.strftime('%d %B %Y')}\n")
        heads = ["nothing", *(f"{count} hints" for count in POINTS), "first frame", "middle frame"]
        print(f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}", sep="\n")
        for path in chosen.clips:
            rows.append(measured(read(path, colorizer, limit=None), colorizer.spec.stride))
            print(f"| {path.stem} | {' | '.join(f'{one:.2f}' for one in rows[-1])} |", flush=True)
    print(f"| mean | {' | '.join(f'{one:.2f}' for one in np.mean(rows, axis=0))} |")


if __name__ == "__main__":
    main()
