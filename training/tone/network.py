"""The network that tells photographs in colour from prints in one tone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

# Expansion, channels, blocks and stride, as far as stride 16 (Sandler et al. 2018, table 2).
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
_FIRST, _FEATURES = 32, 256
_DROPOUT = 0.3


class ToneClassifier(nn.Module):
    """MobileNetV2 (Sandler et al. 2018) up to stride 16, with torchvision's names, and one linear unit on its means."""

    def __init__(self) -> None:
        super().__init__()
        channels = _FIRST
        self.features = nn.Sequential(_Convolution(3, channels, 3, stride=2))
        for expansion, width, blocks, stride in _STAGES:
            for number in range(blocks):
                self.features.append(_Residual(channels, width, stride=1 if number else stride, expansion=expansion))
                channels = width
        self.head = _Convolution(channels, _FEATURES, 1)
        self.drop = nn.Dropout(_DROPOUT)
        self.out = nn.Linear(_FEATURES, 1)

    def forward(self, picture: Tensor) -> Tensor:
        """Return the log odds (N, 1, 1, 1) that sRGB (N, 3, 112, 112), 0..1, has colours of its own."""
        features = self.head(self.features(2 * picture - 1))
        odds: Tensor = self.out(self.drop(features.mean(dim=(2, 3))))
        return odds[:, :, None, None]

    def load_imagenet(self, weights: Mapping[str, Tensor]) -> None:
        """Load ImageNet weights with torchvision's names; what follows stride 16 is ignored.

        Raises `KeyError` for a missing one, and `RuntimeError` for one of another shape.
        """
        own = [name for name in self.features.state_dict(prefix="features.") if not name.endswith("batches_tracked")]
        self.load_state_dict({name: weights[name].float() for name in own}, strict=False)


class _Convolution(nn.Sequential):
    """A convolution with batch normalisation and ReLU6; with a stride it pads below and to the right only."""

    def __init__(self, inputs: int, outputs: int, size: int, *, stride: int = 1, groups: int = 1) -> None:
        padding = 0 if stride > 1 else size // 2
        super().__init__(
            nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(),
        )
        self.is_padded = stride > 1

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of ``x``."""
        for layer in self:
            x = layer(nn.functional.pad(x, (0, 1, 0, 1)) if self.is_padded and layer is self[0] else x)
        return x


class _Residual(nn.Module):
    """An inverted residual block."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        inside = inputs * expansion
        self.conv = nn.Sequential(
            *([_Convolution(inputs, inside, 1)] if expansion > 1 else []),
            _Convolution(inside, inside, 3, stride=stride, groups=inside),
            nn.Conv2d(inside, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of ``x``."""
        made: Tensor = self.conv(x)
        return torch.add(x, made) if self.adds else made
