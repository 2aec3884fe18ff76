"""ImageNet weights, by the names that their files use."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import Tensor  # noqa: E402

from engines.errors import WeightsError  # noqa: E402
from training.architectures import ARCHITECTURES  # noqa: E402
from training.architectures.encoders import ResNet18Encoder, VGG16Encoder, WholeResNet18Encoder  # noqa: E402


def _resnet18() -> dict[str, Tensor]:
    torch.manual_seed(1)
    state = {name: value.half() for name, value in ResNet18Encoder().state_dict().items() if value.is_floating_point()}
    return {**state, "conv1.weight": torch.rand(64, 3, 7, 7).half()}


def _vgg16(*, whole: bool = True) -> dict[str, Tensor]:
    shapes = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256), 14: (256, 256)}
    if whole:
        shapes |= {17: (512, 256), **dict.fromkeys((19, 21, 24, 26, 28), (512, 512))}
    weights = {f"{place}.weight": 0.1 * torch.randn(*shape, 3, 3).half() for place, shape in shapes.items()}
    return weights | {f"{place}.bias": torch.randn(shape[0]).half() for place, shape in shapes.items()}


@pytest.mark.parametrize("name", ["fine", "resnet18-bins", "resnet18-unet"])
def test_resnet_generators_take_torchvisions_names_and_sum_the_colours_of_the_first_convolution(name: str) -> None:
    weights = _resnet18()
    encoder = ARCHITECTURES[name].build().encoder
    encoder.load_imagenet(weights)
    torch.testing.assert_close(encoder.conv1.weight, weights["conv1.weight"].float().sum(1, keepdim=True))
    assert torch.equal(encoder.layer3[1].conv2.weight, weights["layer3.1.conv2.weight"].float())


def test_resnet_features_have_the_promised_strides() -> None:
    features = ResNet18Encoder().eval()(torch.full((1, 1, 64, 96), 50.0))
    assert [tuple(one.shape[1:]) for one in features] == [(64, 32, 48), (64, 16, 24), (128, 8, 12), (256, 4, 6)]


def test_vgg_takes_the_names_of_its_positions_and_sees_lightness_three_times() -> None:
    weights = _vgg16()
    encoder = ARCHITECTURES["vgg16-autoencoder"].build().encoder
    encoder.load_imagenet(weights)
    assert torch.equal(encoder[14].weight, weights["14.weight"].float())
    lightness = 100 * torch.rand(1, 1, 32, 48)
    first = torch.nn.functional.conv2d(
        2.55 * lightness - 114.8, weights["0.weight"].float().sum(1, keepdim=True), weights["0.bias"].float(), padding=1
    )
    seen = []
    encoder[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    assert encoder(lightness).shape == (1, 512, 1, 1)
    torch.testing.assert_close(seen[0], first, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("build", [ResNet18Encoder, WholeResNet18Encoder, VGG16Encoder])
def test_weights_of_another_network_are_refused(build: type[ResNet18Encoder | VGG16Encoder]) -> None:
    weights = _resnet18() if build is VGG16Encoder else _vgg16()
    with pytest.raises(WeightsError, match="not this encoder's weights: without"):
        build().load_imagenet(weights)
    weights = _vgg16() if build is VGG16Encoder else _resnet18()
    name = next(iter(weights))
    with pytest.raises(WeightsError, match=f"without {name}"):
        build().load_imagenet({other: value for other, value in weights.items() if other != name})
    with pytest.raises(WeightsError, match=f"of another shape: {name}"):
        build().load_imagenet({**weights, name: torch.zeros(1, 1)})


def test_what_a_backbone_lacks_is_said_and_stays_random() -> None:
    assert WholeResNet18Encoder().load_imagenet(_resnet18()) == ("layer4",)
    assert ResNet18Encoder().load_imagenet(_resnet18()) == ()
    whole = {name: value for name, value in WholeResNet18Encoder().state_dict().items() if value.is_floating_point()}
    whole["conv1.weight"] = torch.rand(64, 3, 7, 7)
    assert WholeResNet18Encoder().load_imagenet(whole) == ()
    assert ResNet18Encoder().load_imagenet({**whole, "fc.weight": torch.zeros(1000, 512)}) == ()
    assert VGG16Encoder().load_imagenet(_vgg16()) == ()
    assert VGG16Encoder().load_imagenet(_vgg16(whole=False)) == ("17", "19", "21", "24", "26", "28")
    with pytest.raises(WeightsError, match=r"without 19\.bias"):
        VGG16Encoder().load_imagenet({name: one for name, one in _vgg16().items() if name != "19.bias"})
