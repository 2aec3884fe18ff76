"""The simple U-Net without padding and without skips: grey in, RGB out, and wrong in its corners."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.architectures.blocks import at_fixed_size, start_for_relu

SIDE = 150
"""Height and width of its input and output."""


class UNetSimple(nn.Module):
    """L* (N, 1, H, W), 0..100, to sRGB (N, 3, H, W), 0..1; both are resized to and from 150 x 150, bilinearly.

    Built from a list of its maps; no published description was found. They are 1 x 150 x 150, 64 x 146 x 146, 128 x 69
    x 69, 64 x 48 x 48, 32 x 88 x 88, 32 x 168 x 168, 3 x 150 x 150; no padding, no skips. The kernels are not known.
    These reproduce its maps and keep both halves at the same scale: 5 x 5; pool, 5 x 5; pool, transposed 15 x 15; up, 9
    x 9; up, 9 x 9; 19 x 19; ReLU between, sigmoid last.

    Its corner fault is the point: the transposed convolution grows the map beyond what the encoder saw, where ever
    fewer positions contribute, fewest in the corners. ``corners`` of `training.detectors` finds it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 64, 5), nn.ReLU()),
            nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(64, 128, 5), nn.ReLU()),
            nn.Sequential(nn.MaxPool2d(2), nn.ConvTranspose2d(128, 64, 15), nn.ReLU()),
            nn.Sequential(nn.Upsample(scale_factor=2.0), nn.Conv2d(64, 32, 9), nn.ReLU()),
            nn.Sequential(nn.Upsample(scale_factor=2.0), nn.Conv2d(32, 32, 9), nn.ReLU()),
            nn.Conv2d(32, 3, 19),
        )
        self.maps.apply(start_for_relu)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return the picture."""
        return at_fixed_size(lambda seen: torch.sigmoid(self.maps(seen / 100)), lightness, SIDE)
