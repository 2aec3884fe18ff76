from __future__ import annotations

import numpy as np
import pytest

from pipeline.color.hints import ColorHint, ab_of_hex, spread_hints

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
