from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")

import torch.nn.functional as F  # noqa: E402

from training.architectures.blocks import double  # noqa: E402
from training.architectures.coherent import GROWN, Coherence, Coherent  # noqa: E402
from training.architectures.resnet18_bins import ResNet18Bins  # noqa: E402


@pytest.fixture(scope="module")
def grown() -> tuple[ResNet18Bins, Coherent]:
    torch.manual_seed(0)
    small, large = ResNet18Bins(7).eval(), Coherent(7, scene32=1, scene16=1).eval()
    missing, unexpected = large.load_state_dict(small.state_dict(), strict=False)
    assert {name.partition(".")[0] for name in missing} == GROWN
    assert not unexpected
    return small, large


def test_what_is_grown_begins_silent(grown: tuple[ResNet18Bins, Coherent]) -> None:
    small, large = grown
    lightness = torch.rand(2, 1, 64, 96) * 100
    hints = torch.rand(2, 3, 16, 24)
    with torch.inference_mode():
        expected = small.features(lightness)
        torch.testing.assert_close(large.evidence(lightness), expected)
        torch.testing.assert_close(large.evidence(lightness, hints), expected)


def test_no_hints_are_the_same_as_hints_of_nothing(grown: tuple[ResNet18Bins, Coherent]) -> None:
    _, large = grown
    lightness = torch.rand(1, 1, 64, 64) * 100
    for path in large.hints.paths:
        torch.nn.init.normal_(path[2].weight)
    with torch.inference_mode():
        without, nothing = large(lightness), large(lightness, torch.zeros(1, 3, 16, 16))
        told = large(lightness, F.pad(torch.full((1, 3, 1, 1), 1.0), (8, 7, 8, 7)))
    torch.testing.assert_close(nothing, without)
    assert (told - without).abs().max() > 0.1


def test_every_part_learns(grown: tuple[ResNet18Bins, Coherent]) -> None:
    _, large = grown
    logits, evidence = large.train().with_evidence(torch.rand(2, 1, 64, 64) * 100, torch.rand(2, 3, 16, 16))
    assert logits.shape == (2, 7, 16, 16)
    assert evidence.shape == (2, 7, 8, 8)
    (logits.square().mean() + evidence.square().mean()).backward()
    assert all(parameter.grad is not None for parameter in large.parameters())


def test_coherence_is_the_mean_over_places_that_look_alike() -> None:
    torch.manual_seed(1)
    coherence, features, lightness = Coherence(64), torch.rand(1, 64, 8, 12), torch.rand(1, 1, 32, 48) * 100
    coherence.compare_as_they_are(features)
    places, tone = F.avg_pool2d(features, 2)[0], F.avg_pool2d(lightness, 8).flatten()
    vectors = places.flatten(1).T
    rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(6.0), indexing="ij")
    where = torch.stack([rows.flatten(), columns.flatten()], dim=1) / 4
    cosines = F.cosine_similarity(vectors[:, None], vectors[None], dim=2)
    far = torch.cdist(where, where).square() / (2 * 0.2**2)
    unlike = (tone[:, None] - tone).square() / (2 * 25**2)
    weights = ((cosines - 1) / 0.1 - far - unlike).exp()
    mean = (weights / weights.sum(dim=1, keepdim=True)) @ vectors
    expected = features + double((mean - vectors).T.reshape(1, 64, 4, 6))
    with torch.inference_mode():
        torch.testing.assert_close(coherence(features, lightness), expected, atol=1e-4, rtol=1e-4)


def test_one_colour_everywhere_stays_as_it_is() -> None:
    features = torch.rand(1, 96, 1, 1).expand(1, 96, 16, 16).contiguous()
    with torch.inference_mode():
        torch.testing.assert_close(Coherence(96)(features, torch.rand(1, 1, 64, 64) * 100), features)
