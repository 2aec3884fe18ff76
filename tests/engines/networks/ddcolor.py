"""DDColor: Kang et al., "DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders" (2022).

A ConvNeXt encoder (Liu et al., "A ConvNet for the 2020s"), a pixel decoder that doubles four times, and a colour
decoder of queries that attend to three scales of it in turn. ``DDColor()`` is its "tiny" of 55 million parameters.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.wide, self.narrow = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.spatial(x).permute(0, 2, 3, 1))
        y = self.scale * self.narrow(F.gelu(self.wide(y)))
        return x + y.permute(0, 3, 1, 2)


class _Encoder(nn.Module):
    def __init__(self, depths: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        self.downs = nn.ModuleList([nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), _ChannelNorm(widths[0]))])
        for before, after in pairwise(widths):
            self.downs.append(nn.Sequential(_ChannelNorm(before), nn.Conv2d(before, after, 2, 2)))
        self.stages = nn.ModuleList(
            nn.Sequential(*(_Block(width) for _ in range(depth))) for depth, width in zip(depths, widths, strict=True)
        )
        self.norms = nn.ModuleList(_ChannelNorm(width) for width in widths)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for down, stage, norm in zip(self.downs, self.stages, self.norms, strict=True):
            x = stage(down(x))
            found.append(norm(x))
        return found


class _Shuffle(nn.Module):
    """Pixel shuffle, then the mean of each 2 x 2 pixels, which removes its checkerboard."""

    def __init__(self, inputs: int, outputs: int, *, scale: int, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs * scale**2, 1, bias=not norm)
        self.norm = nn.BatchNorm2d(outputs * scale**2) if norm else nn.Identity()
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shuffle(F.relu(self.norm(self.conv(x))))
        return F.avg_pool2d(F.pad(x, (1, 0, 1, 0), mode="replicate"), 2, stride=1)


class _Up(nn.Module):
    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.shuffle = _Shuffle(inputs, outputs, scale=2, norm=True)
        self.skip_norm = nn.BatchNorm2d(skip)
        self.conv = nn.Conv2d(outputs + skip, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        joined = F.relu(torch.cat([self.shuffle(x), self.skip_norm(skip)], dim=1))
        return self.norm(F.relu(self.conv(joined)))


class _Layer(nn.Module):
    """Queries attend to the picture, then to each other, then pass through a feed-forward network."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.cross, self.self_ = nn.MultiheadAttention(width, heads), nn.MultiheadAttention(width, heads)
        self.wide, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, queries: Tensor, memory: Tensor, place: Tensor, own: Tensor) -> Tensor:
        seen = self.cross(queries + own, memory + place, memory, need_weights=False)[0]
        queries = self.norms[0](queries + seen)
        placed = queries + own
        queries = self.norms[1](queries + self.self_(placed, placed, queries, need_weights=False)[0])
        return self.norms[2](queries + self.narrow(F.relu(self.wide(queries))))


def _places(x: Tensor, width: int) -> Tensor:
    """Return sine positions (H W, N, C) of a feature map, each axis scaled to one turn."""
    ones = torch.ones_like(x[:, 0])
    rows, columns = ones.cumsum(1), ones.cumsum(2)
    rows = rows / (rows[:, -1:] + 1e-6) * 2 * math.pi
    columns = columns / (columns[:, :, -1:] + 1e-6) * 2 * math.pi
    rates = 10000 ** (2 * torch.arange(width // 4, dtype=torch.float32) / (width // 2))
    parts = []
    for axis in (rows, columns):
        turned = axis[..., None] / rates
        parts.append(torch.stack([turned.sin(), turned.cos()], dim=-1).flatten(3))
    return torch.cat(parts, dim=-1).flatten(1, 2).transpose(0, 1)


class _ColourDecoder(nn.Module):
    def __init__(self, channels: tuple[int, ...], width: int, queries: int, layers: int, hidden: int) -> None:
        super().__init__()
        self.width = width
        self.queries, self.own = nn.Embedding(queries, width), nn.Embedding(queries, width)
        self.levels = nn.Embedding(len(channels), width)
        self.inputs = nn.ModuleList(nn.Conv2d(one, width, 1) for one in channels)
        self.layers = nn.ModuleList(_Layer(width, 8, hidden) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.colours = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )

    def forward(self, scales: list[Tensor], picture: Tensor) -> Tensor:
        memories = [
            (conv(one).flatten(2) + level[None, :, None]).permute(2, 0, 1)
            for conv, one, level in zip(self.inputs, scales, self.levels.weight, strict=True)
        ]
        places = [_places(one, self.width) for one in scales]
        count = picture.shape[0]
        own = self.own.weight[:, None].repeat(1, count, 1)
        queries = self.queries.weight[:, None].repeat(1, count, 1)
        for number, layer in enumerate(self.layers):
            at = number % len(scales)
            queries = layer(queries, memories[at], places[at], own)
        colours = self.colours(self.norm(queries).transpose(0, 1))
        return torch.einsum("bqc,bchw->bqhw", colours, picture)


class DDColor(nn.Module):
    """Grey RGB (N, 3, S, S), 0..1, to ab (N, 2, S, S); ``narrow`` divides every width."""

    def __init__(self, *, narrow: int = 1, depths: tuple[int, ...] = (3, 3, 9, 3), queries: int = 100) -> None:
        super().__init__()
        widths = tuple(width // narrow for width in (96, 192, 384, 768))
        features = 512 // narrow
        self.encoder = _Encoder(depths, widths)
        self.ups = nn.ModuleList(
            [
                _Up(widths[3], widths[2], features),
                _Up(features, widths[1], features),
                _Up(features, widths[0], features // 2),
            ]
        )
        self.last = _Shuffle(features // 2, features // 2, scale=4, norm=False)
        self.decoder = _ColourDecoder(
            (features, features, features // 2), 256 // narrow, queries, sum(depths) // 2, 2048 // narrow
        )
        self.refine = nn.Conv2d(queries + 3, 2, 1)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None])

    def forward(self, picture: Tensor) -> Tensor:
        x = (picture - self.mean) / self.deviation
        *skips, deepest = self.encoder(x)
        scales, inner = [], deepest
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            inner = up(inner, skip)
            scales.append(inner)
        coarse = self.decoder(scales, self.last(inner))
        return self.refine(torch.cat([coarse, x], dim=1))
