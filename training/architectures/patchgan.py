"""The discriminator of pix2pix (Isola et al. 2017): whether each patch of 70 x 70 pixels looks true."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.architectures.blocks import AB_REACH, centred, start_as_gan


class PatchGAN(nn.Module):
    """L* (N, 1, H, W), 0..100, and ab (N, 2, H, W) to logits (N, 1, H / 8 - 2, W / 8 - 2): positive means true.

    Section 6.1.2 of the paper, C64-C128-C256-C512 and one output: 4 x 4 convolutions, the first three of stride 2, so
    that each logit sees 70 x 70 pixels. H and W are multiples of 8, at least 32. There is no sigmoid: the loss includes
    it.
    """

    def __init__(self, width: int = 64) -> None:
        """Use ``width`` channels after the first convolution, twice as many after each of the next three."""
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2))
        for inputs, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            convolution = nn.Conv2d(inputs, 2 * inputs, 4, stride, 1, bias=False)
            self.layers.extend([convolution, nn.BatchNorm2d(2 * inputs), nn.LeakyReLU(0.2)])
        self.layers.append(nn.Conv2d(8 * width, 1, 4, 1, 1))
        self.apply(start_as_gan)

    def forward(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """Return a logit for every patch."""
        logits: Tensor = self.layers(torch.cat([centred(lightness), ab / AB_REACH], dim=1))
        return logits
