"""Encoders initialised from ImageNet weights; `training.backbone` converts torchvision's and others' files for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import WeightsError
from training.architectures.blocks import BasicBlock, start_for_relu

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation that torchvision's weights expect of R, G and B in 0..1."""

GREY_MEAN = 114.8
"""VGG-16 expects this subtracted from grey 0..255: the mean of ImageNet's channel means, the same in RGB and in BGR."""
# Magnitude of the input of VGG-16's first convolution, and of its features.
_INPUT_SIZE, _FEATURE_SIZE = 60.0, 300.0


class ResNet18Encoder(nn.Module):
    """ResNet-18 (He et al. 2015) from one L channel to layer3, stride 16, with torchvision's parameter names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64), BasicBlock(64, 64))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256))

    def forward(self, lightness: Tensor) -> tuple[Tensor, ...]:
        """Return features for L* (N, 1, H, W), 0..100: 64, 64, 128 and 256 channels at strides 2, 4, 8 and 16."""
        half = self.stem(lightness)
        quarter = self.layer1(F.max_pool2d(half, 3, 2, 1))
        eighth = self.layer2(quarter)
        return half, quarter, eighth, self.layer3(eighth)

    def stem(self, lightness: Tensor) -> Tensor:
        """Return the first features, 64 channels at stride 2."""
        return self._stem((lightness / 100 - 0.449) / 0.226)

    def _stem(self, x: Tensor) -> Tensor:
        return F.relu(self.bn1(self.conv1(x)), inplace=True)

    def load_imagenet(self, weights: Mapping[str, Tensor]) -> tuple[str, ...]:
        """Load torchvision's ImageNet weights; for grey the first convolution is summed over its three channels.

        Return the stages missing at the end of ``weights``, which stay random. Later stages than this encoder's and the
        classifier are ignored. Raises `WeightsError` for weights of another network.
        """
        beyond = {"layer4", "fc"} - dict(self.named_children()).keys()
        state = {name: value.float() for name, value in weights.items() if name.partition(".")[0] not in beyond}
        if self.conv1.in_channels == 1 and "conv1.weight" in state and state["conv1.weight"].ndim == 4:
            state["conv1.weight"] = state["conv1.weight"].sum(dim=1, keepdim=True)
        own = self.state_dict()
        state.update({name: value for name, value in own.items() if name.endswith("num_batches_tracked")})
        return _load(self, state, may_lack=("layer4",))


class WholeResNet18Encoder(ResNet18Encoder):
    """A `ResNet18Encoder` with layer4, 512 channels at stride 32."""

    def __init__(self) -> None:
        super().__init__()
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512))

    def forward(self, lightness: Tensor) -> tuple[Tensor, ...]:
        """Return the features of `ResNet18Encoder`, and those of layer4."""
        features = super().forward(lightness)
        return (*features, self.layer4(features[-1]))


class ColourResNet18Encoder(ResNet18Encoder):
    """A `ResNet18Encoder` for sRGB (N, 3, H, W), 0..1, as torchvision's weights expect it."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION)[:, None, None], persistent=False)

    def stem(self, picture: Tensor) -> Tensor:
        """Return the first features, 64 channels at stride 2."""
        return self._stem((picture - self.mean) / self.deviation)


class VGG16Encoder(nn.Sequential):
    """VGG-16's thirteen convolutions and five pools (Simonyan and Zisserman 2014, configuration D), stride 32.

    The parameter names are the positions in torchvision's ``features``.
    """

    BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    """Channels and convolutions of the blocks, each of which is followed by a pool."""

    def __init__(self) -> None:
        super().__init__()
        inputs = 3
        for outputs, convolutions in self.BLOCKS:
            for _ in range(convolutions):
                self.append(nn.Conv2d(inputs, outputs, 3, padding=1))
                self.append(nn.ReLU(inplace=True))
                inputs = outputs
            self.append(nn.MaxPool2d(2))
        self.apply(start_for_relu)
        self._shrink(0, _INPUT_SIZE)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return features (N, 512, H / 32, W / 32) for L* (N, 1, H, W), 0..100, repeated as R, G and B."""
        grey = 2.55 * lightness - GREY_MEAN
        x = torch.cat([grey, grey, grey], dim=1)
        for layer in self:
            x = layer(x)
        return x

    def load_imagenet(self, weights: Mapping[str, Tensor]) -> tuple[str, ...]:
        """Load ImageNet weights for 0..255 minus the channel means, as in the first release of VGG-16.

        Return the convolutions missing at the end of ``weights``, which stay random, on features scaled to a magnitude
        of about 1. Raises `WeightsError` for weights of another network, and for those that stop within the first three
        blocks.
        """
        later = tuple(name for name, layer in self.named_children() if isinstance(layer, nn.Conv2d) and int(name) > 14)
        lacking = _load(self, {name: value.float() for name, value in weights.items()}, may_lack=later)
        if lacking:
            self._shrink(int(lacking[0]), _FEATURE_SIZE)
        return lacking

    @torch.no_grad()
    def _shrink(self, place: int, size: float) -> None:
        """Scale down a random convolution with input magnitude of about ``size``, which it would pass on to a tanh."""
        convolution = self[place]
        assert isinstance(convolution, nn.Conv2d)
        convolution.weight /= size


def _load(encoder: nn.Module, state: Mapping[str, Tensor], *, may_lack: Sequence[str]) -> tuple[str, ...]:
    """Load ``encoder``'s weights; return the last of the parts ``may_lack``, in order, that are entirely missing."""
    own, learned = encoder.state_dict(), _learned(state)
    parts = [part for part in may_lack if _has(own, part)]
    there = [number for number, part in enumerate(parts, 1) if _has(learned, part)]
    lacking = tuple(parts[max(there, default=0) :])
    wanted = {name for name in own if name.partition(".")[0] not in lacking}
    missing = sorted(wanted - state.keys())
    unknown = sorted(state.keys() - own.keys())
    misshapen = sorted(name for name in wanted & state.keys() if state[name].shape != own[name].shape)
    for problem, names in (("without", missing), ("unknown:", unknown), ("of another shape:", misshapen)):
        if names:
            raise WeightsError(
                f"not this encoder's weights: {problem} {', '.join(names[:5])}",
                advice="colorize-model backbone FILE makes them, of a whole file or one that ends early, and says for "
                "which encoder.",
            )
    encoder.load_state_dict({**own, **{name: value for name, value in state.items() if name in wanted}})
    return lacking


def _has(names: Iterable[str], part: str) -> bool:
    return any(name.startswith(f"{part}.") for name in names)


def _learned(state: Mapping[str, Tensor]) -> set[str]:
    return {name for name in state if not name.endswith("num_batches_tracked")}
