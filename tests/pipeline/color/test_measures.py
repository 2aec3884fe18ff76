"""The figures by which results are sorted say what the pictures show."""

from __future__ import annotations

import numpy as np
import pytest

from engines.tensors import InputSize
from pipeline.color.measures import averaged, doubt, measured, small_rgb
from pipeline.color.model_input import model_input
from pipeline.color.spaces import Matrix, ab_of_rgb, chroma_from_ab, still_spec
from pipeline.color.tone import Verdict
from pipeline.color.upsampling import Upsampled, upsample
from pipeline.options import TreatAs
from pipeline.results import Measures, SourceTone

SIZE = InputSize(multiple=32, film=160, photo=256)

LUMA = np.tile(np.linspace(0.1, 0.9, 352, dtype=np.float32), (256, 1))


def flat(cb: float, cr: float) -> np.ndarray:
    return np.stack([np.full(LUMA.shape, value, np.float32) for value in (cb, cr)])


def upsampled(ab: tuple[float, float]) -> tuple[Upsampled, np.ndarray]:
    made = model_input(np.rint(LUMA * 255).astype(np.uint8), still_spec(8), size=SIZE, short=256)
    answer = np.stack([np.full((64, 88), value, np.float32) for value in ab])
    return upsample(made, answer, still_spec(8)), made.luma


def test_a_grey_picture_has_no_colour() -> None:
    assert measured(LUMA, None, Matrix.BT601) == Measures(colourfulness=0, strong=0, clipped=0, doubt=0)


def test_colourfulness_is_that_of_hasler_and_suesstrunk() -> None:
    rng = np.random.default_rng(1)
    luma = rng.uniform(0.3, 0.7, (96, 96)).astype(np.float32)
    chroma = rng.uniform(-0.1, 0.1, (2, 96, 96)).astype(np.float32)
    red, green, blue = 255 * np.moveaxis(small_rgb(luma, chroma, Matrix.BT601, side=96).astype(np.float64), -1, 0)
    rg, yb = red - green, 0.5 * (red + green) - blue
    wanted = np.sqrt(rg.var() + yb.var()) + 0.3 * np.sqrt(rg.mean() ** 2 + yb.mean() ** 2)
    assert measured(luma, chroma, Matrix.BT601).colourfulness == pytest.approx(wanted, rel=1e-3)


def test_strong_colours_are_counted() -> None:
    chroma = flat(0, 0)
    chroma[:, :, :88] = np.array([-0.1, 0.35], np.float32)[:, None, None]
    assert measured(np.full_like(LUMA, 0.4), chroma, Matrix.BT601).strong == pytest.approx(0.25, abs=0.02)
    assert measured(LUMA, flat(0.02, 0.03), Matrix.BT601).strong == 0


@pytest.mark.parametrize(
    ("ab", "strong"), [((45, 10), 1), ((35, 10), 0), ((-45, 10), 0), ((30, -35), 1), ((-5, 50), 0)]
)
def test_reds_and_purples_count_as_strong_sooner(ab: tuple[float, float], strong: float) -> None:
    luma = np.full((64, 64), 0.4, np.float32)
    chroma = chroma_from_ab(luma, np.stack([np.full(luma.shape, value, np.float32) for value in ab]), Matrix.BT601)
    assert measured(luma, chroma, Matrix.BT601).strong == strong


def test_colours_beyond_the_gamut_are_counted_and_those_within_are_not() -> None:
    assert upsampled((10, 10))[0].clipped < 0.05
    assert upsampled((90, 80))[0].clipped > 0.5


def test_small_chroma_is_that_of_the_full_picture() -> None:
    made, luma = upsampled((25, -15))
    codes = np.rint(luma * 255).astype(np.uint8)
    small = made.small(still_spec(8).luma(codes), Matrix.BT601)
    for plane, full in zip(small, made.planes(codes, still_spec(8), codes.shape), strict=True):
        assert np.abs(still_spec(8).chroma_codes(plane).astype(int) - full).max() <= 1


def test_ab_of_rgb_knows_the_corners_of_srgb() -> None:
    rgb = np.array([[[1, 0, 0], [0, 0, 1], [1, 1, 1]]], np.float32)
    assert pytest.approx(np.array([[80.09, 67.2], [79.19, -107.86], [0, 0]]), abs=0.1) == ab_of_rgb(rgb)[:, 0].T


def test_doubt_is_none_where_the_user_decides() -> None:
    verdict = Verdict(SourceTone.TINTED, 0.25, 0, 0, "")
    assert doubt(verdict, TreatAs.AUTO) == 0.75
    assert doubt(verdict, TreatAs.COLOUR) == 0


def test_a_film_has_the_mean_of_its_pictures() -> None:
    dull, bright = (measured(LUMA, flat(0, cr), Matrix.BT709, clipped=cr) for cr in (0.0, 0.2))
    film = averaged([dull, bright], flicker=0.5)
    assert film.colourfulness == pytest.approx(bright.colourfulness / 2, abs=1e-3)
    assert (film.clipped, film.flicker) == (0.1, 0.5)
    with pytest.raises(ValueError, match="no pictures"):
        averaged([])
