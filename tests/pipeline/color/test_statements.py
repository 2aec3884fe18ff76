"""A statement is exact in its frame, is carried along the motion, and counts for what looks like it alone."""

from __future__ import annotations

import numpy as np
import pytest

from engines.network import Prediction
from pipeline.color.frame_record import FrameRecord, Link
from pipeline.color.hints import Adjustments, ColorHint, Features
from pipeline.color.key_frame_predictions import PredictionSettings
from pipeline.color.model_input import ModelInput
from pipeline.color.statements import hinted, stated_at, statement
from pipeline.color.temporal import smoothed
from tests.pipeline.color.scenes import COLUMNS, HEIGHT, ROWS, STRIDE, WIDTH, flat, pan, shown, texture, told

GREEN, RED = flat(-30, 30), flat(50, 20)


@pytest.mark.few(1)
@pytest.mark.parametrize("has_evidence", [True, False])
def test_a_hint_moves_with_what_it_is_on(has_evidence: bool) -> None:
    """The camera pans by a chroma pixel a frame; the hint is on what passes from the right edge to the left."""
    speed, count, at = STRIDE, 24, 2
    lumas = pan(count, speed=speed)
    answers = [told(luma, (GREEN, 1.0)) for luma in lumas]
    if not has_evidence:
        answers = [Prediction(one.ab) for one in answers]
    hint = ColorHint(x=0.7, y=0.5, ab=(50.0, 20.0), reach=0.1)
    made = hinted(ModelInput(lumas[at]), answers[at], Adjustments(hints=(hint,)), stride=STRIDE)
    frames = []
    for number, luma in enumerate(lumas):
        frame = FrameRecord(index=number, model_input=ModelInput(luma), weight=1)
        frame.link, frame.statements = (Link.SAME if number else Link.CUT), ((made,) if number == at else ())
        frames.append(frame)
    known = {id(frame.model_input): answer for frame, answer in zip(frames, answers, strict=True)}
    settings = PredictionSettings(
        predict=lambda seen: [known[id(one)] for one in seen], stride=STRIDE, every=None, statements=[made]
    )
    coloured = list(smoothed(frames, settings))
    for number in (at, at + 4, at + 12, at + 20):
        ab = coloured[number].ab
        assert ab is not None
        assert np.linalg.norm(shown(lumas[number], ab, 0.7 - (number - at) / COLUMNS, 0.5) - (50, 20)) < 8, number
    # At full size, it is exact in its frame, and fades within eight frames.
    for number in (at - 2, at, at + 4):
        (carried,) = coloured[number].hints
        assert carried.weight == 1 - abs(number - at) / 8
        assert carried.x == pytest.approx(0.7 - (number - at) / COLUMNS, abs=0.5 / COLUMNS)
    assert not coloured[at + 8].hints
    far = coloured[at].ab
    assert far is not None
    assert np.linalg.norm(far[:, 2, 2] - (-30, 30)) < 8


def test_what_is_like_nothing_that_was_stated_hears_nothing() -> None:
    luma, other = texture(1, width=WIDTH), np.full((HEIGHT, WIDTH), 0.97, np.float32)
    seen, answer = ModelInput(luma), told(luma, (GREEN, 1.0))
    made = statement(seen, answer, RED, np.ones((ROWS, COLUMNS), np.float32), stride=STRIDE)
    assert made.places is not None
    own, share = stated_at([made], made.places.keys)
    assert share.min() > 0.7
    assert np.abs(own - (50, 20)).max() < 1
    elsewhere = statement(
        ModelInput(other), told(other, (GREEN, 1.0)), RED, np.ones((ROWS, COLUMNS), np.float32), stride=4
    )
    assert elsewhere.places is not None
    assert stated_at([made], elsewhere.places.keys)[1].mean() < 0.1


def test_hints_make_of_a_frame_what_they_make_of_a_photograph() -> None:
    """Around a hint its colour is stronger, by what upsampling takes from it."""
    luma = texture(1, width=WIDTH)
    answer = told(luma, (GREEN, 1.0))
    hints = (ColorHint(x=0.7, y=0.5, ab=(50.0, 20.0), reach=0.1), ColorHint(x=0.2, y=0.3, ab=(0.0, 0.0)))
    wanted = Adjustments(saturation=0.5, hints=hints)
    assert answer.features is not None
    photograph = wanted.applied(answer.ab[0], luma, Features(answer.features[0]))
    made = hinted(ModelInput(luma), answer, wanted, stride=STRIDE)
    film = made.applied(answer.ab[0] * np.float32(0.5))
    down, across = np.mgrid[:ROWS, :COLUMNS] + 0.5
    far = np.min([np.hypot(down - hint.y * ROWS, across - hint.x * COLUMNS) for hint in hints], axis=0) > 5
    np.testing.assert_allclose(film[:, far], photograph.ab[:, far], atol=0.01)
    misses = [
        max(np.linalg.norm(shown(luma, ab, hint.x, hint.y) - hint.ab) for hint in hints) for ab in (photograph.ab, film)
    ]
    assert misses[1] < 2 < misses[0]
    by_lightness = wanted.applied(answer.ab[0], luma)
    assert np.abs(by_lightness.ab - photograph.ab).max() > 5
