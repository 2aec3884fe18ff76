"""Building blocks shared by several generators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

AB_REACH = 110.0
"""Largest absolute a* or b* of a bounded output: sRGB's a* and b* lie within -108..99 (CIELAB)."""


def conv_norm_relu(inputs: int, outputs: int) -> nn.Sequential:
    """Return a 3 x 3 convolution, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def conv_relu(inputs: int, outputs: int) -> tuple[nn.Conv2d, nn.ReLU]:
    """Return a 3 x 3 convolution, initialised by `start_for_relu`, and ReLU, for networks without normalisation."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
    start_for_relu(convolution)
    return convolution, nn.ReLU(inplace=True)


def two_convs(inputs: int, outputs: int) -> nn.Sequential:
    """Return the step of a U-Net (Ronneberger et al. 2015), padded and batch-normalised: two 3 x 3 convolutions."""
    return nn.Sequential(conv_norm_relu(inputs, outputs), conv_norm_relu(outputs, outputs))


def double(x: Tensor) -> Tensor:
    """Upsample to twice the height and width: bilinear, which leaves no checkerboard."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def centred(lightness: Tensor) -> Tensor:
    """Map L* 0..100 to -1..1."""
    return lightness / 50 - 1


def bounded_ab(x: Tensor) -> Tensor:
    """Map to a* and b* within +-`AB_REACH` by a scaled tanh."""
    return AB_REACH * torch.tanh(x)


def at_fixed_size(network: Callable[[Tensor], Tensor], x: Tensor, side: int) -> Tensor:
    """Return the output (N, C, H, W) for ``x`` (N, 1, H, W) of a network that sees ``side`` x ``side`` pixels."""
    seen = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
    return F.interpolate(network(seen), size=x.shape[2:], mode="bilinear", align_corners=False)


def grey_head(inputs: int) -> nn.Conv2d:
    """Return the last convolution, to two channels, set to zero: the output starts grey, where tanh is not flat."""
    head = nn.Conv2d(inputs, 2, 1)
    for parameter in head.parameters():
        nn.init.zeros_(parameter)
    return head


def start_as_gan(module: nn.Module) -> None:
    """Initialise convolutions from N(0, 0.02) and batch normalisation from N(1, 0.02), for `nn.Module.apply`.

    Isola et al. 2017, section 6.2, after DCGAN.
    """
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def start_for_relu(module: nn.Module) -> None:
    """Initialise convolutions so that ReLU preserves the variance (He et al. 2015), for `nn.Module.apply`."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class BasicBlock(nn.Module):
    """The residual block of ResNet-18 (He et al. 2015), with torchvision's parameter names."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, start_silent: bool = False) -> None:
        """With ``start_silent`` the last scale starts at 0, and the block as its shortcut (Goyal et al. 2017)."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        if start_silent:
            nn.init.zeros_(self.bn2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x), inplace=True)


class BinClassifier(nn.Module, ABC):
    """A generator that outputs logits over bins, computed from its features by ``head``, a 1 x 1 convolution."""

    head: nn.Conv2d

    @abstractmethod
    def features(self, lightness: Tensor) -> Tensor:
        """Return the input of ``head``, at the size of the output."""

    def forward(self, lightness: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.features(lightness))
        return logits
