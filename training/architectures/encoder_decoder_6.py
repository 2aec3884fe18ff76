"""The symmetric encoder-decoder with six levels, trained with a squared error or as the generator of a GAN."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from training.architectures.blocks import AB_REACH, bounded_ab, centred, start_as_gan

WIDTHS = (64, 128, 256, 512, 512, 512)
"""Channels after each level of the encoder."""


class EncoderDecoder6(nn.Module):
    """L* (N, 1, H, W), 0..100, H and W multiples of 64, to ab (N, 2, H, W) within +-110; no skips.

    Built from a list of its levels; no published description was found. The list: six convolutions of stride 2 down,
    six of stride 1 with upsampling up, symmetric, a squared error; the same is the generator of its GAN. It leaves
    kernels and widths open: here 4 x 4 down and 3 x 3 up (the largest without uneven overlap), nearest-neighbour
    upsampling before each, widths as in pix2pix (Isola et al. 2017, section 6.1.1), batch normalisation except at both
    ends and at the bottom, leaky ReLU down, ReLU up, tanh at the end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = six_levels_down(1)
        self.up = nn.Sequential()
        for inputs, outputs in pairwise(WIDTHS[::-1]):
            convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            self.up.extend([nn.Upsample(scale_factor=2.0), convolution, nn.BatchNorm2d(outputs), nn.ReLU()])
        self.head = nn.Sequential(nn.Upsample(scale_factor=2.0), nn.Conv2d(WIDTHS[0], 2, 3, padding=1))
        self.apply(start_as_gan)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return a* and b*."""
        return bounded_ab(self.head(self.up(self.down(centred(lightness)))))


class EncoderDiscriminator(nn.Module):
    """L* (N, 1, H, W), 0..100, and ab (N, 2, H, W) to logits (N, 1, 1, 1): positive means a true picture.

    From the same list: a discriminator that resembles the encoder, conditioned on the grey picture. Here it is the
    encoder of `EncoderDecoder6` on all three channels, and a 1 x 1 convolution to one logit, averaged over positions.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = six_levels_down(3)
        self.judge = nn.Conv2d(WIDTHS[-1], 1, 1)
        self.apply(start_as_gan)

    def forward(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """Return a logit for every picture."""
        features = self.down(torch.cat([centred(lightness), ab / AB_REACH], dim=1))
        logits: Tensor = self.judge(features).mean(dim=(2, 3), keepdim=True)
        return logits


def six_levels_down(channels: int) -> nn.Sequential:
    """Return the encoder: (N, channels, H, W) to (N, 512, H / 64, W / 64)."""
    down = nn.Sequential()
    for level, (inputs, outputs) in enumerate(pairwise((channels, *WIDTHS))):
        inner = 0 < level < len(WIDTHS) - 1
        norm = [nn.BatchNorm2d(outputs)] if inner else []
        down.append(nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not inner), *norm, nn.LeakyReLU(0.2)))
    return down
