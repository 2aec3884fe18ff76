from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from training.degrade import blur, exposed_luminance, grain, old_film, tone_curve  # noqa: E402
from training.lab import luminance_to_lightness  # noqa: E402

Degradation = Callable[..., "torch.Tensor"]
ON_LIGHTNESS = [tone_curve, grain, blur]


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _linear() -> torch.Tensor:
    return torch.rand(6, 3, 24, 40, generator=_rng(9))


def _lightness() -> torch.Tensor:
    return 100 * torch.rand(6, 1, 24, 40, generator=_rng(8))


@pytest.mark.parametrize("degrade", ON_LIGHTNESS)
def test_degradations_keep_the_shape_and_depend_on_the_seed_alone(degrade: Degradation) -> None:
    lightness = _lightness()
    first, again, other = (degrade(lightness, _rng(seed), share=1.0) for seed in (1, 1, 2))
    assert first.shape == lightness.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("degrade", ON_LIGHTNESS)
def test_a_share_of_none_leaves_every_picture_alone(degrade: Degradation) -> None:
    lightness = _lightness()
    assert torch.equal(degrade(lightness, _rng(1), share=0.0), lightness)


@pytest.mark.parametrize("degrade", ON_LIGHTNESS)
def test_a_whole_share_changes_every_picture(degrade: Degradation) -> None:
    lightness = _lightness()
    assert (degrade(lightness, _rng(3), share=1.0) != lightness).flatten(1).any(dim=1).all()


def test_the_eye_sees_rec709_luminance() -> None:
    primaries = torch.eye(3).view(3, 3, 1, 1)
    found = exposed_luminance(primaries, _rng(0), share=0.0).flatten()
    torch.testing.assert_close(found, torch.tensor([0.2126, 0.7152, 0.0722]))


def test_every_emulsion_keeps_white_white_and_black_black() -> None:
    for level in (0.0, 1.0):
        found = exposed_luminance(torch.full((20, 3, 2, 2), level), _rng(0), share=1.0)
        torch.testing.assert_close(found, torch.full((20, 1, 2, 2), level))


def test_emulsions_differ_between_pictures() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(20, 3, 1, 1)
    assert len(torch.unique(exposed_luminance(red, _rng(0), share=1.0))) == 20


def test_old_film_stays_within_lightness_and_depends_on_the_seed_alone() -> None:
    linear = _linear()
    first, again, other = (old_film(linear, _rng(seed), share=1.0) for seed in (1, 1, 2))
    assert first.shape == (6, 1, 24, 40)
    assert 0 <= first.min() <= first.max() <= 100
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_old_film_without_any_share_is_the_photographs_own_lightness() -> None:
    linear = _linear()
    expected = luminance_to_lightness(exposed_luminance(linear, _rng(0), share=0.0)).clamp(0, 100)
    assert torch.equal(old_film(linear, _rng(5), share=0.0), expected)
