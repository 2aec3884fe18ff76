"""A U-Net on a ResNet-18: the generator of the two-stage cGAN (backbone, then L1, then adversarial)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.architectures.blocks import AB_REACH, centred, conv_relu, grey_head
from training.architectures.encoders import WholeResNet18Encoder


class ResNet18UNet(nn.Module):
    """L* (N, 1, H, W), 0..100, H and W multiples of 32, to ab (N, 2, H, W).

    The source, M. Shariatnia, "Colorizing black & white images with U-Net and conditional GAN: a tutorial", 2020,
    builds it with fastai's ``DynamicUnet`` on torchvision's resnet18 cut before its pool, its first convolution summed
    over the three channels, for 256 x 256 and two channels: normalised bottom, two 3 x 3 convolutions to 1024 channels
    and back, four `UpBlock`s, a last doubling by pixel shuffle, concatenation with the input, a residual block, a 1 x 1
    convolution. No tanh: the output is ab / 110.

    Deviations: the input is normalised with the mean and deviation of the backbone's training, which the source omits.
    The available weights stop at layer3; layer4 is then random. Initial biases differ from fastai's by some hundredths,
    and the last convolution starts at zero, so that the output starts grey.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = WholeResNet18Encoder()
        self.bottom = nn.Sequential(nn.BatchNorm2d(512), nn.ReLU(), *conv_relu(512, 1024), *conv_relu(1024, 512))
        self.up16 = UpBlock(512, 256)
        self.up8 = UpBlock(512, 128)
        self.up4 = UpBlock(384, 64)
        self.up2 = UpBlock(256, 64, last=True)
        self.up1 = shuffled_up(96, 96)
        self.refine = nn.Sequential(*conv_relu(97, 97), nn.Conv2d(97, 97, 3, padding=1))
        self.head = grey_head(97)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return a* and b*."""
        half, quarter, eighth, sixteenth, bottom = self.encoder(lightness)
        x = self.up16(self.bottom(bottom), sixteenth)
        x = self.up8(x, eighth)
        x = self.up4(x, quarter)
        x = self.up2(x, half)
        x = torch.cat([self.up1(x), centred(lightness)], dim=1)
        output: Tensor = AB_REACH * self.head(F.relu(x + self.refine(x)))
        return output


class UpBlock(nn.Module):
    """fastai's ``UnetBlock``: pixel shuffle to half the channels, normalised skip concatenated, two convolutions."""

    def __init__(self, inputs: int, skip: int, *, last: bool = False) -> None:
        """Output as many channels as are concatenated, or half of them if it is the ``last``."""
        super().__init__()
        self.up = shuffled_up(inputs, inputs // 2)
        self.norm = nn.BatchNorm2d(skip)
        together = inputs // 2 + skip
        outputs = together // 2 if last else together
        self.convs = nn.Sequential(*conv_relu(together, outputs), *conv_relu(outputs, outputs))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return (N, outputs, 2 H, 2 W) for ``x`` (N, inputs, H, W) and ``skip`` (N, skip, 2 H, 2 W)."""
        output: Tensor = self.convs(F.relu(torch.cat([self.up(x), self.norm(skip)], dim=1)))
        return output


def shuffled_up(inputs: int, outputs: int) -> nn.Sequential:
    """Return a doubling of both sides by pixel shuffle (Shi et al. 2016): 1 x 1 convolution, ReLU, shuffle.

    Its weights start as nearest-neighbour upsampling, the same for all four pixels that one becomes (ICNR, Aitken et
    al. 2017), so that there is no checkerboard at the start.
    """
    convolution = nn.Conv2d(inputs, 4 * outputs, 1)
    one = nn.init.kaiming_normal_(torch.empty(outputs, inputs, 1, 1))
    assert convolution.bias is not None
    with torch.no_grad():
        convolution.weight.copy_(one.repeat_interleave(4, dim=0))
        convolution.bias.zero_()
    return nn.Sequential(convolution, nn.ReLU(), nn.PixelShuffle(2))
