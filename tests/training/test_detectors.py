from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.training.conftest import synthetic_photo
from training.cielab_numpy import lab_to_rgb, rgb_to_lab
from training.detectors import (
    ColourBias,
    at_size,
    blotches,
    checkerboard,
    chroma_sharpness,
    colour_spill,
    corner_excess,
    hue_bias,
    hue_histogram,
    lattice_power,
)

pytestmark = pytest.mark.slow

SEEDS = (0, 1, 2, 3)
ROWS, COLUMNS = np.mgrid[:256, :352]


def photo(seed: int = 0) -> np.ndarray:
    """Discs of a colour on a gradient, in CIELAB; discs have hard edges in luma and in colour."""
    return np.float32(rgb_to_lab(synthetic_photo(seed, 256, 352)))


def with_ab(lab: np.ndarray, ab: np.ndarray) -> np.ndarray:
    return np.concatenate([lab[..., :1], ab], axis=-1).astype(np.float32)


def paler(lab: np.ndarray) -> np.ndarray:
    return lab * np.float32([1, 0.5, 0.5])


def turned(lab: np.ndarray, degrees: float) -> np.ndarray:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return with_ab(lab, lab[..., 1:] @ np.array([[cos, sin], [-sin, cos]]))


def lattice(period: int, *, amplitude: float, axes: str) -> np.ndarray:
    along = {"rows": ROWS, "columns": COLUMNS}
    waves = [np.cos(2 * np.pi * along[axis] / period) for axis in axes.split()]
    return amplitude * np.prod(waves, axis=0)


def board(truth: np.ndarray, lab: np.ndarray) -> float:
    return checkerboard(lattice_power(lab), lattice_power(truth))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("harmless", [lambda lab: lab, paler], ids=["true", "paler"])
def test_true_and_paler_colours_have_no_fault(seed: int, harmless: object) -> None:
    truth = photo(seed)
    lab = harmless(truth)  # type: ignore[operator]
    assert abs(corner_excess(truth, truth)) == 0
    assert board(truth, lab) < 0.05
    assert chroma_sharpness(lab, truth) == pytest.approx(1, abs=1e-3)
    assert colour_spill(lab, truth) == pytest.approx(0, abs=1e-3)
    assert blotches(lab, truth) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_real_chroma_subsampling_is_hardly_a_fault(seed: int) -> None:
    truth = photo(seed)
    half = cv2.resize(truth[..., 1:], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    lab = with_ab(truth, cv2.resize(half, (352, 256), interpolation=cv2.INTER_LINEAR))
    assert board(truth, lab) < 0.3
    assert (colour_spill(lab, truth) or 0) < 0.1
    assert blotches(lab, truth) < 0.002


@pytest.mark.parametrize("corner", [(slice(None, 32), slice(None, 32)), (slice(-32, None), slice(-32, None))])
def test_a_spoiled_corner_is_found(corner: tuple[slice, slice]) -> None:
    truth = photo()
    lab = truth.copy()
    lab[(*corner, 1)] += 40
    assert corner_excess(lab, truth) == pytest.approx(10, abs=0.01)


def test_an_even_cast_is_no_fault_of_the_corners() -> None:
    truth = photo()
    assert corner_excess(truth + np.float32([0, 10, 0]), truth) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("period", [2, 4, 8])
@pytest.mark.parametrize("axes", ["rows", "columns", "rows columns"])
def test_a_lattice_is_measured_in_ab_units_whatever_lies_beneath(period: int, axes: str) -> None:
    pattern = lattice(period, amplitude=3, axes=axes)
    for seed in SEEDS:
        truth = photo(seed)
        lab = truth.copy()
        lab[..., 2] += pattern
        assert board(truth, lab) == pytest.approx(float(np.sqrt((pattern**2).mean())), rel=0.2)


def test_a_checkerboard_that_follows_the_picture_is_found() -> None:
    truth = photo()
    lab = with_ab(truth, truth[..., 1:] * (1 + lattice(8, amplitude=0.2, axes="rows columns"))[..., None])
    assert board(truth, lab) > 10 * max(0.05, board(truth, paler(truth)))


@pytest.mark.parametrize("period", [5, 11])
def test_texture_of_another_period_is_no_checkerboard(period: int) -> None:
    truth = photo()
    lab = truth.copy()
    lab[..., 1] += lattice(period, amplitude=3, axes="rows")
    assert board(truth, lab) < 0.1


def test_blocks_that_the_truth_has_too_are_no_checkerboard() -> None:
    truth = photo()
    truth[..., 1] += lattice(8, amplitude=2, axes="rows")
    assert board(truth, truth) == 0
    assert board(truth, paler(truth)) == 0


def test_blurred_colour_is_less_sharp_the_more_it_is_blurred() -> None:
    truth = photo()
    values = [
        chroma_sharpness(with_ab(truth, cv2.GaussianBlur(truth[..., 1:], (0, 0), sigma)), truth) for sigma in (1, 2, 4)
    ]
    assert 1 > values[0] > values[1] > values[2]  # type: ignore[operator]
    assert values[2] < 0.3  # type: ignore[operator]


def test_colour_smeared_over_edges_spills_the_more_the_wider() -> None:
    truth = photo()
    values = [
        colour_spill(with_ab(truth, cv2.GaussianBlur(truth[..., 1:], (0, 0), sigma)), truth) for sigma in (1, 2, 4)
    ]
    assert 0 <= values[0] < values[1] < values[2]  # type: ignore[operator]
    assert values[2] > 0.15  # type: ignore[operator]


def test_colour_beside_its_edges_spills() -> None:
    truth = photo()
    spill = colour_spill(with_ab(truth, np.roll(truth[..., 1:], 4, axis=1)), truth)
    assert spill is not None
    assert spill > 0.15


def test_spill_is_compared_over_edges_that_both_results_colour() -> None:
    truth = photo()
    blurred = with_ab(truth, cv2.GaussianBlur(truth[..., 1:], (0, 0), 3))
    half = blurred.copy()
    half[:, : half.shape[1] // 2, 1:] = 0
    whole, same = colour_spill(blurred, truth), colour_spill(blurred, truth, also=half)
    assert whole is not None
    assert same is not None
    assert same != pytest.approx(whole)
    assert colour_spill(blurred, truth, also=blurred) == whole
    assert colour_spill(blurred, truth, also=with_ab(truth, np.zeros_like(truth[..., 1:]))) is None


def test_wrong_colours_within_their_edges_do_not_spill_and_are_as_sharp() -> None:
    truth = photo()
    wrong = turned(truth, 120)
    assert colour_spill(wrong, truth) == pytest.approx(0, abs=1e-3)
    assert chroma_sharpness(wrong, truth) == pytest.approx(1, abs=1e-3)


def wall() -> np.ndarray:
    """A flat grey wall with a shadow that falls softly."""
    return np.stack([70 - 20 * COLUMNS / 352, 0 * ROWS, 0 * ROWS], axis=-1).astype(np.float32)


def blob(radius: float) -> np.ndarray:
    return np.exp(-((ROWS - 128) ** 2 + (COLUMNS - 170) ** 2) / (2 * radius**2))


@pytest.mark.parametrize(("a", "b"), [(50, 30), (10, -50)], ids=["red", "blue"])
def test_a_patch_of_colour_on_a_plain_wall_is_found_and_its_size_counts(a: float, b: float) -> None:
    truth = wall()
    shares = []
    for radius in (10, 20, 40):
        lab = truth.copy()
        lab[..., 1] += a * blob(radius)
        lab[..., 2] += b * blob(radius)
        shares.append(blotches(lab, truth))
    assert 0.004 < shares[0] < shares[1] < shares[2] < 0.2


def test_the_grey_around_a_coloured_thing_is_no_patch() -> None:
    lab = wall()
    lab[64:192, 100:240, 1] = 60
    covered = 128 * 140 / (256 * 352)
    assert blotches(lab, wall()) <= covered


def test_a_patch_that_the_truth_has_too_is_none_and_a_second_one_is() -> None:
    truth = wall()
    truth[..., 1] += 40 * blob(20)
    assert blotches(truth, truth) == blotches(paler(truth), truth) == 0
    assert blotches(wall(), truth) == 0
    lab = truth.copy()
    lab[..., 1] += 40 * np.roll(blob(20), 120, axis=1)
    assert blotches(lab, truth) > 0.01


def test_a_thing_with_an_outline_may_have_any_colour() -> None:
    truth = wall()
    thing = (ROWS - 128) ** 2 + (COLUMNS - 170) ** 2 < 20**2
    truth[thing, 0] -= 40
    lab = truth.copy()
    lab[thing, 1] = 50
    patch = wall()
    patch[thing, 1] = 50
    assert blotches(lab, truth) < blotches(patch, wall()) / 3


def test_grey_results_and_grey_truths_have_nothing_to_measure() -> None:
    truth = photo()
    grey = truth * np.float32([1, 0, 0])
    for lab, against in ((grey, truth), (truth, grey), (grey, grey)):
        assert chroma_sharpness(lab, against) is None
        assert colour_spill(lab, against) is None
    assert blotches(grey, truth) == 0
    assert board(truth, grey) == 0


def test_a_picture_without_edges_has_no_sharpness() -> None:
    lab = wall() + np.float32([0, 20, 20])
    assert chroma_sharpness(lab, lab) is None


@pytest.mark.parametrize(("height", "width"), [(64, 64), (512, 704), (8, 300)])
def test_pictures_are_seen_at_the_size_asked_for(height: int, width: int) -> None:
    lab = rgb_to_lab(synthetic_photo(4, height, width))
    seen = at_size(lab, 128, 160)
    assert seen.shape == (128, 160, 3)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen.mean(axis=(0, 1)), lab.mean(axis=(0, 1)), atol=2.5)


def _flat(*rgb: int) -> np.ndarray:
    return np.full((8, 8, 3), rgb, np.uint8)


def test_hue_bias_is_nothing_for_paler_colours_of_the_same_hues() -> None:
    lab = rgb_to_lab(synthetic_photo(7))
    assert hue_bias(hue_histogram(lab * [1, 0.5, 0.5]), hue_histogram(lab)) == pytest.approx(0)


def test_hue_bias_is_whole_when_no_hue_is_shared() -> None:
    red, blue = (hue_histogram(rgb_to_lab(_flat(*rgb))) for rgb in ((200, 0, 0), (0, 0, 200)))
    assert hue_bias(red, blue) == 1


def test_hue_bias_of_brown_for_everything_exceeds_that_of_small_errors() -> None:
    truth = rgb_to_lab(synthetic_photo(8))
    brown = np.broadcast_to([50.0, 10.0, 20.0], truth.shape)
    true_hues = hue_histogram(truth)
    small, large = hue_bias(hue_histogram(turned(truth, 10)), true_hues), hue_bias(hue_histogram(brown), true_hues)
    assert small is not None
    assert large is not None
    assert large > max(0.6, small)


def test_grey_has_no_hue_bias() -> None:
    lab = rgb_to_lab(synthetic_photo(9))
    assert hue_bias(hue_histogram(lab * [1, 0, 0]), hue_histogram(lab)) is None


def test_the_colour_bias_of_a_set_is_over_its_pixels_and_not_a_mean_of_pictures() -> None:
    red, blue = (rgb_to_lab(_flat(*rgb)) for rgb in ((200, 0, 0), (0, 0, 200)))
    exchanged = ColourBias()
    for lab, truth in ((red, blue), (blue, red)):
        one = ColourBias()
        one.add(lab, truth)
        assert one.hue_bias() == 1
        assert abs(one.shift()[1]) > 100
        exchanged.merge(one)
    assert exchanged.hue_bias() == pytest.approx(0)
    assert exchanged.shift() == pytest.approx((0, 0))


def test_a_cast_shows_in_the_shift() -> None:
    truth = rgb_to_lab(lab_to_rgb(photo()))
    bias = ColourBias()
    bias.add(truth + np.array([0, 3.0, -5.0]), truth)
    assert bias.shift() == pytest.approx((3, -5))
