from __future__ import annotations

import math

import numpy as np
import pytest

from tests.training.conftest import synthetic_photo
from training.cielab_numpy import lab_to_rgb, rgb_to_lab
from training.metrics import (
    RebalancedAuc,
    argmax_agreement,
    ciede2000,
    colourfulness,
    error_credit,
    psnr,
)

pytestmark = pytest.mark.slow

# Sharma, Wu, Dalal 2005, table 1: two CIELAB colours and their CIEDE2000.
SHARMA_PAIRS = np.array(
    [
        (50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425),
        (50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615),
        (50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412),
        (50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669),
        (50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461),
        (50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065),
        (50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492),
        (50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977),
        (50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030),
        (50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000),
        (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
        (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630),
        (61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731),
        (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
        (22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373),
        (36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
        (90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441),
        (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
        (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
        (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
    ]
)


def _flat(*rgb: int) -> np.ndarray:
    return np.full((8, 8, 3), rgb, np.uint8)


def _grey(picture: np.ndarray) -> np.ndarray:
    return lab_to_rgb(rgb_to_lab(picture) * [1, 0, 0])


def test_ciede2000_is_that_of_the_published_pairs_both_ways() -> None:
    first, second, expected = SHARMA_PAIRS[:, :3], SHARMA_PAIRS[:, 3:6], SHARMA_PAIRS[:, 6]
    np.testing.assert_allclose(ciede2000(first, second), expected, atol=5.1e-5)
    np.testing.assert_allclose(ciede2000(second, first), expected, atol=5.1e-5)


def test_ciede2000_keeps_the_shape_of_a_picture_and_is_zero_for_equal_colours() -> None:
    lab = rgb_to_lab(synthetic_photo(3))
    difference = ciede2000(lab, lab)
    assert difference.shape == lab.shape[:2]
    assert difference.max() == 0


def test_psnr_of_a_known_difference() -> None:
    assert psnr(_flat(10, 10, 10), _flat(20, 20, 20)) == pytest.approx(10 * math.log10(255**2 / 100))


def test_psnr_does_not_wrap_in_uint8() -> None:
    assert psnr(_flat(0, 0, 0), _flat(255, 255, 255)) == 0


def test_psnr_of_equal_pictures_is_infinite() -> None:
    assert math.isinf(psnr(_flat(1, 2, 3), _flat(1, 2, 3)))


def test_grey_has_no_colourfulness() -> None:
    assert colourfulness(_grey(synthetic_photo(1))) == 0


def test_colourfulness_of_a_flat_colour_is_three_tenths_of_its_opponent_distance() -> None:
    assert colourfulness(_flat(200, 100, 50)) == pytest.approx(0.3 * math.hypot(100, 100))


def test_colourfulness_counts_the_spread_of_opponent_colours() -> None:
    picture = np.concatenate([_flat(255, 0, 0), _flat(0, 255, 0)])
    # rg is +-255 (mean 0, deviation 255), yb is 127.5 everywhere.
    assert colourfulness(picture) == pytest.approx(255 + 0.3 * 127.5)


def test_credit_falls_by_one_151st_for_each_whole_unit_of_ab() -> None:
    truth = np.zeros((1, 5, 3))
    lab = truth.copy()
    lab[0, :, 1] = [0, 0.99, 1, -30.5, 500]
    np.testing.assert_allclose(error_credit(lab, truth)[0], [1, 1, 150 / 151, 121 / 151, 0])


def test_auc_is_the_mean_share_of_pixels_within_each_threshold() -> None:
    rng = np.random.default_rng(0)
    lab, truth = rng.uniform(-60, 60, (2, 20, 30, 3))
    distance = np.hypot(*(lab - truth)[..., 1:].transpose(2, 0, 1))
    shares = [(np.floor(distance) <= threshold).mean() for threshold in range(151)]
    assert error_credit(lab, truth).mean() == pytest.approx(np.mean(shares))


def test_rebalanced_auc_lets_rare_colours_count_as_much_as_common_ones() -> None:
    truth = np.zeros((10, 10, 3))
    truth[0, 0, 1] = 50
    credit = np.ones((10, 10))
    credit[0, 0] = 0
    rebalanced = RebalancedAuc()
    rebalanced.add(credit[:5], truth[:5])
    rebalanced.add(credit[5:], truth[5:])
    assert rebalanced.value() == pytest.approx(0.5)


def test_rebalanced_auc_leaves_out_colours_of_a_handful_of_pixels() -> None:
    truth = np.zeros((200, 200, 3))
    truth[0, :4, 1] = 50
    credit = np.ones((200, 200))
    credit[0, :4] = 0
    rebalanced = RebalancedAuc()
    rebalanced.add(credit, truth)
    assert rebalanced.value() == 1


def test_argmax_agreement_of_a_perfect_prediction_is_whole() -> None:
    lab = rgb_to_lab(synthetic_photo(5))
    assert argmax_agreement(lab, lab) == 1


def test_argmax_agreement_compares_which_of_a_and_b_is_larger() -> None:
    truth = np.array([[[50, 10, 0], [50, 10, 0], [50, -20, 5], [50, 3, 2]]], float)
    lab = np.array([[[50, 1, 0], [50, 0, 1], [50, -1, 0], [50, 2, 3]]], float)
    assert argmax_agreement(lab, truth) == 0.5


def test_grey_scores_a_coins_half_in_argmax_agreement_wherever_there_is_colour() -> None:
    colour = np.array([[[200, 40, 30], [10, 90, 200]]], np.uint8)
    half_grey = np.array([[[200, 40, 30], [90, 90, 90]]], np.uint8)
    for truth, expected in ((colour, 0.5), (half_grey, 0.75)):
        assert argmax_agreement(rgb_to_lab(_grey(truth)), rgb_to_lab(truth)) == expected
