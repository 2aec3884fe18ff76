from __future__ import annotations

import math

import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")

from training.cielab_torch import rgb_to_lab  # noqa: E402
from training.quantization import GRID, AbBins, ZhangBins, ab_bins, class_weights, gamut_bins, hull_bins, smoothed  # noqa: E402


@pytest.fixture(scope="module")
def bins() -> AbBins:
    return AbBins()


def test_bins_lie_on_the_grid_and_include_grey(bins: AbBins) -> None:
    assert torch.equal(bins.centres, torch.round(bins.centres / GRID) * GRID)
    assert (bins.centres == 0).all(dim=1).sum() == 1
    assert len(torch.unique(bins.centres, dim=0)) == len(bins) == len(gamut_bins())


def test_every_srgb_colour_has_a_bin_within_half_a_cell(bins: AbBins) -> None:
    rgb = torch.rand(1, 3, 1, 4000, generator=torch.Generator().manual_seed(1))
    ab = rgb_to_lab(rgb)[0, 1:, 0].T
    nearest = (ab[:, None] - bins.centres[None]).abs().amax(dim=2).amin(dim=1)
    # The bins come from a cube of 52 steps, so colours between its points may lie a little further out.
    assert nearest.quantile(0.99) <= GRID / 2
    assert nearest.max() < GRID


def test_soft_labels_sum_to_one_and_are_not_negative(bins: AbBins) -> None:
    ab = torch.empty(2, 2, 9, 9).uniform_(-130, 130, generator=torch.Generator().manual_seed(2))
    numbers, weights = bins.soft_labels(ab)
    assert numbers.shape == weights.shape == (2, 4, 9, 9)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, 9, 9))
    assert weights.min() >= 0
    assert 0 <= int(numbers.min()) <= int(numbers.max()) < len(bins)


def test_the_weighted_mean_of_soft_labels_is_the_value_itself(bins: AbBins) -> None:
    known = {tuple(centre) for centre in bins.centres.tolist()}
    ab = torch.empty(1, 2, 1, 5000).uniform_(-45, 45, generator=torch.Generator().manual_seed(0))
    corners = (ab[0, :, 0].T / GRID).floor() * GRID
    around = torch.tensor([[0.0, 0.0], [0, GRID], [GRID, 0], [GRID, GRID]])
    whole = [all(tuple(point) in known for point in (corner + around).tolist()) for corner in corners]
    ab = ab[..., torch.tensor(whole)]
    assert ab.shape[-1] > 2000
    numbers, weights = bins.soft_labels(ab)
    mean = (bins.centres[numbers] * weights[..., None]).sum(dim=1)
    torch.testing.assert_close(mean.permute(0, 3, 1, 2), ab, atol=1e-3, rtol=0)


def test_certain_logits_decode_to_their_bin(bins: AbBins) -> None:
    logits = torch.full((1, len(bins), 1, len(bins)), -50.0)
    logits[0, torch.arange(len(bins)), 0, torch.arange(len(bins))] = 50
    torch.testing.assert_close(bins.decode(logits, 1.0)[0, :, 0].T, bins.centres)


def test_a_low_temperature_leans_towards_the_likeliest_colour(bins: AbBins) -> None:
    logits = torch.full((1, len(bins), 1, 1), -50.0)
    logits[0, 0], logits[0, -1] = 1.0, 0.0
    likeliest = bins.centres[0]
    near, far = ((bins.decode(logits, temperature)[0, :, 0, 0] - likeliest).norm() for temperature in (0.2, 1.0))
    assert near < far


def test_frequencies_are_shares(bins: AbBins) -> None:
    ab = torch.zeros(1, 2, 4, 4)
    frequencies = bins.frequencies(ab)
    assert frequencies.sum() == pytest.approx(1)
    assert frequencies.max() == pytest.approx(1)


def test_the_corners_of_the_cells_that_the_hull_of_srgb_overlaps_are_zhangs_313_bins() -> None:
    points = hull_bins()
    assert points.shape == (313, 2)
    known = {tuple(point) for point in points.tolist()}
    assert known > {tuple(centre) for centre in gamut_bins().tolist()}
    # A convex set of grid points has no gaps along either axis.
    for axis in (0, 1):
        for value in points[:, axis].unique():
            line = points[points[:, axis] == value][:, 1 - axis].sort().values
            assert torch.equal(line.diff(), torch.full((len(line) - 1,), GRID))


def test_zhangs_soft_labels_are_a_gaussian_over_the_five_nearest_bins() -> None:
    bins = ZhangBins()
    ab = torch.empty(2, 2, 4, 3).uniform_(-130, 130, generator=torch.Generator().manual_seed(3))
    ab[0, :, 0, 0] = torch.tensor([20.0, -30.0])
    numbers, shares = bins.soft_labels(ab)
    assert numbers.shape == shares.shape == (2, 5, 4, 3)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2, 4, 3))
    there = bins.centres[numbers[0, :, 0, 0]]
    assert there[0].tolist() == [20.0, -30.0]
    squares = (there - ab[0, :, 0, 0]).square().sum(dim=1)
    assert sorted(squares.tolist()) == [0, 100, 100, 100, 100]
    torch.testing.assert_close(shares[0, :, 0, 0] / shares[0, 0, 0, 0], torch.exp(-squares / 50))


@pytest.mark.parametrize(("name", "count"), [("gamut260", 260), ("zhang313", 313)])
def test_bins_are_as_many_as_their_name_says(name: str, count: int) -> None:
    bins = ab_bins(name)
    assert len(bins) == count
    assert bins.frequencies(torch.full((1, 2, 3, 3), 12.0)).sum() == pytest.approx(1)
    assert bins.decode(torch.zeros(1, count, 2, 2), 1.0).shape == (1, 2, 2, 2)


def test_class_weights_have_a_mean_of_one_over_the_data_and_raise_the_rare() -> None:
    frequencies = torch.tensor([0.9, 0.09, 0.01])
    weights = class_weights(frequencies, uniform=0.5, power=1.0)
    assert (weights * frequencies).sum() == pytest.approx(1)
    assert weights[0] < weights[1] < weights[2]
    assert torch.equal(class_weights(frequencies, uniform=0.5, power=0.0), torch.ones(3))


def test_shares_are_smoothed_over_the_plane_and_stay_shares() -> None:
    bins = ab_bins("zhang313")
    one = torch.zeros(len(bins))
    grey = int(torch.cdist(torch.zeros(1, 2), bins.centres).argmin())
    one[grey] = 1
    spread = smoothed(one, bins, sigma=5.0)
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    assert spread.argmax() == grey
    beside = int(torch.cdist(torch.tensor([[10.0, 0.0]]), bins.centres).argmin())
    assert spread[beside] / spread[grey] == pytest.approx(math.exp(-2), rel=0.05)


def test_a_value_can_count_for_its_nearest_bin_alone() -> None:
    bins = ab_bins("zhang313")
    shares = bins.frequencies(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1), nearest=True)
    assert shares.max() == 1
    assert tuple(bins.centres[shares.argmax()].tolist()) == (0.0, 0.0)
