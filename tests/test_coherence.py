"""The measures of coherence say what they must for colours that are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.coherence import Clip, each, long_range, returned, smooth, within
from engines.network import Prediction
from tests.pipeline.color.scenes import COLUMNS, ROWS, STRIDE, flat, pan

RATE = 8.0


def clip(seed: int, chroma: list[np.ndarray]) -> Clip:
    luma = pan(len(chroma), speed=1, seed=seed)
    return Clip(RATE, luma, [Prediction(ab[None]) for ab in chroma], None)


@pytest.mark.slow
def test_colour_that_drifts_is_as_far_apart_as_it_has_drifted() -> None:
    still = clip(1, [flat(20, -10)] * 20)
    drifting = [flat(20 + 0.5 * n, -10) for n in range(20)]
    assert long_range(still, [flat(20, -10)] * 20, 1) == pytest.approx(0, abs=1e-4)
    assert long_range(still, drifting, 1) == pytest.approx(0.5 * RATE, abs=1e-3)
    assert long_range(still, drifting, 2) == pytest.approx(0.5 * 2 * RATE, abs=1e-3)
    assert long_range(still, drifting, 4) is None


def test_tracks_follow_what_moves_and_not_the_place() -> None:
    """The camera moves by a chroma pixel in four frames, and so does the colour of what it sees."""
    wide = np.stack([np.tile(np.linspace(0, 60, COLUMNS + 5, dtype=np.float32), (ROWS, 1))] * 2)
    moving = [np.ascontiguousarray(wide[:, :, n // STRIDE : n // STRIDE + COLUMNS]) for n in range(0, 20)]
    found = long_range(clip(1, moving), moving, 1)
    assert found is not None
    assert found < 0.3 * (RATE / STRIDE) * 60 / COLUMNS


def test_a_shot_that_returns_in_another_colour_is_seen() -> None:
    first = clip(1, [flat(30, 0)] * 8 + [flat(0, 0)] * 8)
    between = clip(2, [flat(0, 30)] * 8)
    per_frame = returned(first, between, each)
    smoothed = returned(first, between, lambda luma, predictions: smooth(luma, predictions, STRIDE))
    assert per_frame == pytest.approx(30, abs=1e-3)
    assert smoothed == pytest.approx(30, abs=1)


def test_one_colour_in_one_thing_has_no_spread() -> None:
    truth = flat(-20, 0)
    truth[:, :, COLUMNS // 2 :] = 20
    mottled = truth + np.random.default_rng(0).normal(0, 5, truth.shape).astype(np.float32)
    assert within([truth], [truth]) == pytest.approx(0, abs=1e-3)
    assert within([mottled], [truth]) == pytest.approx(5 * np.sqrt(2), rel=0.1)
