"""The sources' systems, layer by layer: maps, layers and parameters as their sources give them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytestmark = pytest.mark.nightly

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import Tensor, nn  # noqa: E402

from training.architectures import ARCHITECTURES  # noqa: E402
from training.architectures.encoder_decoder_6 import EncoderDecoder6, EncoderDiscriminator  # noqa: E402
from training.architectures.patchgan import PatchGAN  # noqa: E402
from training.architectures.pix2pix_unet import Pix2PixUNet  # noqa: E402
from training.architectures.resnet18_unet import ResNet18UNet, UpBlock, shuffled_up  # noqa: E402
from training.architectures.unet_plain import UNetPlain  # noqa: E402
from training.architectures.unet_simple import UNetSimple  # noqa: E402
from training.architectures.unet_vae import UNetVAE  # noqa: E402
from training.architectures.vgg16_autoencoder import VGG16Autoencoder  # noqa: E402
from training.architectures.zhang2016 import Zhang2016  # noqa: E402
from training.cielab_numpy import lab_to_rgb, rgb_to_lab  # noqa: E402
from training.config import CONFIGS, load_config  # noqa: E402
from training.detectors import corner_excess  # noqa: E402
from training.samples import TEMPERATURE  # noqa: E402


def _maps(model: nn.Module, shape: tuple[int, ...], kinds: tuple[type[nn.Module], ...]) -> list[tuple[int, ...]]:
    """Return the shapes, batch left out, that the layers of these kinds answer with, in the order of the run."""
    seen: list[tuple[int, ...]] = []
    for layer in model.modules():
        if isinstance(layer, kinds):
            layer.register_forward_hook(lambda _, __, answer: seen.append(tuple(answer.shape[1:])))
    with torch.inference_mode():
        model.eval()(torch.rand(shape) * 100)
    return seen


def _counted(model: nn.Module) -> Counter[str]:
    return Counter(type(layer).__name__ for layer in model.modules() if not list(layer.children()))


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def test_vgg16_autoencoder() -> None:
    model = VGG16Autoencoder()
    # VGG-16's thirteen convolutions are known to have 14,714,688 parameters.
    assert _parameters(model.encoder) == 14_714_688
    assert _counted(model.encoder) == {"Conv2d": 13, "ReLU": 13, "MaxPool2d": 5}
    widths = [(512, 256), (256, 128), (128, 64), (64, 32), (32, 16), (16, 2)]
    assert _parameters(model.decoder) == sum(9 * a * b + b for a, b in widths) == 1_572_114
    assert [type(layer).__name__ for layer in model.decoder] == [
        *("Conv2d", "ReLU", "Conv2d", "ReLU", "Upsample", "Conv2d", "ReLU", "Upsample", "Conv2d", "ReLU", "Upsample"),
        *("Conv2d", "ReLU", "Upsample", "Conv2d", "Tanh", "Upsample"),
    ]
    maps = _maps(model, (1, 1, 224, 224), (nn.Conv2d, nn.Upsample, nn.MaxPool2d))
    assert maps[17] == (512, 7, 7)
    assert maps[18:] == [
        *((256, 7, 7), (128, 7, 7), (128, 14, 14), (64, 14, 14), (64, 28, 28), (32, 28, 28), (32, 56, 56)),
        *((16, 56, 56), (16, 112, 112), (2, 112, 112), (2, 224, 224)),
    ]
    config = load_config(CONFIGS / "vgg16-autoencoder.toml")
    frozen = load_config(CONFIGS / "vgg16-frozen.toml")
    assert config.loss.unit == frozen.loss.unit == 128.0
    assert (frozen.frozen_encoder, frozen.embeddings) == (True, True)


def test_vgg16s_decoder_alone_answers_for_its_features() -> None:
    model = VGG16Autoencoder().eval()
    lightness = torch.rand(1, 1, 64, 96) * 100
    with torch.inference_mode():
        assert torch.equal(model.decode(model.encoder(lightness)), model(lightness))


def test_six_levels_down_and_up() -> None:
    model = EncoderDecoder6()
    assert all(c.stride == (2, 2) for c in model.down.modules() if isinstance(c, nn.Conv2d))
    rising = [c for part in (model.up, model.head) for c in part.modules() if isinstance(c, nn.Conv2d)]
    assert [c.stride for c in rising] == [(1, 1)] * 6
    assert not [layer for layer in model.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert _maps(model, (1, 1, 256, 256), (nn.Conv2d,)) == [
        *((64, 128, 128), (128, 64, 64), (256, 32, 32), (512, 16, 16), (512, 8, 8), (512, 4, 4)),
        *((512, 8, 8), (512, 16, 16), (256, 32, 32), (128, 64, 64), (64, 128, 128), (2, 256, 256)),
    ]
    assert _parameters(model) == 17_416_514


def test_the_gans_discriminator_is_the_encoder_with_the_grey_picture_beside_the_colours() -> None:
    generator, discriminator = EncoderDecoder6(), EncoderDiscriminator()
    ours, theirs = (
        [(c.out_channels, c.kernel_size, c.stride) for c in part.modules() if isinstance(c, nn.Conv2d)]
        for part in (generator.down, discriminator.down)
    )
    assert ours == theirs
    lightness, ab = (torch.rand(2, channels, 128, 128).requires_grad_() for channels in (1, 2))
    logits = discriminator(lightness, ab)
    assert logits.shape == (2, 1, 1, 1)
    gradients = torch.autograd.grad(logits.sum(), (lightness, ab))
    assert all(one.any() for one in gradients)
    config = load_config(CONFIGS / "encoder-decoder-6-gan.toml")
    assert config.adversary is not None
    assert config.adversary.discriminator == "encoder"


def _recipe(name: str) -> tuple[object, ...]:
    """Return crop, batch, optimiser, rate, momentums and decay of a configuration, its loss and the kind of adversary.

    The loss is what its terms weigh and compare by; the rate is constant, and nothing is averaged or clipped.
    """
    config = load_config(CONFIGS / f"{name}.toml")
    assert (config.warmup, config.cooldown, config.clip, config.ema, config.growth) == (0, 0, 0.0, 0.0, ())
    assert (config.degraded_share, config.loss.classification) == (0.0, 0.0)
    whole = 0.895 if name == "pix2pix-128" else 1.0
    assert config.min_scale == (whole if config.augment else None)
    return (
        *(config.crop, config.batch, config.steps),
        *(config.optimizer, config.learning_rate, config.beta1, config.beta2, config.weight_decay),
        *(config.loss.distance, config.loss.regression, config.loss.divergence),
        None if config.adversary is None else (config.adversary.objective, config.adversary.learning_rate),
    )


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("encoder-decoder-6", (256, 16, 50_000, "adam", 2e-4, 0.5, 0.999, 0.0, "l2", 1.0, 0.0, None)),
        (
            "encoder-decoder-6-gan",
            (256, 16, 50_000, "adam", 2e-4, 0.5, 0.999, 0.0, "l1", 100.0, 0.0, ("vanilla", 2e-4)),
        ),
        ("unet-simple", (150, 32, 20_000, "adam", 1e-3, 0.9, 0.999, 0.0, "l2", 1.0, 0.0, None)),
        ("unet-vae", (150, 32, 20_000, "adam", 1e-3, 0.9, 0.999, 0.0, "l2", 1.0, 1e-5, None)),
        ("unet-vae-4", (150, 32, 20_000, "adam", 1e-3, 0.9, 0.999, 0.0, "l2", 1.0, 1e-5, None)),
        ("vgg16-autoencoder", (224, 16, 20_000, "adam", 1e-3, 0.9, 0.999, 0.0, "l2", 1.0, 0.0, None)),
        ("vgg16-frozen", (224, 64, 5_000, "adam", 1e-3, 0.9, 0.999, 0.0, "l2", 1.0, 0.0, None)),
        ("pix2pix", (256, 4, 210_000, "adam", 2e-4, 0.5, 0.999, 0.0, "l1", 100.0, 0.0, ("vanilla", 2e-4))),
        ("pix2pix-128", (128, 16, 500, "adam", 2e-4, 0.5, 0.999, 0.0, "l1", 100.0, 0.0, ("vanilla", 2e-4))),
        ("resnet18-unet-l1", (256, 16, 10_000, "adam", 1e-4, 0.9, 0.999, 0.0, "l1", 1.0, 0.0, None)),
        ("resnet18-unet-gan", (256, 16, 10_000, "adam", 2e-4, 0.5, 0.999, 0.0, "l1", 100.0, 0.0, ("vanilla", 2e-4))),
    ],
)
def test_a_configuration_has_its_sources_recipe_and_what_that_leaves_open_is_said(
    name: str, recipe: tuple[object, ...]
) -> None:
    assert _recipe(name) == recipe


def test_zhang2016() -> None:
    model = Zhang2016(313)
    convolutions = [c for c in model.blocks.modules() if isinstance(c, nn.Conv2d)]
    assert len(convolutions) == 2 + 2 + 3 * 5
    assert [c.dilation[0] for c in convolutions] == [1] * 10 + [2] * 6 + [1] * 3
    assert [c.stride[0] for c in convolutions] == [1, 2, 1, 2, 1, 1, 2] + [1] * 12
    assert _counted(model)["BatchNorm2d"] == 7
    maps = _maps(model, (1, 1, 256, 256), CONVOLUTIONS)
    assert [maps[number] for number in (1, 3, 6, 18, 19, 20, 22)] == [
        *((64, 128, 128), (128, 64, 64), (256, 32, 32), (512, 32, 32), (256, 64, 64), (256, 64, 64), (313, 64, 64)),
    ]
    assert _parameters(model) == 32_235_385
    config = load_config(CONFIGS / "zhang2016.toml")
    assert (config.crop, config.evaluate_crop, config.batch, config.steps) == (176, 256, 40, 450_000)
    assert (config.optimizer, config.learning_rate, config.beta1, config.beta2) == ("adam", 3e-5, 0.9, 0.99)
    assert config.weight_decay == 1e-3
    loss = config.loss
    assert (loss.rebalance_uniform, loss.rebalance_sigma, loss.rebalance_by) == (0.5, 5.0, "nearest")
    assert TEMPERATURE == 0.38


def test_pix2pix() -> None:
    model = Pix2PixUNet()
    maps = _maps(model, (1, 1, 256, 256), CONVOLUTIONS)
    down = [(64, 128), (128, 64), (256, 32), (512, 16), (512, 8), (512, 4), (512, 2), (512, 1)]
    up = [(512, 2), (512, 4), (512, 8), (512, 16), (256, 32), (128, 64), (64, 128), (2, 256)]
    assert maps == [(channels, side, side) for channels, side in down + up]
    # The paper writes the decoder with skips as CD512-CD1024-CD1024-C1024-C1024-C512-C256-C128.
    inputs = [c.in_channels for c in model.modules() if isinstance(c, nn.ConvTranspose2d)]
    assert inputs == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    drops = [any(isinstance(layer, nn.Dropout) for layer in step.children()) for step in model.up.children()]
    assert drops == [True] * 3 + [False] * 4
    assert _parameters(model) == 54_410_434
    assert _parameters(PatchGAN()) == 2_765_633
    config = load_config(CONFIGS / "pix2pix.toml")
    assert config.architecture == "pix2pix-unet"
    assert config.adversary is not None
    assert config.adversary.discriminator == "patchgan"


def test_resnet18_unet() -> None:
    model = ResNet18UNet()
    # torchvision's resnet18 has 11,689,512 parameters: less the classifier, less two of three colours.
    assert _parameters(model.encoder) == 11_689_512 - (512 * 1000 + 1000) - 2 * 64 * 7 * 7
    assert [type(part) for part in (model.up16, model.up8, model.up4, model.up2)] == [UpBlock] * 4
    assert _maps(model, (1, 1, 256, 256), (UpBlock, nn.PixelShuffle)) == [
        *((256, 16, 16), (512, 16, 16), (256, 32, 32), (384, 32, 32), (192, 64, 64), (256, 64, 64)),
        *((128, 128, 128), (96, 128, 128), (96, 256, 256)),
    ]
    assert _parameters(model) == 31_099_672
    stages = [load_config(CONFIGS / f"resnet18-unet-{name}.toml") for name in ("l1", "gan")]
    assert [stage.adversary is None for stage in stages] == [True, False]


def test_pixel_shuffle_begins_as_nearest_neighbour() -> None:
    torch.manual_seed(1)
    answer = shuffled_up(5, 3)(torch.rand(1, 5, 4, 6))
    assert answer.shape == (1, 3, 8, 12)
    small = answer[:, :, ::2, ::2]
    assert torch.equal(answer, nn.functional.interpolate(small, scale_factor=2.0))


def test_the_simple_unet_has_its_maps_and_no_padding() -> None:
    model = UNetSimple()
    assert all(c.padding == (0, 0) for c in model.modules() if isinstance(c, CONVOLUTIONS))
    seen, x = [], torch.rand(1, 1, 150, 150)
    for step in model.maps:
        x = step(x)
        seen.append(tuple(x.shape[1:]))
    assert seen == [(64, 146, 146), (128, 69, 69), (64, 48, 48), (32, 88, 88), (32, 168, 168), (3, 150, 150)]
    assert _parameters(model) == 2_333_411


def _even(model: nn.Module) -> nn.Module:
    """Give every convolution the weights of a mean, a little different for each channel of the answer."""
    layers = [layer for layer in model.modules() if isinstance(layer, CONVOLUTIONS)]
    for layer in layers:
        nn.init.constant_(layer.weight, 1 / (layer.weight[0].numel() if isinstance(layer, nn.Conv2d) else 64 * 225))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    last = layers[-1].weight
    with torch.no_grad():
        last *= torch.tensor([5.0, 1.0, -4.0]).view(3, 1, 1, 1)
    return model.eval()


def test_the_corner_fault_of_the_simple_unet_is_there_and_the_detector_finds_it() -> None:
    # A grey field: whatever colour it has in the middle, it should have everywhere.
    model = _even(UNetSimple())
    with torch.inference_mode():
        rgb = model(torch.full((1, 1, 150, 150), 60.0))[0].permute(1, 2, 0).numpy()
    found = rgb_to_lab(np.uint8(np.round(255 * rgb)))
    even = found.copy()
    even[...] = found[75, 75]
    assert corner_excess(found, even) > 5
    assert corner_excess(even, even) == pytest.approx(0)
    padded = UNetPlain(width=4).eval()
    with torch.inference_mode():
        answer = padded(torch.full((1, 1, 160, 160), 60.0))[0].permute(1, 2, 0).numpy()
    assert np.abs(answer - answer[80, 80]).max() < 5
    assert lab_to_rgb(found).shape == (150, 150, 3)


@pytest.mark.parametrize(
    ("name", "down", "up", "kernels", "parameters"),
    [
        ("unet-vae", [74, 36, 17], [38, 80, 164], (4, 6), 1_077_059),
        ("unet-vae-4", [74, 36, 17, 8], [17, 35, 71, 143], (3, 3), 435_523),
    ],
)
def test_the_hybrid_of_unet_and_vae(
    name: str, down: list[int], up: list[int], kernels: tuple[int, int], parameters: int
) -> None:
    model = ARCHITECTURES[name].build()
    assert isinstance(model, UNetVAE)
    assert {c.kernel_size[0] for c in model.down} == {kernels[0]}
    assert {c.kernel_size[0] for c in model.up} == {kernels[1]}
    assert {c.stride for part in (model.down, model.up) for c in part} == {(2, 2)}
    assert all(c.padding == (0, 0) for part in (model.down, model.up) for c in part)
    maps = _maps(model, (1, 1, 150, 150), CONVOLUTIONS)
    bottom = down[-1]
    assert maps == [
        *((64, side, side) for side in down),
        (128, bottom, bottom),
        *((64, side, side) for side in up),
        (3, 150, 150),
    ]
    assert _parameters(model) == parameters


def test_pix2pix_normalises_each_picture_by_itself_in_training_as_after_it() -> None:
    model = Pix2PixUNet(levels=4, width=8)
    pictures = torch.rand(3, 1, 32, 32) * torch.tensor([20.0, 60.0, 100.0]).view(3, 1, 1, 1)
    with torch.inference_mode():
        together = model.eval()(pictures)
        for layer in model.train().modules():
            if isinstance(layer, nn.Dropout):
                layer.eval()
        for number in range(3):
            assert torch.allclose(model(pictures[number : number + 1]), together[number : number + 1], atol=1e-3)


@pytest.mark.parametrize("name", ["unet-simple", "unet-vae", "unet-vae-4", "pix2pix-unet-rgb"])
def test_rgb_is_between_black_and_white_at_the_pictures_size(name: str) -> None:
    side = ARCHITECTURES[name].multiple
    with torch.inference_mode():
        picture: Tensor = ARCHITECTURES[name].build().eval()(torch.rand(1, 1, side, 2 * side) * 100)
    assert picture.shape == (1, 3, side, 2 * side)
    assert picture.min() >= 0
    assert picture.max() <= 1
