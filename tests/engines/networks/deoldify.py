"""DeOldify (Antic, 2018): a ResNet U-Net with pixel shuffle and self-attention (Zhang et al., "SAGAN", 2018).

``DeOldify()`` has the layout of its "artistic" network (ResNet-34, two convolutions per step), with the picture's
normalisation inside, as in its ONNX files.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _conv(inputs: int, outputs: int, *, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.ReLU(), nn.BatchNorm2d(outputs)
    )


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        plain = stride == 1 and inputs == outputs
        self.skip = nn.Identity() if plain else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))


class _Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key = nn.Conv1d(channels, channels // 8, 1), nn.Conv1d(channels, channels // 8, 1)
        self.value = nn.Conv1d(channels, channels, 1)
        self.share = nn.Parameter(torch.tensor([0.5]))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        shares = torch.softmax(self.query(flat).transpose(1, 2) @ self.key(flat), dim=1)
        return (self.share * (self.value(flat) @ shares) + flat).reshape(x.shape)


class _Shuffle(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(inputs, 4 * outputs, 1, bias=False), nn.BatchNorm2d(4 * outputs))
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.shuffle(self.conv(x)))
        return F.avg_pool2d(F.pad(x, (1, 0, 1, 0), mode="replicate"), 2, stride=1)


class _Up(nn.Module):
    def __init__(self, inputs: int, skip: int, outputs: int, *, attends: bool) -> None:
        super().__init__()
        self.shuffle, self.skip_norm = _Shuffle(inputs, inputs // 2), nn.BatchNorm2d(skip)
        self.convs = nn.Sequential(_conv(inputs // 2 + skip, outputs), _conv(outputs, outputs))
        self.attention = _Attention(outputs) if attends else nn.Identity()

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.attention(self.convs(F.relu(torch.cat([self.shuffle(x), self.skip_norm(skip)], dim=1))))


class DeOldify(nn.Module):
    """Grey RGB (N, 3, S, S), 0..255, to RGB (N, 3, S, S), 0..255; ``narrow`` divides every width."""

    def __init__(self, *, narrow: int = 1, depths: tuple[int, ...] = (3, 4, 6, 3)) -> None:
        super().__init__()
        stem = 64 // narrow
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 7, 2, 3, bias=False), nn.BatchNorm2d(stem), nn.ReLU())
        widths = [stem, stem]
        self.stages = nn.ModuleList()
        for number, depth in enumerate(depths):
            width = stem << number
            blocks = [_Residual(widths[-1], width, 1 if number == 0 else 2)]
            blocks += [_Residual(width, width, 1) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*blocks))
            widths.append(width)
        deep = widths[-1]
        self.middle = nn.Sequential(nn.BatchNorm2d(deep), nn.ReLU(), _conv(deep, 2 * deep), _conv(2 * deep, deep))
        self.ups, inner = nn.ModuleList(), deep
        for number, skip in enumerate((widths[4], widths[3], widths[2], stem)):
            joined = inner // 2 + skip
            outputs = (joined if number < 3 else joined // 2) * 3 // 2 // 8 * 8
            self.ups.append(_Up(inner, skip, outputs, attends=number == 1))
            inner = outputs
        self.last = _Shuffle(inner, inner)
        self.cross = nn.Sequential(_conv(inner + 3, inner + 3), _conv(inner + 3, inner + 3))
        self.answer = nn.Conv2d(inner + 3, 3, 1)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None])

    def forward(self, picture: Tensor) -> Tensor:
        shown = (picture / 255 - self.mean) / self.deviation
        x = self.stem(shown)
        skips = [x]
        x = F.max_pool2d(x, 3, 2, 1)
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        x = self.middle(x)
        for up, skip in zip(self.ups, (skips[3], skips[2], skips[1], skips[0]), strict=True):
            x = up(x, skip)
        x = torch.cat([self.last(x), shown], dim=1)
        ranged = torch.sigmoid(self.answer(x + self.cross(x))) * 6 - 3
        return (ranged * self.deviation + self.mean) * 255
