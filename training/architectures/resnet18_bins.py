"""Our fast generator: ResNet-18 encoder, wide-context bottleneck, U-Net decoder to a quarter of the size, ab bins."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.architectures.blocks import BasicBlock, BinClassifier, conv_norm_relu, double
from training.architectures.encoders import ResNet18Encoder


class ResNet18Bins(BinClassifier):
    """L* (N, 1, H, W), 0..100, H and W multiples of 32, to logits over ``bins`` colours (N, bins, H / 4, W / 4)."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.encoder = ResNet18Encoder()
        self.context = nn.Sequential(BasicBlock(256, 192, 2), BasicBlock(192, 192))
        self.scene = nn.Sequential(nn.Linear(192, 192), nn.ReLU(inplace=True), nn.Linear(192, 192))
        self.up16 = conv_norm_relu(192 + 256, 160)
        self.up8 = conv_norm_relu(160 + 128, 128)
        self.up4 = conv_norm_relu(128 + 64, 96)
        self.head = nn.Conv2d(96, bins, 1)

    def features(self, lightness: Tensor) -> Tensor:
        """Return the input of ``head``, (N, 96, H / 4, W / 4)."""
        _, quarter, eighth, sixteenth = self.encoder(lightness)
        x = self.context(sixteenth)
        x = x + self.scene(x.mean(dim=(2, 3)))[:, :, None, None]
        x = self.up16(torch.cat([double(x), sixteenth], dim=1))
        x = self.up8(torch.cat([double(x), eighth], dim=1))
        features: Tensor = self.up4(torch.cat([double(x), quarter], dim=1))
        return features
