"""Where there is nothing to colour, chroma goes to zero, smoothly; where there is a picture, it is left alone."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from pipeline.color.neutral_areas import neutral_weight
from pipeline.color.spaces import F32

HEIGHT, WIDTH = 192, 272
SHAPE = HEIGHT // 4, WIDTH // 4


def scene(seed: int = 1, height: int = HEIGHT, width: int = WIDTH, cells: tuple[int, ...] = (4, 16, 64)) -> F32:
    random = np.random.default_rng(seed)
    fields = [random.normal(size=(n * 3 // 4, n)) for n in cells]
    field = sum(cv2.resize(f, (width, height), interpolation=cv2.INTER_CUBIC) for f in fields) / 2
    return np.clip(0.45 + 0.25 * field, 0, 1).astype(np.float32)


def grainy(luma: F32, sigma: float = 0.02, seed: int = 0) -> F32:
    noise = np.random.default_rng(seed).normal(size=luma.shape) * sigma
    return np.clip(luma + noise, 0, 1).astype(np.float32)


def card(*lines: str, ground: float = 0.04, ink: float = 0.85, scale: float = 0.6) -> F32:
    codes = np.full((HEIGHT, WIDTH), round(ground * 255), np.uint8)
    for number, line in enumerate(lines):
        cv2.putText(
            codes, line, (30, 70 + 35 * number), cv2.FONT_HERSHEY_TRIPLEX, scale, round(ink * 255), 1, cv2.LINE_AA
        )
    return codes.astype(np.float32) / 255


def test_a_picture_keeps_its_colour() -> None:
    for seed in range(5):
        assert neutral_weight(scene(seed), SHAPE).min() == 1


@pytest.mark.parametrize("sigma", [0.0, 0.02])
@pytest.mark.parametrize("level", [0.0, 0.03])
@pytest.mark.parametrize("upright", [True, False])
def test_black_bars_are_neutral_and_the_picture_between_them_is_not(sigma: float, level: float, upright: bool) -> None:
    luma = scene() if upright else scene(1, WIDTH, HEIGHT).T.copy()
    luma[:, :40] = luma[:, -40:] = level
    luma = grainy(luma, sigma)
    weight = neutral_weight(luma, SHAPE)
    assert weight[:, :9].max() < 0.1
    assert weight[:, -9:].max() < 0.1
    assert weight[:, 11:-11].min() > 0.99
    turned = neutral_weight(np.ascontiguousarray(luma.T), SHAPE[::-1])
    np.testing.assert_allclose(turned.T, weight, atol=1e-5)


def test_noise_in_bars_does_not_flicker() -> None:
    luma = scene()
    luma[:24] = luma[-24:] = 0.01
    weights = np.stack([neutral_weight(grainy(luma, 0.02, seed), SHAPE) for seed in range(8)])
    assert weights.std(axis=0).max() < 0.01


@pytest.mark.parametrize("level", [0.15, 0.6, 0.95])
def test_a_mount_is_neutral_with_its_caption(level: float) -> None:
    page = np.full((HEIGHT, WIDTH), level, np.float32)
    page[20:140, 40:232] = scene(1, 120, 192)
    codes = np.rint(page * 255).astype(np.uint8)
    ink = 255 if level < 0.5 else 20
    cv2.putText(codes, "Anna 1912", (60, 170), cv2.FONT_HERSHEY_SCRIPT_COMPLEX, 0.5, ink, 1, cv2.LINE_AA)
    weight = neutral_weight(grainy(codes.astype(np.float32) / 255, 0.01), SHAPE)
    margins = np.ones(SHAPE, bool)
    margins[4:36, 9:59] = False
    assert np.quantile(weight[margins], 0.75) < 0.05
    assert weight[margins].max() < 0.3
    assert weight[7:33, 12:56].min() > 0.95


@pytest.mark.parametrize("ground", [0.02, 0.1])
@pytest.mark.parametrize("scale", [0.5, 0.8])
def test_a_title_card_is_neutral_letters_and_all(ground: float, scale: float) -> None:
    weight = neutral_weight(grainy(card("You must never", "see him again.", ground=ground, scale=scale)), SHAPE)
    assert weight.max() < 0.1


def lettered(ground: float = 0.05, ink: float = 0.85) -> F32:
    """Letters whose strokes are ten pixels broad."""
    codes = np.full((HEIGHT, WIDTH), round(ground * 255), np.uint8)
    for number, line in enumerate(("THE", "END")):
        cv2.putText(codes, line, (70, 85 + 75 * number), cv2.FONT_HERSHEY_SIMPLEX, 2, round(ink * 255), 10, cv2.LINE_AA)
    return codes.astype(np.float32) / 255


def pillared(luma: F32) -> F32:
    return np.asarray(cv2.copyMakeBorder(luma, 0, 0, 40, 40, cv2.BORDER_CONSTANT, value=0.0), np.float32)


@pytest.mark.parametrize("ground", [0.02, 0.05, 0.12, 0.15])
@pytest.mark.parametrize("barred", [False, True])
def test_large_letters_are_neutral(ground: float, barred: bool) -> None:
    luma = grainy(lettered(ground))
    luma = pillared(luma) if barred else luma
    assert neutral_weight(luma, (luma.shape[0] // 4, luma.shape[1] // 4)).max() < 0.1


def test_small_letters_between_bars_are_neutral() -> None:
    luma = pillared(grainy(card("You must never", "see him again.", ground=0.12)))
    assert neutral_weight(luma, (HEIGHT // 4, luma.shape[1] // 4)).max() < 0.1


def test_a_bordered_unevenly_lit_title_card_is_neutral() -> None:
    luma = lettered(0.11)
    luma[8:-8, [8, -9]] = luma[[8, -9], 8:-8] = 0.7
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j].astype(np.float32)
    assert neutral_weight(grainy(luma * (1 - np.float32(0.15) * (x * x + y * y))), SHAPE).max() < 0.1


def test_a_title_card_stays_neutral_while_it_fades() -> None:
    for light in np.linspace(1, 0, 25, dtype=np.float32):
        assert neutral_weight(grainy(lettered() * light, 0.005), SHAPE).max() < 0.1


def countdown(ground: float, ink: float, *, sweep: bool) -> F32:
    codes = np.full((HEIGHT, WIDTH), round(ground * 255), np.uint8)
    middle, code = (WIDTH // 2, HEIGHT // 2), round(ink * 255)
    if sweep:
        cv2.ellipse(codes, middle, (300, 300), 0, -90, 40, round(0.6 * ground * 255), -1)
    cv2.line(codes, (0, middle[1]), (WIDTH, middle[1]), code, 1)
    cv2.line(codes, (middle[0], 0), (middle[0], HEIGHT), code, 1)
    for radius in (62, 78):
        cv2.circle(codes, middle, radius, code, 2, cv2.LINE_AA)
    cv2.putText(codes, "8", (middle[0] - 30, middle[1] + 32), cv2.FONT_HERSHEY_SIMPLEX, 3, code, 12, cv2.LINE_AA)
    return codes.astype(np.float32) / 255


@pytest.mark.few(6)
@pytest.mark.parametrize(("ground", "ink"), [(0.5, 0.1), (0.75, 0.1), (0.1, 0.8)])
@pytest.mark.parametrize("sweep", [False, True])
@pytest.mark.parametrize("barred", [False, True])
def test_a_countdown_is_neutral_even_if_it_weaves(ground: float, ink: float, sweep: bool, barred: bool) -> None:
    for weave in (0, 1, 3):
        luma = grainy(np.roll(countdown(ground, ink, sweep=sweep), weave, axis=1))
        luma = pillared(luma) if barred else luma
        assert neutral_weight(luma, (luma.shape[0] // 4, luma.shape[1] // 4)).max() < 0.05


def test_a_round_thing_in_the_middle_is_no_countdown() -> None:
    luma = scene()
    cv2.circle(luma, (WIDTH // 2, HEIGHT // 2), 70, 0.9, -1, cv2.LINE_AA)
    assert neutral_weight(luma, SHAPE).min() == 1


def test_a_shaded_thing_before_a_dark_ground_keeps_its_colour() -> None:
    luma = np.full((HEIGHT, WIDTH), 0.06, np.float32)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    lit = (x - 136) ** 2 + (y - 96) ** 2 < 45**2
    luma[lit] = (0.25 + 0.6 * (x + y - 140) / 180)[lit]
    assert neutral_weight(grainy(luma, 0.005), SHAPE)[16:32, 26:42].min() > 0.9


@pytest.mark.parametrize("level", [0.0, 0.03, 0.5, 0.97, 1.0])
def test_a_blank_frame_is_neutral(level: float) -> None:
    blank = np.full((HEIGHT, WIDTH), level, np.float32)
    assert neutral_weight(grainy(blank, 0.01), SHAPE).max() < 0.05


def test_colour_goes_smoothly_in_a_fade_to_black() -> None:
    luma = scene()
    steps = [neutral_weight(luma * np.float32(light), SHAPE) for light in np.linspace(1, 0, 97)]
    means = [float(step.mean()) for step in steps]
    assert means[0] == 1
    assert means[-1] == 0
    assert all(later <= earlier + 0.01 for earlier, later in pairwise(means))
    assert max(np.abs(later - earlier).max() for earlier, later in pairwise(steps)) < 0.15


def test_colour_goes_smoothly_in_a_fade_to_white() -> None:
    luma = scene()
    steps = [neutral_weight(luma + (1 - luma) * np.float32(mist), SHAPE) for mist in np.linspace(0, 1, 97)]
    assert steps[0].min() == 1
    assert steps[-1].max() == 0
    assert max(np.abs(later - earlier).max() for earlier, later in pairwise(steps)) < 0.3


def test_bars_fade_in_without_a_jump_when_black_slowly_rises() -> None:
    steps = []
    for level in np.linspace(0, 0.12, 61):
        luma = scene()
        luma[:24] = luma[-24:] = level
        steps.append(neutral_weight(luma, SHAPE))
    assert max(np.abs(later - earlier).max() for earlier, later in pairwise(steps)) < 0.15


def test_a_night_scene_keeps_its_colour() -> None:
    night = scene() ** 3 * np.float32(0.5)
    for x in (60, 130, 210):
        cv2.circle(night, (x, 90), 6, 0.9, -1)
    assert np.median(night) < 0.06
    assert neutral_weight(night, SHAPE).mean() > 0.95


def test_a_person_in_a_spotlight_keeps_colour() -> None:
    stage = np.full((HEIGHT, WIDTH), 0.02, np.float32)
    cv2.ellipse(stage, (136, 110), (30, 70), 0, 0, 360, 1.0, -1)
    lit = stage > 0.5
    stage[lit] = scene(cells=(4, 16))[lit]
    assert neutral_weight(grainy(stage, 0.005), SHAPE)[18:37, 29:39].mean() > 0.85


def test_snow_and_sky_keep_their_colour() -> None:
    rows = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None]
    landscape = np.where(rows < 0.5, 0.6 + 0.3 * rows, 0.88 + 0.06 * rows) * np.ones((1, WIDTH), np.float32)
    landscape[85:105, 40:220] = scene(2, 20, 180) * 0.6
    assert neutral_weight(grainy(landscape, 0.01), SHAPE).min() > 0.95


def test_a_sky_above_and_a_dark_ground_below_are_no_bars() -> None:
    luma = scene()
    luma[:60] = 0.8
    luma[-50:] = 0.03
    assert neutral_weight(luma, SHAPE).min() == 1
