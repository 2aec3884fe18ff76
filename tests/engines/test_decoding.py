from __future__ import annotations

import numpy as np
import pytest

from engines.decoding import confidence, likely_colours

CENTRES = np.array([[a, b] for a in range(-40, 41, 10) for b in range(-40, 41, 10)], np.float32)


def _logits(*peaks: tuple[float, float, float]) -> np.ndarray:
    """Logits of one place with peaks of a*, b* and probability."""
    shares = np.full(len(CENTRES), 1e-6, np.float32)
    for a, b, share in peaks:
        shares[np.linalg.norm(CENTRES - (a, b), axis=1).argmin()] += share
    return np.log(shares)[None, :, None, None]


def test_the_likely_colours_are_the_peaks_the_likeliest_first() -> None:
    colours, shares = likely_colours(_logits((30, 20, 0.3), (-20, 10, 0.5), (0, -40, 0.2)), CENTRES)
    np.testing.assert_allclose(colours[0, :, :, 0, 0], [(-20, 10), (30, 20), (0, -40)], atol=0.1)
    np.testing.assert_allclose(shares[0, :, 0, 0], (0.5, 0.3, 0.2), atol=1e-3)


def test_neighbouring_bins_are_one_colour_in_between() -> None:
    colours, shares = likely_colours(_logits((10, 10, 0.3), (20, 10, 0.3), (-30, -30, 0.4)), CENTRES, count=2)
    np.testing.assert_allclose(colours[0, :, :, 0, 0], [(15, 10), (-30, -30)], atol=0.1)
    np.testing.assert_allclose(shares[0, :, 0, 0], (0.6, 0.4), atol=1e-3)


def test_every_place_of_every_picture_has_its_own_colours() -> None:
    both = np.concatenate([_logits((30, 20, 1)), _logits((-20, 10, 1))], axis=3)
    logits = np.concatenate([both, both[..., ::-1]], axis=0)
    colours, shares = likely_colours(logits, CENTRES, count=4)
    assert colours.shape == (2, 4, 2, 1, 2)
    assert shares.shape == (2, 4, 1, 2)
    np.testing.assert_allclose(colours[:, 0, :, 0, :], [[[30, -20], [20, 10]], [[-20, 30], [10, 20]]], atol=0.1)
    assert (shares.sum(axis=1) <= 1 + 1e-5).all()


def test_a_distribution_that_is_used_up_repeats_its_first_colour_with_no_share() -> None:
    certain = np.full((1, 2, 1, 1), -np.inf, np.float32)
    certain[0, 0] = 0
    colours, shares = likely_colours(certain, np.array([[5, 6], [90, 90]], np.float32))
    np.testing.assert_array_equal(colours[0, :, :, 0, 0], [(5, 6)] * 3)
    np.testing.assert_array_equal(shares[0, :, 0, 0], (1, 0, 0))


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="do not give"):
        likely_colours(np.zeros((1, 3, 2, 2), np.float32), CENTRES)


def test_confidence_is_0_for_anything_goes_and_1_for_one_colour() -> None:
    assert confidence(np.zeros((1, 9, 1, 1), np.float32)).item() == pytest.approx(0, abs=1e-6)
    assert confidence(np.float32([[30, 0, 0]]).reshape(1, 3, 1, 1)).item() == pytest.approx(1, abs=1e-3)
