from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("torch", reason="torch is not installed")

import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch import Tensor  # noqa: E402

from tests.training.conftest import synthetic_photo  # noqa: E402
from training.cielab_torch import decode_srgb, luminance_to_lightness  # noqa: E402
from training.degrade import SHARES, old_film  # noqa: E402
from training.degrade.compression import jpeg, video  # noqa: E402
from training.degrade.exposure import emulsion, fading, gamma, seen_luminance, tone, vignette  # noqa: E402
from training.degrade.random_values import noise  # noqa: E402
from training.degrade.surface import blur, dust, grain, scratches  # noqa: E402

Degradation = Callable[..., Tensor]
ON_LIGHTNESS = [blur, tone, grain, fading, dust, scratches, gamma, jpeg, video]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def _rng(seed: int, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def _linear(count: int = 6) -> Tensor:
    photos = np.stack([synthetic_photo(seed, 50, 68) for seed in range(count)])
    return decode_srgb(torch.from_numpy(photos).permute(0, 3, 1, 2) / 255)


def _lightness(count: int = 6) -> Tensor:
    return luminance_to_lightness(seen_luminance(_linear(count)))


def _flat(level: float, count: int = 20, side: int = 96) -> Tensor:
    return torch.full((count, 1, side, side), float(level))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("degrade", ON_LIGHTNESS)
def test_a_degradation_keeps_the_shape_and_depends_on_the_seed_alone(degrade: Degradation, device: str) -> None:
    lightness = _lightness().to(device)
    before = lightness.clone()
    first, again, other = (degrade(lightness, _rng(seed, device)) for seed in (1, 1, 2))
    assert first.shape == lightness.shape
    assert first.device == lightness.device
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(lightness, before)


@pytest.mark.parametrize("degrade", [one for one in ON_LIGHTNESS if one is not dust])
def test_a_degradation_changes_every_picture_by_its_own_strength(degrade: Degradation) -> None:
    lightness = _lightness(1).expand(8, -1, -1, -1).contiguous()
    answer = degrade(lightness, _rng(3))
    assert (answer != lightness).flatten(1).any(dim=1).all()
    assert len(torch.unique(answer.flatten(1), dim=0)) == 8


@pytest.mark.parametrize("degrade", ON_LIGHTNESS)
def test_a_degraded_picture_is_still_the_picture(degrade: Degradation) -> None:
    lightness = _lightness()
    answer = degrade(lightness, _rng(4))
    for before, after in zip(lightness.flatten(1), answer.flatten(1), strict=True):
        assert torch.corrcoef(torch.stack([before, after]))[0, 1] > 0.7


def test_the_eye_sees_rec709_luminance() -> None:
    primaries = torch.eye(3).view(3, 3, 1, 1)
    torch.testing.assert_close(seen_luminance(primaries).flatten(), torch.tensor([0.2126, 0.7152, 0.0722]))


def test_every_emulsion_keeps_white_white_and_black_black() -> None:
    for level in (0.0, 1.0):
        found = emulsion(torch.full((20, 3, 2, 2), level), _rng(0))
        torch.testing.assert_close(found, torch.full((20, 1, 2, 2), level))


def test_some_emulsions_are_blind_to_red_and_some_are_not() -> None:
    red, _, blue = torch.eye(3).view(3, 1, 3, 1, 1).expand(3, 300, 3, 1, 1)
    of_red, of_blue = emulsion(red, _rng(0)).flatten(), emulsion(blue, _rng(0)).flatten()
    assert len(torch.unique(of_red)) == 300
    assert 0.5 < (of_red < 0.12).float().mean() < 0.8
    assert 0.2 < (of_red > 0.2).float().mean() < 0.5
    assert 0.2 < (of_blue > 0.65).float().mean() < 0.5
    assert of_blue.mean() > of_red.mean()


def test_a_vignette_darkens_the_corners_and_never_brightens() -> None:
    luminance = _flat(0.5)
    answer = vignette(luminance, _rng(1))
    assert answer.max() <= 0.5
    assert answer.min() > 0.05
    corners = answer[..., [0, 0, -1, -1], [0, -1, 0, -1]].mean(dim=2).flatten()
    assert (answer[..., 32:64, 32:64].mean(dim=(1, 2, 3)) > corners).all()


@pytest.mark.parametrize("degrade", [tone, gamma])
def test_curves_keep_black_white_and_the_order_of_greys(degrade: Degradation) -> None:
    greys = torch.linspace(0, 100, 50).view(1, 1, 1, 50).expand(30, 1, 1, 50)
    answer = degrade(greys, _rng(2))
    torch.testing.assert_close(answer[..., 0], torch.zeros(30, 1, 1), atol=1e-3, rtol=0)
    torch.testing.assert_close(answer[..., -1], torch.full((30, 1, 1), 100.0), atol=1e-3, rtol=0)
    assert (answer.diff() > 0).all()


def test_curves_go_either_way() -> None:
    middle = _flat(50, count=40, side=1)
    for degrade in (tone, gamma):
        answer = degrade(middle, _rng(3))
        assert answer.min() < 45
        assert answer.max() > 55


def test_fading_takes_contrast_from_both_ends() -> None:
    black, white = fading(_flat(0), _rng(4)), fading(_flat(100), _rng(4))
    assert (black >= 0).all()
    assert (white <= 100).all()
    assert (white - black > 50).all()
    assert (white - black < 99).any()


def test_blur_keeps_the_mean_and_softens_edges() -> None:
    edge = torch.zeros(20, 1, 32, 32)
    edge[..., 16:] = 100
    answer = blur(edge, _rng(5))
    torch.testing.assert_close(answer.mean(dim=(1, 2, 3)), torch.full((20,), 50.0))
    assert (answer.diff(dim=3).amax(dim=(1, 2, 3)) < 95).all()


def test_grain_has_no_mean_is_strongest_in_middle_tones_and_has_several_sizes() -> None:
    answer = grain(_flat(50), _rng(6)) - 50
    sigma = answer.std(dim=(1, 2, 3))
    assert answer.mean().abs() < 0.2
    assert 0.1 < sigma.min() < sigma.max() < 8
    assert (grain(_flat(5), _rng(6)) - 5).std() < 0.7 * answer.std()
    correlation = (answer[..., 1:] * answer[..., :-1]).mean(dim=(1, 2, 3)) / sigma.square()
    assert correlation.max() - correlation.min() > 0.2


@pytest.mark.parametrize("scale", [1, 2, 3, 5])
def test_noise_has_the_size_of_its_scale_and_no_favoured_side(scale: int) -> None:
    answer = noise(_flat(0, count=30, side=61), _rng(7), scale=scale)
    assert answer.shape == (30, 1, 61, 61)
    assert answer.mean().abs() < 0.1
    assert abs(answer.std() - 1) < 0.1
    correlation = (answer[..., 1:] * answer[..., :-1]).mean() / answer.square().mean()
    assert abs(correlation - {1: 0, 2: 0.74, 3: 0.87, 5: 0.95}[scale]) < 0.1


def test_scratches_are_few_thin_and_nearly_upright() -> None:
    changed = (scratches(_flat(50), _rng(8)) - 50).abs() > 1
    assert changed.any(dim=2).flatten(1).any(dim=1).all()
    assert changed.float().mean(dim=(1, 2, 3)).max() < 0.12
    assert changed.float().sum(dim=3).max() <= 12
    columns = changed.any(dim=2).sum(dim=2)
    assert columns.max() < 24
    signs = torch.sign(scratches(_flat(50), _rng(8)) - 50)
    assert signs.min() == -1
    assert signs.max() == 1


def test_dust_is_black_or_white_and_covers_little() -> None:
    moved = dust(_flat(50, count=40), _rng(9)) - 50
    for picture in moved:
        assert (picture >= 0).all() or (picture <= 0).all()
    cover = (moved.abs() > 10).float().mean(dim=(1, 2, 3))
    assert (cover > 0).float().mean() > 0.7
    assert 0.0002 < cover.mean() < 0.03
    assert cover.max() < 0.06
    assert moved.min() < -25
    assert moved.max() > 25


def test_jpeg_errs_as_jpeg_does() -> None:
    photos = [synthetic_photo(seed, 64, 96).mean(axis=2).astype(np.uint8) for seed in range(8)]
    codes = torch.from_numpy(np.stack(photos)[:, None]).float()
    ours = 2.55 * jpeg(codes / 2.55, _rng(10)) - codes
    theirs = []
    for photo, quality in zip(photos, 8 * [36], strict=True):
        buffer = io.BytesIO()
        Image.fromarray(photo).save(buffer, "JPEG", quality=quality)
        theirs.append(np.asarray(Image.open(buffer), np.float32) - photo)
    assert 0.5 < ours.std() / np.std(theirs) < 2


@pytest.mark.parametrize("degrade", [jpeg, video])
def test_compression_keeps_flat_pictures_flat_and_near(degrade: Degradation) -> None:
    for seed in range(4):
        answer = degrade(_flat(37.3, side=50), _rng(seed))
        torch.testing.assert_close(answer, answer[..., :1, :1].expand_as(answer), atol=1e-3, rtol=0)
        assert (answer - 37.3).abs().max() < 4


@pytest.mark.parametrize("degrade", [jpeg, video])
def test_compression_leaves_less_detail(degrade: Degradation) -> None:
    rough = 50 + 5 * torch.randn(8, 1, 64, 64, generator=_rng(1))
    assert (degrade(rough, _rng(11)).diff(dim=3).abs().mean() < 0.8 * rough.diff(dim=3).abs().mean()).all()


@pytest.mark.parametrize("device", DEVICES)
def test_old_film_stays_within_lightness_and_depends_on_the_seed_alone(device: str) -> None:
    linear = _linear().to(device)
    before = linear.clone()
    first, again, other = (old_film(linear, _rng(seed, device), share=1.0) for seed in (1, 1, 2))
    assert first.shape == (6, 1, 50, 68)
    assert 0 <= first.min() <= first.max() <= 100
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(linear, before)


def test_old_film_without_any_share_is_the_photographs_own_lightness() -> None:
    assert torch.equal(old_film(_linear(), _rng(5), share=0.0), _lightness().clamp(0, 100))


def test_a_share_of_the_pictures_is_old() -> None:
    linear = _linear(1).expand(200, -1, -1, -1)[..., :8, :8]
    clean = luminance_to_lightness(seen_luminance(linear))
    for share in (0.3, 1.0):
        old = (old_film(linear, _rng(6), share=share) != clean).flatten(1).any(dim=1).float().mean()
        assert abs(old - share) < 0.1


def test_without_every_degradation_nothing_happens() -> None:
    answer = old_film(_linear(), _rng(7), share=1.0, without=frozenset(SHARES))
    assert torch.equal(answer, _lightness().clamp(0, 100))


@pytest.mark.parametrize("name", list(SHARES))
def test_each_degradation_can_be_had_alone_and_left_out(name: str) -> None:
    linear = _linear(1).expand(60, -1, -1, -1)
    clean = _lightness(1).clamp(0, 100)
    alone = old_film(linear, _rng(8), share=1.0, without=frozenset(SHARES) - {name})
    changed = ((alone - clean).abs() > 1e-4).flatten(1).any(dim=1).float().mean()
    assert abs(changed - SHARES[name]) < 0.2
    assert not torch.equal(old_film(linear, _rng(8), share=1.0, without=frozenset({name})), alone)


def test_an_unknown_degradation_cannot_be_left_out() -> None:
    with pytest.raises(ValueError, match="sepia"):
        old_film(_linear(), _rng(1), share=0.5, without=frozenset({"sepia", "grain"}))
