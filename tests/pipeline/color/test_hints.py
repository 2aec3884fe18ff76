from __future__ import annotations

import numpy as np
import pytest

from pipeline.color.hints import Adjustments, ColorHint, ab_of_hex, spread_hints
from pipeline.color.upsampling import upsampled_at

HEIGHT, WIDTH = 48, 64


@pytest.fixture
def two_things() -> np.ndarray:
    """A dark thing to the left and a light one to the right."""
    lightness = np.full((HEIGHT, WIDTH), 30, np.float32)
    lightness[:, WIDTH // 2 :] = 80
    return lightness


@pytest.fixture
def answer() -> np.ndarray:
    ab = np.zeros((2, HEIGHT, WIDTH), np.float32)
    ab[0] = 10
    return ab


def test_without_hints_the_answer_stays(answer: np.ndarray, two_things: np.ndarray) -> None:
    assert spread_hints(answer, two_things, []) is answer


def test_what_is_stated_comes_out_at_the_place(answer: np.ndarray, two_things: np.ndarray) -> None:
    hints = [
        ColorHint(x=0.2, y=0.5, ab=(-40, 20)),
        ColorHint(x=0.25, y=0.55, ab=(50, -20)),
        ColorHint(x=0.9, y=0.1, ab=(0, 0)),
    ]
    result = spread_hints(answer, two_things, hints)
    for hint in hints:
        found = result[:, int(hint.y * HEIGHT), int(hint.x * WIDTH)]
        assert np.abs(found - hint.ab).max() < 0.5


def test_one_statement_changes_one_thing(answer: np.ndarray, two_things: np.ndarray) -> None:
    result = spread_hints(answer, two_things, [ColorHint(x=0.3, y=0.5, ab=(-40, 20))])
    like = result[:, HEIGHT // 2, int(0.4 * WIDTH)]
    unlike = result[:, HEIGHT // 2, int(0.6 * WIDTH)]
    assert np.abs(like - (-40, 20)).max() < 10
    assert np.abs(unlike - (10, 0)).max() < 0.1


def test_it_fades_with_distance() -> None:
    lightness = np.full((40, 400), 50, np.float32)
    result = spread_hints(np.zeros((2, 40, 400), np.float32), lightness, [ColorHint(x=0.02, y=0.5, ab=(40, 0))])
    along = result[0, 20]
    assert np.all(np.diff(along[20:]) <= 1e-4)
    assert along[-1] < 0.01


def test_within_the_reach_lightness_does_not_matter(answer: np.ndarray, two_things: np.ndarray) -> None:
    hint = ColorHint(x=0.5, y=0.5, ab=(-40, 20), reach=0.2)
    result = spread_hints(answer, two_things, [hint])
    middle = HEIGHT // 2
    for column in (WIDTH // 2 - 5, WIDTH // 2 + 5):
        assert np.abs(result[:, middle, column] - hint.ab).max() < 0.5


def test_by_the_network_s_features_a_statement_is_about_a_thing(answer: np.ndarray) -> None:
    """Two things of one lightness, the left one half in shadow: it is coloured whole, and the other is left alone."""
    lightness = np.full((HEIGHT, WIDTH), 60, np.float32)
    lightness[: HEIGHT // 2, : WIDTH // 2] = 45
    looks = np.zeros((2, HEIGHT, WIDTH), np.float32)
    looks[0, :, : WIDTH // 2] = looks[1, :, WIDTH // 2 :] = 1
    hints = [ColorHint(x=0.4, y=0.6, ab=(-40, 20))]
    row, inside, beside = int(0.6 * HEIGHT), int(0.45 * WIDTH), int(0.55 * WIDTH)
    by_lightness, by_looks = spread_hints(answer, lightness, hints), spread_hints(answer, lightness, hints, looks)
    assert by_lightness[0, row, beside] < 0
    assert np.abs(by_looks[:, row, beside] - (10, 0)).max() < 2
    assert by_looks[0, row, inside] < -30
    shadow = int(0.4 * HEIGHT), int(0.4 * WIDTH)
    assert np.abs(by_lightness[:, *shadow] - (10, 0)).max() < 5
    assert by_looks[0, *shadow] < -15


@pytest.mark.parametrize("side", [12, 24, 64])
@pytest.mark.parametrize("features", [None, np.ones((4, 32, 32), np.float32)])
def test_what_is_stated_comes_out_after_upsampling(side: int, features: np.ndarray | None) -> None:
    """A small thing would lose a quarter of its colour to the average of upsampling."""
    luma = np.full((256, 256), 0.3, np.float32)
    luma[100 : 100 + side, 100 : 100 + side] = 0.55
    at = (100 + side / 2) / 256
    stated = Adjustments(hints=(ColorHint(x=at, y=at, ab=(40, 30)),))
    ab = stated.applied(np.zeros((2, 64, 64), np.float32), luma, features).ab
    (found,) = upsampled_at(luma, ab, [(at, at)])
    assert np.abs(found - (40, 30)).max() < 2


@pytest.mark.parametrize(
    ("color", "expected"),
    [("neutral", (0, 0)), ("#808080", (0, 0)), ("#ff0000", (80.1, 67.2)), ("#0000ff", (79.2, -107.9))],
)
def test_colours_are_stated_as_srgb(color: str, expected: tuple[float, float]) -> None:
    assert ab_of_hex(color) == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("color", ["red", "#12345", "#GG0000", "", "808080"])
def test_other_words_are_no_colours(color: str) -> None:
    with pytest.raises(ValueError, match="not a colour"):
        ab_of_hex(color)
