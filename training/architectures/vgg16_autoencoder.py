"""The VGG-16 autoencoder: a classifier's features, and a convolutional decoder to ab."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.architectures.blocks import conv_relu
from training.architectures.encoders import VGG16Encoder

AB_UNIT = 128.0
"""CIELAB units per unit of the decoder's output."""
_SMALL = 0.01


class VGG16Autoencoder(nn.Module):
    """L* (N, 1, H, W), 0..100, H and W multiples of 32, to ab (N, 2, H, W) within +-128: tanh, for a squared error.

    The source is S. Bhattiprolu, "Python for Microscopists", lesson 92 (transfer learning with VGG), for 224 x 224: L
    three times into VGG-16 without its classifier (Simonyan and Zisserman 2014) to 7 x 7 x 512; then 3 x 3
    convolutions, "same", with ReLU: 256, 128, up, 64, up, 32, up, 16, up, 2 with tanh, up, where "up" doubles both
    sides by nearest neighbour; targets are ab / 128, and the encoder is frozen.

    Deviations: L* is scaled to 0..255 minus the mean that the weights were trained for (the source passes L* unchanged,
    0..100); the encoder may be trained; weights of the decoder are initialised as in He et al. 2015, the last at a
    hundredth of that, so that tanh is not flat (Keras's initialisation, Glorot's, is smaller). A backbone that stops at
    conv3_3 leaves blocks 4 and 5 random.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = VGG16Encoder()
        up = nn.Upsample(scale_factor=2.0)
        self.decoder = nn.Sequential(
            *conv_relu(512, 256), *conv_relu(256, 128), up,
            *conv_relu(128, 64), up,
            *conv_relu(64, 32), up,
            *conv_relu(32, 16), up,
            nn.Conv2d(16, 2, 3, padding=1), nn.Tanh(), up,
        )  # fmt: skip
        last = self.decoder[-3]
        assert isinstance(last, nn.Conv2d)
        with torch.no_grad():
            last.weight *= _SMALL

    def forward(self, lightness: Tensor) -> Tensor:
        """Return a* and b*."""
        return self.decode(self.encoder(lightness))

    def decode(self, features: Tensor) -> Tensor:
        """Return a* and b* for the encoder's features (N, 512, H / 32, W / 32)."""
        output: Tensor = AB_UNIT * self.decoder(features)
        return output
