from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.training.conftest import synthetic_photo
from training.cielab_numpy import lab_to_rgb, rgb_to_lab

pytestmark = pytest.mark.slow

# Published CIELAB (D65) of the sRGB primaries.
PRIMARIES = [
    ((255, 0, 0), (53.24, 80.09, 67.20)),
    ((0, 255, 0), (87.73, -86.18, 83.18)),
    ((0, 0, 255), (32.30, 79.19, -107.86)),
    ((255, 255, 255), (100, 0, 0)),
    ((0, 0, 0), (0, 0, 0)),
    ((119, 119, 119), (50.03, 0, 0)),
]


@pytest.mark.parametrize(("rgb", "lab"), PRIMARIES)
def test_known_colours(rgb: tuple[int, ...], lab: tuple[float, ...]) -> None:
    np.testing.assert_allclose(rgb_to_lab(np.array(rgb, np.uint8)), lab, atol=0.02)


def test_every_grey_is_exactly_without_colour() -> None:
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    assert np.abs(rgb_to_lab(greys)[:, 1:]).max() < 1e-9


def test_every_seventh_colour_comes_back_from_lab() -> None:
    steps = np.append(np.arange(0, 255, 7), 255).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1)
    np.testing.assert_array_equal(lab_to_rgb(rgb_to_lab(colours)), colours)


def test_colours_outside_the_gamut_are_clipped() -> None:
    np.testing.assert_array_equal(lab_to_rgb(np.array([50.0, 120.0, 0.0]))[[1]], [0])
    np.testing.assert_array_equal(lab_to_rgb(np.array([[120.0, 0, 0], [-5.0, 0, 0]])), [[255] * 3, [0] * 3])


def test_agrees_with_opencv() -> None:
    picture = synthetic_photo(0)
    theirs = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    # OpenCV interpolates in a table of 16-bit values, which costs it some 0.2.
    np.testing.assert_allclose(rgb_to_lab(picture), theirs, atol=0.4)
