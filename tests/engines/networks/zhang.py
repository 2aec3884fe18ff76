"""Zhang et al.: "Colorful Image Colorization" (ECCV 2016), and "Real-Time User-Guided Image Colorization" (2017)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _block(*channels: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3 x 3 convolutions, the last one with ``stride``, each followed by a ReLU, and batch normalisation at the end."""
    layers: list[nn.Module] = []
    steps = list(pairwise(channels))
    for number, (inputs, outputs) in enumerate(steps):
        step = stride if number == len(steps) - 1 else 1
        layers += [nn.Conv2d(inputs, outputs, 3, step, dilation, dilation), nn.ReLU()]
    return nn.Sequential(*layers, nn.BatchNorm2d(channels[-1]))


class Eccv16(nn.Module):
    """L* (N, 1, H, W) to ab (N, 2, H, W): 313 colours at a quarter of the size, their mean upsampled.

    ``centre`` is what the graph subtracts from L* itself; 0 means that the input is L* minus 50.
    """

    def __init__(self, *, narrow: int = 1, centre: float = 50.0) -> None:
        super().__init__()
        self.centre = centre
        a, b, c, d = (width // narrow for width in (64, 128, 256, 512))
        self.body = nn.Sequential(
            _block(1, a, a, stride=2), _block(a, b, b, stride=2), _block(b, c, c, c, stride=2), _block(c, d, d, d),
            _block(d, d, d, d, dilation=2), _block(d, d, d, d, dilation=2), _block(d, d, d, d),
            nn.ConvTranspose2d(d, c, 4, 2, 1), nn.ReLU(), nn.Conv2d(c, c, 3, padding=1), nn.ReLU(),
            nn.Conv2d(c, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, 313, 1),
        )  # fmt: skip
        self.colours = nn.Conv2d(313, 2, 1, bias=False)

    def forward(self, lightness: Tensor) -> Tensor:
        centred = (lightness - self.centre) / 100 if self.centre else lightness / 100
        ab = self.colours(torch.softmax(self.body(centred), dim=1))
        return 110 * F.interpolate(ab, scale_factor=4.0, mode="bilinear", align_corners=False)


class Siggraph17(nn.Module):
    """L* (N, 1, H, W), hinted ab (N, 2, H, W) and mask (N, 1, H, W) to ab (N, 2, H, W), within +-110.

    ``centre`` is what the graph subtracts from L* itself; 0 means that the input is L* minus 50.
    """

    def __init__(self, *, narrow: int = 1, centre: float = 0.0) -> None:
        super().__init__()
        self.centre = centre
        a, b, c, d = (width // narrow for width in (64, 128, 256, 512))
        self.one, self.two, self.three = _block(4, a, a), _block(a, b, b), _block(b, c, c, c)
        self.deep = nn.Sequential(
            _block(c, d, d, d), _block(d, d, d, d, dilation=2), _block(d, d, d, d, dilation=2), _block(d, d, d, d)
        )
        self.up8, self.skip8 = nn.ConvTranspose2d(d, c, 4, 2, 1), nn.Conv2d(c, c, 3, padding=1)
        self.eight = nn.Sequential(nn.ReLU(), _block(c, c, c))
        self.up9, self.skip9 = nn.ConvTranspose2d(c, b, 4, 2, 1), nn.Conv2d(b, b, 3, padding=1)
        self.nine = nn.Sequential(nn.ReLU(), _block(b, b))
        self.up10, self.skip10 = nn.ConvTranspose2d(b, b, 4, 2, 1), nn.Conv2d(a, b, 3, padding=1)
        self.ten = nn.Sequential(nn.ReLU(), nn.Conv2d(b, b, 3, padding=1), nn.LeakyReLU(0.2))
        self.answer = nn.Conv2d(b, 2, 1)

    def forward(self, lightness: Tensor, ab: Tensor, mask: Tensor) -> Tensor:
        centred = (lightness - self.centre) / 100 if self.centre else lightness / 100
        one = self.one(torch.cat([centred, ab / 110, mask], dim=1))
        two = self.two(one[:, :, ::2, ::2])
        three = self.three(two[:, :, ::2, ::2])
        x = self.eight(self.up8(self.deep(three[:, :, ::2, ::2])) + self.skip8(three))
        x = self.nine(self.up9(x) + self.skip9(two))
        x = self.ten(self.up10(x) + self.skip10(one))
        return 110 * torch.tanh(self.answer(x))
