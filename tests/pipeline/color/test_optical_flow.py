"""Motion is found, old film's flicker is not taken for it, and what is hidden is not trusted."""

import numpy as np
import pytest

from pipeline.color.optical_flow import Follower, Step, view
from tests.pipeline.color.scenes import COLUMNS, ROWS, STRIDE, box, pan, passing, texture


def step(before: np.ndarray, after: np.ndarray, **options: float) -> Step:
    return Follower().step(view(before, stride=STRIDE), view(after, stride=STRIDE), **options)


def ways(path_places: np.ndarray) -> np.ndarray:
    grid = np.stack(np.meshgrid(np.arange(COLUMNS), np.arange(ROWS)), axis=-1)
    return path_places - grid


@pytest.mark.parametrize("speed", [0, 2, 8])
def test_a_pan_is_followed_both_ways(speed: int) -> None:
    before, after = pan(2, speed=speed)
    found = step(before, after)
    middle = np.s_[4:-4, 6:-6]
    assert np.abs(ways(found.past.places)[middle] - (speed / STRIDE, 0)).mean() < 0.1
    assert np.abs(ways(found.future.places)[middle] - (-speed / STRIDE, 0)).mean() < 0.1
    assert found.past.trust[middle].mean() > 0.8


def test_flicker_of_brightness_and_contrast_moves_nothing() -> None:
    before = texture(3, width=192)
    found = step(before, np.clip(before * 0.7 + 0.05, 0, 1))
    assert np.abs(ways(found.past.places)).max() < 0.25
    assert found.past.trust.mean() > 0.8


def test_what_a_moving_thing_uncovers_is_not_trusted() -> None:
    before, after = passing(2, speed=16)
    trust = step(before, after).past.trust[..., 0]
    rows, columns = (slice(part.start // STRIDE, part.stop // STRIDE) for part in box(0, speed=16))
    uncovered = trust[rows, columns.start : columns.start + 4][2:-2, 1:-1]
    assert uncovered.mean() < 0.4
    assert trust[:8].mean() > 0.9


def test_another_picture_is_not_trusted() -> None:
    assert step(texture(4, width=192), texture(5, width=192)).past.trust.mean() < 0.3


def test_what_leaves_the_picture_is_not_trusted() -> None:
    before, after = pan(2, speed=16)
    assert step(before, after).past.trust[:, -2:].mean() < 0.2


def test_belief_scales_trust() -> None:
    before, after = pan(2, speed=2)
    whole, part = step(before, after), step(before, after, belief=0.25)
    np.testing.assert_allclose(part.past.trust, whole.past.trust * np.float32(0.25), rtol=1e-6)
    np.testing.assert_array_equal(part.past.places, whole.past.places)


@pytest.mark.parametrize("shape", [(32, 32), (32, 96), (96, 32), (192, 576)])
def test_every_shape_of_model_input_has_motion(shape: tuple[int, int]) -> None:
    luma = texture(6, height=shape[0], width=shape[1])
    found = step(luma, luma)
    assert found.past.places.shape == (shape[0] // STRIDE, shape[1] // STRIDE, 2)
    assert found.past.trust.mean() > 0.8


def test_a_picture_without_contrast_stays_where_it_is() -> None:
    black = np.zeros((128, 192), np.float32)
    found = step(black, black)
    assert np.abs(ways(found.past.places)).max() < 1e-3
    assert found.past.trust.min() > 0.99
