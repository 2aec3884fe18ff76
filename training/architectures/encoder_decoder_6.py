"""The symmetric encoder-decoder of six levels, trained with a squared error or as the generator of a GAN."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from training.architectures.blocks import bounded_ab, centred, start_as_gan

_WIDTHS = (64, 128, 256, 512, 512, 512)


class EncoderDecoder6(nn.Module):
    """L* (N, 1, H, W), 0..100, H and W multiples of 64, to ab (N, 2, H, W) within +-110; no skips.

    Six 4 x 4 convolutions of stride 2 and six transposed ones, their mirror: the "encoder-decoder" of Isola et al.
    2017 (section 6.1.1), two levels shorter and without dropout. No normalisation at either end or at the bottom.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential()
        for inputs, outputs in pairwise((1, *_WIDTHS)):
            inner = inputs != 1 and len(self.down) < 5
            self.down.append(_level(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not inner), inner, nn.LeakyReLU(0.2)))
        self.up = nn.Sequential()
        for inputs, outputs in pairwise(_WIDTHS[::-1]):
            self.up.append(_level(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), True, nn.ReLU()))
        self.head = nn.ConvTranspose2d(_WIDTHS[0], 2, 4, 2, 1)
        self.apply(start_as_gan)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return a* and b*."""
        return bounded_ab(self.head(self.up(self.down(centred(lightness)))))


def _level(convolution: nn.Conv2d | nn.ConvTranspose2d, normalised: bool, activation: nn.Module) -> nn.Sequential:
    norm = [nn.BatchNorm2d(convolution.out_channels)] if normalised else []
    return nn.Sequential(convolution, *norm, activation)
