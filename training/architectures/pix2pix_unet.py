"""The U-Net generator of pix2pix: Isola, Zhu, Zhou and Efros, Image-to-Image Translation with cGANs, 2017."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from training.architectures.blocks import bounded_ab, centred, start_as_gan

_WIDEST = 8
_DROPPED = 3


class Pix2PixUNet(nn.Module):
    """L* (N, 1, H, W), 0..100, H and W multiples of 2 ** levels, to ab (N, 2, H, W) within +-110, or to sRGB.

    Section 6.1.1 of the paper: 4 x 4 convolutions of stride 2, C64-C128-C256-C512 and C512 to the bottom, their mirror
    image of transposed ones with a skip at every level, dropout of one half after the three deepest. With eight levels
    a picture of 256 pixels is one pixel at the bottom; fewer ``levels`` leave out C512 pairs, for smaller crops. The
    paper normalises by the statistics of the batch at test time too (instance normalisation if the batch is one
    picture): here by each picture's own, so that no output depends on its neighbours. Averages kept from training do
    not work: against an adversary they lag behind, and the colours differ. The paper keeps dropout at test time as its
    noise; here evaluation mode turns it off, so that the output is deterministic.
    """

    def __init__(self, levels: int = 8, width: int = 64, *, rgb: bool = False) -> None:
        """Use ``levels`` halvings of the size, ``width`` channels after the first, at most eight times as many.

        With ``rgb`` it outputs sRGB (N, 3, H, W), 0..1, as needed for the paper's edges to photographs.
        """
        super().__init__()
        widths = [width * min(1 << level, _WIDEST) for level in range(levels)]
        self.down = nn.ModuleList()
        for level, (inputs, outputs) in enumerate(pairwise([1, *widths])):
            outermost, innermost = level == 0, level == levels - 1
            # The bottom may be a single pixel, which has no variance to normalise by.
            normalised = not (outermost or innermost)
            steps: list[nn.Module] = [] if outermost else [nn.LeakyReLU(0.2)]
            steps.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not normalised))
            steps += [nn.InstanceNorm2d(outputs, affine=True)] if normalised else []
            self.down.append(nn.Sequential(*steps))
        self.up = nn.ModuleList()
        for step, level in enumerate(range(levels - 1, 0, -1)):
            inputs = widths[level] * (1 if step == 0 else 2)
            layers = [nn.ReLU(), nn.ConvTranspose2d(inputs, widths[level - 1], 4, 2, 1, bias=False)]
            dropout = [nn.Dropout(0.5)] if step < _DROPPED else []
            self.up.append(nn.Sequential(*layers, nn.InstanceNorm2d(widths[level - 1], affine=True), *dropout))
        self._rgb = rgb
        self.head = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * width, 3 if rgb else 2, 4, 2, 1))
        self.apply(start_as_gan)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return a* and b*, or the picture."""
        x = centred(lightness)
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        for up, skip in zip(self.up, skips[-2::-1], strict=True):
            x = torch.cat([up(x), skip], dim=1)
        output: Tensor = self.head(x)
        return (torch.tanh(output) + 1) / 2 if self._rgb else bounded_ab(output)
