"""Colourisation as classification: the network of Zhang, Isola and Efros, Colorful Image Colorization, 2016."""

from __future__ import annotations

from torch import Tensor, nn

from training.architectures.blocks import BinClassifier, start_for_relu


class Zhang2016(BinClassifier):
    """L* (N, 1, H, W), 0..100, H and W multiples of 8, to logits over ``bins`` colours (N, bins, H / 4, W / 4).

    Table 4 of the paper: seven blocks of 3 x 3 convolutions with ReLU (2, 2, 3, 3, 3, 3, 3 of them), batch
    normalisation after each block, strides instead of pools, dilation 2 in blocks 5 and 6 instead of a smaller map; an
    eighth with one deconvolution to a quarter of the size and two convolutions.

    Deviations: L* is input as (L* - 50) / 50; weights are initialised as in He et al. 2015, not by k-means of the data.
    """

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            _block(1, 64, convolutions=2, stride=2),
            _block(64, 128, convolutions=2, stride=2),
            _block(128, 256, convolutions=3, stride=2),
            _block(256, 512, convolutions=3),
            _block(512, 512, convolutions=3, dilation=2),
            _block(512, 512, convolutions=3, dilation=2),
            _block(512, 512, convolutions=3),
        )
        self.rise = nn.ConvTranspose2d(512, 256, 4, 2, 1)
        self.last = nn.Sequential(nn.ReLU(), *_convs(256, 256, convolutions=2))
        self.head = nn.Conv2d(256, bins, 1)
        self.blocks.apply(start_for_relu)
        self.last.apply(start_for_relu)

    def features(self, lightness: Tensor) -> Tensor:
        """Return the input of ``head``, (N, 256, H / 4, W / 4)."""
        features: Tensor = self.last(self.rise(self.blocks((lightness - 50) / 50)))
        return features


def _convs(inputs: int, outputs: int, *, convolutions: int, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    steps: list[nn.Module] = []
    for number in range(1, convolutions + 1):
        step = stride if number == convolutions else 1
        steps += [nn.Conv2d(inputs, outputs, 3, step, dilation, dilation), nn.ReLU(inplace=True)]
        inputs = outputs
    return steps


def _block(inputs: int, outputs: int, *, convolutions: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    steps = _convs(inputs, outputs, convolutions=convolutions, stride=stride, dilation=dilation)
    return nn.Sequential(*steps, nn.BatchNorm2d(outputs))
