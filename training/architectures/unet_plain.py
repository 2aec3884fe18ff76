"""The plain U-Net without skips: down by pooling, up by deconvolution, nothing carried across."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from training.architectures.blocks import bounded_ab, centred, grey_head, two_convs


class UNetPlain(nn.Module):
    """L* (N, 1, H, W), 0..100, H and W multiples of 16, to ab (N, 2, H, W) within +-110.

    Our own padded counterpart of the sources' simple U-Net (`training.architectures.unet_simple`): the U-Net of
    Ronneberger et al. 2015 (two 3 x 3 convolutions per level, 2 x 2 pools and up-convolutions) without its skips, so
    that the picture's detail has to pass through the bottom. Half the paper's widths, batch normalisation, tanh.
    """

    def __init__(self, width: int = 32) -> None:
        """Use ``width`` channels at full size, twice as many at each of four levels below."""
        super().__init__()
        widths = [width << level for level in range(5)]
        self.down = nn.Sequential(two_convs(1, width))
        for inputs, outputs in pairwise(widths):
            self.down.extend([nn.MaxPool2d(2), two_convs(inputs, outputs)])
        self.up = nn.Sequential()
        for inputs, outputs in pairwise(widths[::-1]):
            self.up.extend([nn.ConvTranspose2d(inputs, outputs, 2, 2), two_convs(outputs, outputs)])
        self.head = grey_head(width)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return a* and b*."""
        return bounded_ab(self.head(self.up(self.down(centred(lightness)))))
