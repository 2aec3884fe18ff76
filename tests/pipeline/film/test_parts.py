"""A part of a film begins with what was seen before it."""

from __future__ import annotations

from collections.abc import Sequence

from engines.network import Prediction
from pipeline.color.frame_record import FrameRecord, Link
from pipeline.color.key_frame_predictions import PredictionSettings
from pipeline.color.model_input import ModelInput
from pipeline.film.parts import known_before
from tests.pipeline.color.scenes import STRIDE, flat, pan, told


def test_the_network_is_asked_once_about_each_frame_before_a_part() -> None:
    frames = []
    for number, luma in enumerate(pan(6, speed=STRIDE)):
        frames.append(FrameRecord(index=number, model_input=ModelInput(luma)))
        frames[-1].link = Link.SAME if number else Link.CUT
    for has_evidence, scenes in ((True, 1), (False, 0)):
        asked: list[ModelInput] = []

        def predict(pictures: Sequence[ModelInput]) -> list[Prediction]:
            asked.extend(pictures)  # noqa: B023 - called in this round
            answers = [told(picture.luma, (flat(-30, 30), 1.0)) for picture in pictures]
            return answers if has_evidence else [Prediction(answer.ab) for answer in answers]  # noqa: B023

        memory = known_before(frames, PredictionSettings(predict=predict, stride=STRIDE, every=None))
        assert len(memory.scenes) == scenes
        assert len(asked) == len({id(picture) for picture in asked}) >= 1
    assert known_before((), PredictionSettings(predict=lambda _: [], stride=STRIDE)).scenes == ()
