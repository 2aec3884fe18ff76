from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("torch", reason="torch is not installed")

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from training.config import LossConfig  # noqa: E402
from training.losses import (  # noqa: E402
    ColourLoss,
    distances,
    hue_distance,
    mean_drift,
    paleness,
    patch_loss,
    soft_cross_entropy,
)
from training.quantization import AbBins, class_weights  # noqa: E402

NOTHING = LossConfig(classification=0.0, regression=0.0, distance="l2")


@pytest.fixture(scope="module")
def bins() -> AbBins:
    return AbBins()


def _ab(seed: int, count: int = 2, side: int = 6, reach: float = 60) -> torch.Tensor:
    return torch.empty(count, 2, side, side).uniform_(-reach, reach, generator=torch.Generator().manual_seed(seed))


def _flat(a: float, b: float) -> torch.Tensor:
    return torch.tensor([a, b]).view(1, 2, 1, 1).expand(1, 2, 4, 4).clone()


@pytest.mark.parametrize(("kind", "expected"), [("l1", 0.15), ("l2", 0.025), ("huber", (0.6 + 1.7) / 2)])
def test_distances_are_what_their_names_say(kind: str, expected: float) -> None:
    found = distances(_flat(11.0, 22.0), _flat(0.0, 0.0), kind)
    assert found.shape == (1, 4, 4)
    torch.testing.assert_close(found, torch.full((1, 4, 4), expected))


def test_cross_entropy_is_least_for_the_labels_themselves(bins: AbBins) -> None:
    numbers, shares = bins.soft_labels(_ab(0))
    right = torch.zeros(2, len(bins), 6, 6).scatter_add_(1, numbers, shares)
    least = soft_cross_entropy((right + 1e-9).log(), numbers, shares)
    entropy = -(right * (right + 1e-9).log()).sum(dim=1)
    torch.testing.assert_close(least, entropy, atol=1e-3, rtol=1e-3)
    assert (soft_cross_entropy(torch.zeros_like(right), numbers, shares) > least).all()


def test_drift_sees_a_cast_and_not_an_error_that_cancels() -> None:
    truth = _ab(1)
    cast = truth + torch.tensor([6.0, 8.0]).view(1, 2, 1, 1)
    assert mean_drift(cast, truth) == pytest.approx(1.0)
    assert mean_drift(truth.flip(0), truth) == pytest.approx(0.0, abs=1e-4)


def test_hue_distance_sees_other_hues_and_not_other_amounts() -> None:
    truth = _ab(2)
    assert hue_distance(truth / 3, truth) == pytest.approx(0.0, abs=1e-3)
    opposite = hue_distance(_flat(-40.0, 0.0), _flat(40.0, 0.0))
    near = hue_distance(_flat(38.0, 10.0), _flat(40.0, 0.0))
    assert 0 < near < 0.4 < 0.9 < opposite <= 1


def test_paleness_sees_amounts_and_not_hues() -> None:
    assert paleness(_flat(0.0, 10.0), _flat(30.0, 0.0)) == pytest.approx(2.0, abs=1e-3)
    assert paleness(_flat(0.0, 30.0), _flat(30.0, 0.0)) == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("term", [mean_drift, hue_distance, paleness])
def test_terms_against_a_dominant_colour_have_finite_slopes_even_at_grey(
    term: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    for found in (torch.zeros(1, 2, 4, 4), _ab(3)):
        found.requires_grad_(True)
        term(found, _ab(4, len(found), found.shape[2])).backward()
        assert torch.isfinite(found.grad).all()


@pytest.mark.parametrize("objective", ["vanilla", "least-squares"])
def test_a_discriminator_is_right_when_its_sign_is(objective: str) -> None:
    sure = torch.full((2, 1, 3, 3), 1.0 if objective == "least-squares" else 9.0)
    assert patch_loss(sure, real=True, objective=objective) < 1e-3
    assert patch_loss(sure, real=False, objective=objective) >= 1
    undecided = patch_loss(torch.zeros(1, 1, 2, 2), real=True, objective="vanilla")
    assert undecided == pytest.approx(0.693147, abs=1e-5)


def test_classification_adds_rebalanced_cross_entropy_and_the_error_of_the_mean(bins: AbBins) -> None:
    truth, logits = _ab(5), torch.randn(2, len(bins), 6, 6, generator=torch.Generator().manual_seed(6))
    weights = class_weights(bins.frequencies(_ab(7, reach=30)), uniform=0.2, power=0.5)
    config = dataclasses.replace(NOTHING, classification=1.0, regression=0.2, distance="huber")
    terms, found = ColourLoss(config, bins, weights, classifies=True)(logits, truth)
    numbers, shares = bins.soft_labels(truth)
    entropy = 0.0
    for k in range(4):
        picked = F.log_softmax(logits, dim=1).gather(1, numbers[:, k : k + 1])[:, 0]
        entropy = entropy - picked * shares[:, k]
    expected = (entropy * (weights[numbers] * shares).sum(dim=1)).mean()
    torch.testing.assert_close(terms["classification"], expected)
    torch.testing.assert_close(found, bins.decode(logits, 1.0))
    torch.testing.assert_close(terms["regression"], 0.2 * F.smooth_l1_loss(found / 10, truth / 10))
    assert terms.keys() == {"classification", "regression"}


def test_annealing_sharpens_the_mean_that_regression_sees(bins: AbBins) -> None:
    logits = torch.randn(1, len(bins), 2, 2, generator=torch.Generator().manual_seed(6))
    config = dataclasses.replace(NOTHING, classification=1.0, annealing=0.38)
    _, found = ColourLoss(config, bins, torch.ones(len(bins)), classifies=True)(logits, _ab(1, 1, 2))
    torch.testing.assert_close(found, bins.decode(logits, 0.38))


def test_a_regressor_errs_more_dearly_where_the_true_colour_is_rare(bins: AbBins) -> None:
    common, rare = _flat(0.0, 0.0), _flat(60.0, 40.0)
    weights = class_weights(bins.frequencies(torch.cat([common] * 20 + [rare])), uniform=0.1, power=0.5)
    loss = ColourLoss(dataclasses.replace(NOTHING, regression=1.0), bins, weights, classifies=False)
    slip = torch.tensor([10.0, 0.0]).view(1, 2, 1, 1)
    dear, cheap = (loss(truth + slip, truth)[0]["regression"] for truth in (rare, common))
    assert dear > 2 * cheap


def test_only_terms_with_a_weight_are_there(bins: AbBins) -> None:
    everything = dataclasses.replace(NOTHING, regression=1.0, drift=0.5, hue=0.25, paleness=2.0)
    found, truth = _ab(8), _ab(9)
    terms, _ = ColourLoss(everything, bins, torch.ones(len(bins)), classifies=False)(found, truth)
    assert terms.keys() == {"regression", "drift", "hue", "paleness"}
    assert terms["drift"] == pytest.approx(float(0.5 * mean_drift(found, truth)))
    assert terms["hue"] == pytest.approx(float(0.25 * hue_distance(found, truth)))
    assert terms["paleness"] == pytest.approx(float(2 * paleness(found, truth)))
    assert not ColourLoss(NOTHING, bins, torch.ones(len(bins)), classifies=False)(found, truth)[0]


def test_an_rgb_answer_is_compared_as_rgb_and_its_ab_goes_on() -> None:
    answer, truth = torch.full((1, 3, 4, 4), 0.5), torch.full((1, 3, 4, 4), 0.75)
    config = dataclasses.replace(NOTHING, regression=2.0, distance="l2")
    bins = AbBins()
    terms, found = ColourLoss(config, bins, None, classifies=False)(answer, torch.zeros(1, 2, 4, 4), truth)
    assert terms["regression"] == pytest.approx(2 * 0.25**2)
    torch.testing.assert_close(found, torch.zeros(1, 2, 4, 4), atol=0.05, rtol=0)


def test_the_unit_of_the_regression_is_the_sources() -> None:
    found, truth = _flat(64.0, 0.0), _flat(0.0, 0.0)
    torch.testing.assert_close(distances(found, truth, "l2", unit=128.0), torch.full((1, 4, 4), 0.125))


def test_the_nearest_bins_weight_counts_as_in_the_paper() -> None:
    bins = AbBins()
    weights = torch.arange(1.0, len(bins) + 1)
    truth = _flat(3.0, 4.0)
    nearest = torch.cdist(torch.tensor([[3.0, 4.0]]), bins.centres).argmin()
    logits = torch.zeros(1, len(bins), 4, 4)
    config = dataclasses.replace(NOTHING, classification=1.0, rebalance_by="nearest")
    terms, _ = ColourLoss(config, bins, weights, classifies=True)(logits, truth)
    assert terms["classification"] == pytest.approx(float(weights[nearest]) * math.log(len(bins)), rel=1e-5)
