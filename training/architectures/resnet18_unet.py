"""A U-Net on a ResNet-18: the generator of the two-stage cGAN (backbone, then L1, then adversarial)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.architectures.blocks import BasicBlock, bounded_ab, double, grey_head, two_convs
from training.architectures.encoders import ResNet18Encoder


class ResNet18UNet(nn.Module):
    """L* (N, 1, H, W), 0..100, H and W multiples of 32, to ab (N, 2, H, W) within +-110.

    He et al. 2015 for the encoder, Ronneberger et al. 2015 for the skips. The sources take a U-Net builder's decoder,
    which shuffles pixels upwards; ours is bilinear upsampling and two convolutions, which cannot leave a checkerboard.
    The last stage of the encoder is ``deepest``, because the ImageNet weights at hand end with layer3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ResNet18Encoder()
        self.deepest = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512))
        self.up16 = two_convs(512 + 256, 256)
        self.up8 = two_convs(256 + 128, 128)
        self.up4 = two_convs(128 + 64, 96)
        self.up2 = two_convs(96 + 64, 64)
        self.up1 = two_convs(64, 32)
        self.head = grey_head(32)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return a* and b*."""
        half, quarter, eighth, sixteenth = self.encoder(lightness)
        x = self.deepest(sixteenth)
        x = self.up16(torch.cat([double(x), sixteenth], dim=1))
        x = self.up8(torch.cat([double(x), eighth], dim=1))
        x = self.up4(torch.cat([double(x), quarter], dim=1))
        x = self.up2(torch.cat([double(x), half], dim=1))
        return bounded_ab(self.head(self.up1(double(x))))
