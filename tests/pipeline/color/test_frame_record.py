"""Every stage yields the records that it takes, one to one and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest

from engines.network import Prediction
from pipeline.color.frame_record import FrameRecord, Link
from pipeline.color.key_frame_predictions import Predict, PredictionSettings
from pipeline.color.model_input import ModelInput
from pipeline.color.shots import find_shots
from pipeline.color.temporal import predict_chroma, smoothed
from pipeline.color.tone import evidence
from pipeline.color.triage import judge_shots
from pipeline.options import Options
from pipeline.results import Treatment
from tests.pipeline.color.scenes import STRIDE, flat, passing, texture, told

Stage = Callable[[Iterable[FrameRecord], Predict], Iterator[FrameRecord]]
SCENE = passing(3, speed=STRIDE)
GREY = evidence(texture(1), None, None)


def judged(frames: Iterable[FrameRecord], _: Predict) -> Iterator[FrameRecord]:
    return judge_shots(frames, lambda frame: GREY, Options())


def every_other(frames: Iterable[FrameRecord], predict: Predict) -> Iterator[FrameRecord]:
    return smoothed(frames, PredictionSettings(predict=predict, stride=STRIDE, every=2))


def chroma(frames: Iterable[FrameRecord], predict: Predict) -> Iterator[FrameRecord]:
    return predict_chroma(frames, PredictionSettings(predict=predict, stride=STRIDE, every=None))


def together(frames: Iterable[FrameRecord], predict: Predict) -> Iterator[FrameRecord]:
    return chroma(judged(find_shots(frames), predict), predict)


STAGES: dict[str, Stage] = {
    "find_shots": lambda frames, _: find_shots(frames),
    "judge_shots": judged,
    "smoothed": every_other,
    "predict_chroma": chroma,
    "together": together,
}


def asked(pictures: Iterable[ModelInput]) -> list[Prediction]:
    return [told(picture.luma, (flat(-30, 30), 1.0)) for picture in pictures]


def asked_without_evidence(pictures: Iterable[ModelInput]) -> list[Prediction]:
    return [Prediction(flat(20, 10)[None]) for _ in pictures]


def film(length: int, seed: int) -> list[FrameRecord]:
    """Return frames with cuts, blends and treatments where chance has them."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(length):
        frame = FrameRecord(index=number, model_input=ModelInput(SCENE[number % len(SCENE)]), weight=1)
        begins = number == 0 or rng.random() < 0.07
        frame.link = Link.CUT if begins else Link.BLEND if rng.random() < 0.2 else Link.SAME
        frame.shot = sum(one.link is Link.CUT for one in frames) + begins - 1
        frame.treatment = Treatment.KEPT if frame.shot % 4 == 3 else Treatment.COLOURED
        frames.append(frame)
    return frames


@pytest.mark.few(1)
@pytest.mark.parametrize("predict", [asked, asked_without_evidence])
@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES.keys())
def test_a_stage_yields_the_records_that_it_takes_one_to_one_and_in_order(stage: Stage, predict: Predict) -> None:
    # Short of every look-ahead, at and around batches of 4, the 8 of a verdict and blocks of 8, and beyond all of them.
    for seed, length in enumerate((0, 1, 2, 4, 5, 8, 9, 13, 37, 90)):
        frames = film(length, seed)
        assert [id(frame) for frame in stage(iter(frames), predict)] == [id(frame) for frame in frames]
