"""The encoders that start from ImageNet weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.architectures.blocks import BasicBlock


class ResNet18Encoder(nn.Module):
    """ResNet-18 from one L channel to layer3, stride 16, with torchvision's parameter names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64), BasicBlock(64, 64))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256))

    def forward(self, lightness: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return features for L* (N, 1, H, W), 0..100: 64, 64, 128 and 256 channels at strides 2, 4, 8 and 16."""
        half = self.stem(lightness)
        quarter = self.layer1(F.max_pool2d(half, 3, 2, 1))
        eighth = self.layer2(quarter)
        return half, quarter, eighth, self.layer3(eighth)

    def stem(self, lightness: Tensor) -> Tensor:
        """Return the first features, 64 channels at stride 2."""
        x = (lightness / 100 - 0.449) / 0.226
        return F.relu(self.bn1(self.conv1(x)), inplace=True)

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Take torchvision's ImageNet weights; the first convolution is summed over its three colour channels."""
        state = {name: value.float() for name, value in weights.items()}
        state["conv1.weight"] = state["conv1.weight"].sum(dim=1, keepdim=True)
        own = self.state_dict()
        state.update({name: value for name, value in own.items() if name.endswith("num_batches_tracked")})
        self.load_state_dict(state)


class VGG16Encoder(nn.Sequential):
    """The first three blocks of VGG-16 (Simonyan and Zisserman 2014) with their pools, stride 8.

    The parameter names are the positions in torchvision's ``features``.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = 3
        for outputs, convolutions in ((64, 2), (128, 2), (256, 3)):
            for _ in range(convolutions):
                self.append(nn.Conv2d(inputs, outputs, 3, padding=1))
                self.append(nn.ReLU(inplace=True))
                inputs = outputs
            self.append(nn.MaxPool2d(2))

    def forward(self, lightness: Tensor) -> Tensor:
        """Return features (N, 256, H / 8, W / 8) for L* (N, 1, H, W), 0..100, repeated as R, G and B."""
        # 114.8 is the mean of ImageNet's three channel means: the same for grey in RGB and in BGR.
        grey = 2.55 * lightness - 114.8
        x = torch.cat([grey, grey, grey], dim=1)
        for layer in self:
            x = layer(x)
        return x

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Take ImageNet weights trained on 0..255 minus the channel means (the first release, not torchvision's)."""
        self.load_state_dict({name: value.float() for name, value in weights.items()})
