from __future__ import annotations

import numpy as np
import pytest

from pipeline.color.hints import Adjustments, ColorHint, Features, Spread, ab_of_hex
from pipeline.color.model_input import ModelInput
from pipeline.color.spaces import chroma_from_ab, rgb_of, still_spec
from pipeline.color.upsampling import upsample
from tests.sampled import sampled
from training.cielab_numpy import rgb_to_lab
from training.metrics import ciede2000

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


def spread_hints(
    ab: np.ndarray, lightness: np.ndarray, hints: list[ColorHint], looks: np.ndarray | None = None
) -> np.ndarray:
    return Spread.of(hints, lightness, looks).applied(ab)


def test_without_hints_the_answer_stays(answer: np.ndarray, two_things: np.ndarray) -> None:
    assert Adjustments().applied(answer, two_things / 100).ab is answer


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
    # 0.13 short sides away distance has taken a fifth of the difference that is asked for, (-50, 20), the ridge of the
    # kriging a little more.
    assert np.abs(like - (-40, 20)).max() < 0.25 * 50
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


@pytest.mark.few(2)
@pytest.mark.parametrize("side", sampled([8, 24, 64], 8, 64))
@pytest.mark.parametrize("features", [None, np.ones((4, 32, 32), np.float32)])
@pytest.mark.parametrize(
    "color", sampled(["neutral", "#3A5FCD", "#C8201E", "#0E8C2A", "#F0C000"], "neutral", "#C8201E", "#F0C000")
)
def test_what_is_stated_comes_out_within_the_reach(color: str, side: int, features: np.ndarray | None) -> None:
    """A small thing would lose a quarter of its colour to the average of upsampling; strong ones would miss by most."""
    luma = np.full((256, 256), 0.3, np.float32)
    luma[100 : 100 + side, 100 : 100 + side] = 0.55
    at, ab = (100 + side / 2) / 256, ab_of_hex(color)
    hints = (ColorHint(x=at, y=at, ab=ab),)
    made = (
        Adjustments(hints=hints)
        .applied(np.full((2, 64, 64), -15, np.float32), luma, None if features is None else Features(features))
        .ab
    )
    spec = still_spec(8)
    wanted = chroma_from_ab(
        luma, np.broadcast_to(np.array(ab, np.float32)[:, None, None], (2, *luma.shape)), spec.matrix
    )
    chroma = upsample(ModelInput(luma), made, spec, hints=hints).small(luma, spec.matrix)
    found, stated = (lab(rgb_of(luma, one, spec.matrix)) for one in (chroma, wanted))
    down, across = np.mgrid[:256, :256] + 0.5
    is_near = np.hypot(down - at * 256, across - at * 256) <= 0.01 * 256
    assert ciede2000(found, stated)[is_near].max() < 2


@pytest.mark.parametrize("later", [1, -1])
def test_of_several_hints_the_nearest_that_reaches_a_place_decides(
    answer: np.ndarray, two_things: np.ndarray, later: int
) -> None:
    """Whichever was stated first; a nearer one that does not reach the place has no say in it."""
    wide, small = ColorHint(x=0.3, y=0.5, ab=(40, 0), reach=0.4), ColorHint(x=0.45, y=0.5, ab=(-40, 0))
    row, luma, spec = HEIGHT // 2, np.full((4 * HEIGHT, 4 * WIDTH), 0.5, np.float32), still_spec(8)
    hints = (wide, small)[::later]
    result = spread_hints(answer, two_things, list(hints))
    assert [result[0, row, int(x * WIDTH)] for x in (0.3, 0.41, 0.45)] == [40, 40, -40]
    chroma = upsample(ModelInput(luma), answer, spec, hints=hints).small(luma, spec.matrix)
    for x, hint in ((0.3, wide), (0.41, wide), (0.45, small)):
        np.testing.assert_allclose(chroma[:, 4 * row, int(x * 4 * WIDTH)], stated_at(0.5, hint.ab), atol=0.002)


@pytest.mark.parametrize("later", [1, -1])
def test_a_hint_beside_another_leaves_its_colour_alone(answer: np.ndarray, later: int) -> None:
    luma, spec = np.full((256, 256), 0.5, np.float32), still_spec(8)
    hints = (ColorHint(x=0.5, y=0.5, ab=(40, 20)), ColorHint(x=0.52, y=0.5, ab=(-40, 20)))[::later]
    made = Adjustments(hints=hints).applied(np.zeros((2, 64, 64), np.float32), luma).ab
    chroma = upsample(ModelInput(luma), made, spec, hints=hints).small(luma, spec.matrix)
    for hint in hints:
        found = chroma[:, int(256 * hint.y), int(256 * hint.x)]
        np.testing.assert_allclose(found, stated_at(0.5, hint.ab), atol=0.002)


def stated_at(luma: float, ab: tuple[float, float]) -> np.ndarray:
    """Return Cb and Cr of a colour."""
    return chroma_from_ab(np.float32([[luma]]), np.float32(ab).reshape(2, 1, 1), still_spec(8).matrix).ravel()


@pytest.mark.few(2)
@pytest.mark.parametrize("reach", [0, 0.01, 0.03, 0.1, 0.3])
@pytest.mark.parametrize("count", [6, 40])
@pytest.mark.parametrize("looks", [None, np.ones((2, HEIGHT, WIDTH), np.float32)])
def test_no_colour_goes_beyond_what_was_stated_and_answered(
    two_things: np.ndarray, reach: float, count: int, looks: np.ndarray | None
) -> None:
    rng = np.random.default_rng(count)
    for _ in range(10):
        places, turns = rng.random((count, 2)), rng.uniform(0, 2 * np.pi, count)
        hints = [
            ColorHint(x=x, y=y, ab=(30 * np.cos(turn), 30 * np.sin(turn)), reach=reach)
            for (x, y), turn in zip(places, turns, strict=True)
        ]
        for grey in (0, 5):
            made = spread_hints(np.full((2, HEIGHT, WIDTH), grey, np.float32), two_things, hints, looks)
            assert np.hypot(*made).max() < 30 + 2 * np.hypot(grey, grey) + 0.01


def lab(rgb: np.ndarray) -> np.ndarray:
    return rgb_to_lab(np.rint(rgb * 255).astype(np.uint8))


def test_hints_that_agree_share_their_say_and_no_colour_is_made_up(answer: np.ndarray) -> None:
    """Two colours side by side bound each other: nothing goes far beyond both."""
    lightness = np.full((HEIGHT, WIDTH), 50, np.float32)
    agreeing = [ColorHint(x=0.4 + 0.02 * n, y=0.5, ab=(30, 0)) for n in range(5)]
    assert spread_hints(answer, lightness, agreeing)[0].max() < 30.01
    looks = np.ones((2, HEIGHT, WIDTH), np.float32)
    contradicting = [ColorHint(x=0.5, y=0.5, ab=(40, 0)), ColorHint(x=0.53, y=0.5, ab=(-20, 0))]
    for made in (spread_hints(answer, lightness, contradicting, one) for one in (None, looks)):
        assert -36 < made[0].min() < made[0].max() < 40.01


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
