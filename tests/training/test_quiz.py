from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.conftest import synthetic_photo
from training.evaluate import find_set, grey
from training.quiz import Count, draw_rounds, pairs_of, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "interval"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_the_interval_is_wilsons(successes: int, trials: int, interval: tuple[float, float]) -> None:
    assert wilson(successes, trials) == pytest.approx(interval, abs=5e-5)
    low, high = wilson(trials - successes, trials)
    assert (1 - high, 1 - low) == pytest.approx(interval, abs=5e-5)


def test_nothing_answered_says_nothing() -> None:
    assert Count(0, 0).interval == (0.0, 1.0)


def test_rounds_show_every_picture_at_most_once_and_both_sides_equally_often() -> None:
    drawn = draw_rounds(1000, count=400, seed=3)
    assert len({one.picture for one in drawn}) == 400
    assert 150 < sum(one.real_is_left for one in drawn) < 250
    assert drawn == draw_rounds(1000, count=400, seed=3) != draw_rounds(1000, count=400, seed=4)
    assert len(draw_rounds(3, count=400, seed=3)) == 3


def test_a_pair_is_the_photograph_and_what_was_made_of_its_lightness(tmp_path: Path) -> None:
    Image.fromarray(synthetic_photo(5)).save(tmp_path / "one.png")
    pair = pairs_of(find_set(tmp_path), lambda _, lightness: grey(lightness), largest=48)
    real, painted = (np.asarray(Image.open(BytesIO(one))) for one in pair(0))
    assert real.shape == painted.shape == (36, 48, 3)
    assert np.ptp(painted, axis=2).max() == 0
    assert np.ptp(real, axis=2).max() > 20
