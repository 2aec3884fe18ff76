"""Networks of the size and shape of other colourisers', with random weights, on which time does not depend.

Plain PyTorch, written from the papers and the published sizes, to be timed and for nothing else: their answers mean
nothing. DeOldify (Antic, 2018): a ResNet-34 U-Net with pixel-shuffle upsampling and self-attention, on RGB.
DDColor-tiny (Kang et al., "DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders", 2022): a
ConvNeXt-T encoder, a pixel decoder, and a colour decoder of 100 queries over three scales.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _conv(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(inputs, outputs, stride=stride), nn.Conv2d(outputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs)
        )
        same = inputs == outputs and stride == 1
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, picture: Tensor) -> Tensor:
        answer: Tensor = F.relu(self.body(picture) + self.skip(picture))
        return answer


class _Shuffle(nn.Module):
    """Twice the size, ``outputs`` channels, by pixel shuffle."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(inputs, 4 * outputs, 1)

    def forward(self, picture: Tensor) -> Tensor:
        return F.relu(F.pixel_shuffle(self.widen(picture), 2))


class _Up(nn.Module):
    def __init__(self, inputs: int, skip: int, outputs: int, *, convs: int) -> None:
        super().__init__()
        self.shuffle = _Shuffle(inputs, inputs // 2)
        first = inputs // 2 + skip
        self.convs = nn.Sequential(*(_conv(first if n == 0 else outputs, outputs) for n in range(convs)))

    def forward(self, picture: Tensor, skip: Tensor) -> Tensor:
        answer: Tensor = self.convs(torch.cat([self.shuffle(picture), skip], dim=1))
        return answer


class _SelfAttention(nn.Module):
    """Self-attention over all places of a feature map, as in SAGAN."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.parts = nn.Conv1d(channels, 2 * (channels // 8) + channels, 1)
        self.sizes = (channels // 8, channels // 8, channels)

    def forward(self, picture: Tensor) -> Tensor:
        query, key, value = self.parts(picture.flatten(2)).split(self.sizes, dim=1)
        share = torch.softmax(query.transpose(1, 2) @ key, dim=1)
        answer: Tensor = picture + (value @ share).view_as(picture)
        return answer


class DeOldifyLike(nn.Module):
    """L* (N, 1, H, W), sides multiples of 32, to RGB (N, 3, H, W)."""

    def __init__(self) -> None:
        """Make the network, with random weights."""
        super().__init__()
        self.stem = _conv(3, 64, kernel=7, stride=2)
        widths, depths = (64, 64, 128, 256, 512), (3, 4, 6, 3)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    _Residual(widths[n] if block == 0 else widths[n + 1], widths[n + 1], 1 + (block == 0 and n > 0))
                    for block in range(depth)
                )
            )
            for n, depth in enumerate(depths)
        )
        self.middle = nn.Sequential(_conv(512, 1024), _conv(1024, 512))
        self.ups = nn.ModuleList(
            [
                _Up(512, 256, 768, convs=2),
                _Up(768, 128, 768, convs=2),
                _Up(768, 64, 672, convs=2),
                _Up(672, 64, 300, convs=2),
            ]
        )
        self.attention = _SelfAttention(768)
        self.last = _Shuffle(300, 300)
        self.head = nn.Sequential(_Residual(303, 303, 1), nn.Conv2d(303, 3, 1))

    def forward(self, lightness: Tensor) -> Tensor:
        """Return what stands for colours."""
        picture = lightness.expand(-1, 3, -1, -1) / 100
        features = [self.stem(picture)]
        level = F.max_pool2d(features[0], 3, 2, 1)
        for stage in self.stages:
            level = stage(level)
            features.append(level)
        level = self.middle(level)
        for number, up in enumerate(self.ups):
            level = up(level, features[3 - number])
            if number == 1:
                level = self.attention(level)
        answer: Tensor = self.head(torch.cat([self.last(level), picture], dim=1))
        return answer


class _ConvNeXtBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))

    def forward(self, picture: Tensor) -> Tensor:
        mixed = self.mix(self.norm(self.depthwise(picture).permute(0, 2, 3, 1)))
        answer: Tensor = picture + mixed.permute(0, 3, 1, 2)
        return answer


class _QueryLayer(nn.Module):
    """Colour queries look at a feature map, then at each other."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.cross = nn.MultiheadAttention(width, 8, batch_first=True)
        self.own = nn.MultiheadAttention(width, 8, batch_first=True)
        self.mix = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, queries: Tensor, seen: Tensor) -> Tensor:
        queries = self.norms[0](queries + self.cross(queries, seen, seen, need_weights=False)[0])
        queries = self.norms[1](queries + self.own(queries, queries, queries, need_weights=False)[0])
        answer: Tensor = self.norms[2](queries + self.mix(queries))
        return answer


class DDColorLike(nn.Module):
    """L* (N, 1, H, W), sides multiples of 32, to ab (N, 2, H, W)."""

    def __init__(self) -> None:
        """Make the network, with random weights."""
        super().__init__()
        widths, depths = (96, 192, 384, 768), (3, 3, 9, 3)
        self.downs = nn.ModuleList(
            nn.Conv2d(3 if n == 0 else widths[n - 1], width, 4 if n == 0 else 2, 4 if n == 0 else 2)
            for n, width in enumerate(widths)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(_ConvNeXtBlock(width) for _ in range(depth)))
            for width, depth in zip(widths, depths, strict=True)
        )
        self.ups = nn.ModuleList([_Up(768, 384, 512, convs=1), _Up(512, 192, 512, convs=1), _Up(512, 96, 256, convs=1)])
        self.last = nn.Sequential(_Shuffle(256, 256), _Shuffle(256, 256))
        self.levels = nn.ModuleList(nn.Conv2d(width, 256, 1) for width in (512, 512, 256))
        self.queries = nn.Parameter(torch.randn(1, 100, 256))
        self.layers = nn.ModuleList(_QueryLayer(256, 2048) for _ in range(9))
        self.colours = nn.Sequential(
            nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256)
        )
        self.head = nn.Conv2d(103, 2, 1)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return what stands for a* and b*."""
        picture = lightness.expand(-1, 3, -1, -1) / 100
        level, features = picture, []
        for down, stage in zip(self.downs, self.stages, strict=True):
            level = stage(down(level))
            features.append(level)
        seen = []
        for number, (up, narrow) in enumerate(zip(self.ups, self.levels, strict=True)):
            level = up(level, features[2 - number])
            seen.append(narrow(level).flatten(2).transpose(1, 2))
        queries = self.queries.expand(len(picture), -1, -1)
        for number, layer in enumerate(self.layers):
            queries = layer(queries, seen[number % 3])
        places = self.last(level)
        maps = (self.colours(queries) @ places.flatten(2)).view(len(picture), 100, *places.shape[2:])
        answer: Tensor = self.head(torch.cat([maps, picture], dim=1))
        return answer


# By name: the network, and the sides of the square that its own programs colour by default.
RIVALS: Mapping[str, tuple[type[nn.Module], int]] = MappingProxyType(
    {"DeOldify-like": (DeOldifyLike, 336), "DDColor-tiny-like": (DDColorLike, 512)}
)
