"""What every generator promises, each as it is registered."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("torch", reason="torch is not installed")

import torch  # noqa: E402
from torch import nn  # noqa: E402

from training.architectures import ARCHITECTURES, GAMUT_BINS, ZHANG_BINS  # noqa: E402
from training.quantization import AbBins  # noqa: E402

MILLIONS = {
    "fine": 37.7,
    "resnet18-bins": 5.5,
    "resnet18-unet": 31.1,
    "vgg16-autoencoder": 16.3,
    "encoder-decoder-6": 17.4,
    "unet-plain": 7.0,
    "unet-simple": 2.3,
    "unet-vae": 1.1,
    "unet-vae-4": 0.4,
    "pix2pix-unet": 54.4,
    "pix2pix-unet-7": 41.8,
    "pix2pix-unet-rgb": 10.5,
    "zhang2016": 32.2,
    "coherent": 11.4,
    "coherent-medium": 8.1,
    "coherent-small": 5.5,
    "coherent-fixed": 5.5,
}
COLOURS = {None: 2, "gamut260": GAMUT_BINS, "zhang313": ZHANG_BINS}


# Of these kinds: with evidence, with a latent, with bins. The others are larger or like them.
SLOW = ("coherent-small", "unet-vae-4", "resnet18-bins")


@pytest.fixture(
    scope="module",
    params=[*SLOW, *(pytest.param(name, marks=pytest.mark.nightly) for name in ARCHITECTURES if name not in SLOW)],
)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(name: str) -> nn.Module:
    torch.manual_seed(3)
    built = ARCHITECTURES[name].build()
    # What starts at zero hides what lies before it, for one step.
    for parameter in built.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return built


def _lightness(name: str, count: int, rows: int, columns: int) -> torch.Tensor:
    side = max(ARCHITECTURES[name].multiple, 8)
    return 100 * torch.rand(count, 1, rows * side, columns * side, generator=torch.Generator().manual_seed(4))


def test_a_generator_has_the_size_that_is_written_about_it(name: str, model: nn.Module) -> None:
    if name not in MILLIONS:
        pytest.skip(f"nothing is written about {name}")
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(MILLIONS[name], abs=0.05)


def test_an_architecture_says_what_its_network_can_do(name: str, model: nn.Module) -> None:
    promised = ARCHITECTURES[name]
    assert promised.encoder == hasattr(model, "encoder")
    assert promised.encoder == any(own.startswith("encoder.") for own, _ in model.named_parameters())
    assert promised.latent == hasattr(model, "with_divergence")
    assert promised.evidence == hasattr(model, "with_evidence")
    assert promised.embeddings == hasattr(model, "decode")
    kernels = [max(layer.kernel_size) for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    if max(kernels) > 9:
        assert promised.memory_format is torch.contiguous_format


def test_the_answer_has_the_promised_shape_at_every_multiple(name: str, model: nn.Module) -> None:
    promised = ARCHITECTURES[name]
    model.eval()
    for count, rows, columns in ((1, 1, 1), (2, 1, 3)) if promised.multiple < 100 else ((1, 1, 1), (1, 1, 2)):
        lightness = _lightness(name, count, rows, columns)
        with torch.inference_mode():
            answer = model(lightness)
        height, width = (side // promised.stride for side in lightness.shape[2:])
        assert answer.shape == (count, 3 if promised.rgb else COLOURS[promised.bins], height, width)
        assert answer.isfinite().all()
        if not promised.classifies:
            assert 0 < answer.abs().max() < 128


def test_one_picture_has_one_answer(name: str, model: nn.Module) -> None:
    model.eval()
    lightness = _lightness(name, 1, 1, 1)
    with torch.inference_mode():
        assert torch.equal(model(lightness), model(lightness))


def test_a_step_of_training_reaches_every_parameter_and_lowers_the_loss(name: str, model: nn.Module) -> None:
    # Two pictures, and two pixels at the bottom of each: batch normalisation needs more than one value.
    lightness = _lightness(name, 2, 1, 2)
    model.train()
    target = 40 * torch.rand(2, generator=torch.Generator().manual_seed(5))
    learning = {key: one for key, one in model.named_parameters() if one.requires_grad}
    before, parameters = _loss(name, model, lightness, target), list(learning.values())
    gradients = torch.autograd.grad(before, parameters, allow_unused=True)
    silent = [
        number
        for number, gradient in zip(learning, gradients, strict=True)
        if gradient is None or not gradient.any() or not gradient.isfinite().all()
    ]
    assert not silent
    length = torch.stack([gradient.norm() for gradient in gradients]).norm()
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= 0.01 * gradient / length
    assert _loss(name, model, lightness, target) < before


def _hints(lightness: torch.Tensor) -> torch.Tensor:
    """Return one colour stated everywhere, (N, 3, H / 4, W / 4)."""
    count, _, height, width = lightness.shape
    return torch.tensor([20.0, -10.0, 1.0])[:, None, None].expand(count, 3, height // 4, width // 4)


def _loss(name: str, model: nn.Module, lightness: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(6)
    if hasattr(model, "with_divergence"):
        answer, divergence = model.with_divergence(lightness)
        return (answer - target[:, None, None, None] / 100).square().mean() + divergence
    answer = model(lightness, _hints(lightness)) if ARCHITECTURES[name].hints else model(lightness)
    if ARCHITECTURES[name].rgb:
        return (answer - target[:, None, None, None] / 100).square().mean()
    if not ARCHITECTURES[name].classifies:
        return (answer - target[:, None, None]).square().mean() / 1000
    colours = torch.zeros(answer.shape[0], *answer.shape[2:], dtype=torch.int64)
    return nn.functional.cross_entropy(answer, colours)


@pytest.mark.parametrize("name", ["resnet18-unet", "unet-plain"])
def test_a_regressor_starts_grey(name: str) -> None:
    assert not ARCHITECTURES[name].build().eval()(_lightness(name, 1, 1, 1)).any()


def test_the_colours_of_the_gamut_are_as_many_as_the_logits() -> None:
    assert len(AbBins()) == GAMUT_BINS


@pytest.mark.nightly
def test_a_generator_that_draws_a_latent_says_how_far_it_is_from_the_prior() -> None:
    torch.manual_seed(7)
    model = ARCHITECTURES["unet-vae"].build()
    lightness = _lightness("unet-vae", 2, 2, 2)
    model.eval()
    with torch.inference_mode():
        first, divergence = model.with_divergence(lightness)
        second, again = model.with_divergence(lightness)
        expected = model(lightness)
    assert first.shape == expected.shape
    assert not torch.equal(first, second)
    assert divergence.shape == ()
    assert divergence == again > 0


def test_a_latent_with_the_priors_law_has_no_divergence() -> None:
    model = ARCHITECTURES["unet-vae"].build()
    with torch.no_grad():
        for layer in (model.mean, model.log_variance):
            layer.weight.zero_()
            layer.bias.zero_()
        _, divergence = model.with_divergence(_lightness("unet-vae", 2, 1, 1))
    assert divergence == 0
