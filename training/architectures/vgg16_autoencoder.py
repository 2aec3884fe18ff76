"""The VGG-16 autoencoder: a classifier's features, and a convolutional decoder to ab."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from training.architectures.blocks import bounded_ab, grey_head, start_for_relu
from training.architectures.encoders import VGG16Encoder


class VGG16Autoencoder(nn.Module):
    """L* (N, 1, H, W), 0..100, H and W multiples of 32, to ab (N, 2, H, W) within +-110: tanh, for a squared error.

    Simonyan and Zisserman 2014, without the classifier: L* stands for R, G and B alike, 512 features at stride 32.
    ``encoder`` is blocks 1 to 3, for which there are ImageNet weights; blocks 4 and 5 are ``deeper`` and start at
    random, on normalised features, because VGG's run into thousands and would pin tanh. The sources leave the decoder
    open: here one convolution per scale, halving the width, and nearest-neighbour upsampling.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = VGG16Encoder()
        self.settle = nn.BatchNorm2d(256)
        self.deeper = nn.Sequential(*_convs(256, 512, 512, 512), nn.MaxPool2d(2), *_convs(512, 512, 512, 512))
        self.deeper.append(nn.MaxPool2d(2))
        self.decoder = nn.Sequential()
        widths = (512, 256, 128, 64, 32, 16)
        for inputs, outputs in pairwise(widths):
            self.decoder.extend([*_convs(inputs, outputs), nn.Upsample(scale_factor=2.0)])
        self.head = grey_head(16, kernel=3)
        self.deeper.apply(start_for_relu)
        self.decoder.apply(start_for_relu)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return a* and b*."""
        return bounded_ab(self.head(self.decoder(self.deeper(self.settle(self.encoder(lightness))))))


def _convs(*widths: int) -> list[nn.Module]:
    steps: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        steps += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
    return steps
