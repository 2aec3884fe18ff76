from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("torch", reason="torch is not installed")

import torch  # noqa: E402

from training.architectures.patchgan import PatchGAN  # noqa: E402


def _pictures(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    lightness = 100 * torch.rand(2, 1, height, width, generator=rng)
    return lightness, 80 * torch.rand(2, 2, height, width, generator=rng) - 40


@pytest.mark.parametrize(("height", "width"), [(32, 32), (128, 96), (256, 256)])
def test_there_is_a_logit_for_every_patch(height: int, width: int) -> None:
    discriminator = PatchGAN(width=8).eval()
    with torch.inference_mode():
        assert discriminator(*_pictures(height, width)).shape == (2, 1, height // 8 - 2, width // 8 - 2)


def test_a_patch_is_70_pixels_wide_and_high_in_lightness_and_in_colour() -> None:
    torch.manual_seed(2)
    discriminator = PatchGAN(width=8).eval()
    inputs = [one.requires_grad_() for one in _pictures(160, 160)]
    logits = discriminator(*inputs)
    for gradient in torch.autograd.grad(logits[0, 0, 9, 9], inputs):
        seen = gradient[0].abs().sum(dim=0) > 0
        assert not gradient[1].any()
        for side in (0, 1):
            places = seen.any(dim=side).nonzero().flatten()
            assert places.max() - places.min() + 1 == 70


def test_a_step_of_training_reaches_every_parameter_and_tells_true_from_false_better() -> None:
    torch.manual_seed(3)
    discriminator = PatchGAN()
    lightness, ab = _pictures(64, 64)

    def loss() -> torch.Tensor:
        softplus = torch.nn.functional.softplus
        return softplus(-discriminator(lightness, ab)).mean() + softplus(discriminator(lightness, 0 * ab)).mean()

    before, parameters = loss(), list(discriminator.parameters())
    gradients = torch.autograd.grad(before, parameters)
    assert all(gradient.any() and gradient.isfinite().all() for gradient in gradients)
    length = torch.stack([gradient.norm() for gradient in gradients]).norm()
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= 0.01 * gradient / length
    assert loss() < before
