"""LPIPS 0.1 with SqueezeNet 1.1: the perceptual difference of two pictures (Zhang et al. 2018).

The Unreasonable Effectiveness of Deep Features as a Perceptual Metric. Needs torch and safetensors, and weights that
are not included: SqueezeNet's ``features.*`` under torchvision's names and the linear layers as ``lpips.lin0`` to 6.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engines.errors import WeightsError
from training.cielab_numpy import U8

_FIRES = (3, 4, 6, 7, 9, 10, 11, 12)
_POOL_BEFORE = (3, 6, 9)
_COMPARED_AFTER = (4, 7, 9, 10, 11, 12)
_SHIFT = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
_SCALE = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)


class Lpips:
    """The distance as a callable; 0 for equal pictures, some 0.1 to 0.3 for wrong colours."""

    def __init__(self, weights: Path) -> None:
        """Load ``weights`` (safetensors). Raises `WeightsError` if they are missing or not the required ones."""
        try:
            self._weights = {name: value.float() for name, value in load_file(weights).items()}
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"{weights}: cannot be read as LPIPS weights: {error}") from error
        needed = [f"features.{n}.{part}.weight" for n in _FIRES for part in ("squeeze", "expand1x1", "expand3x3")]
        needed += ["features.0.weight", *(f"lpips.lin{n}" for n in range(len(_COMPARED_AFTER) + 1))]
        if missing := sorted(set(needed) - self._weights.keys()):
            raise WeightsError(f"{weights}: these LPIPS weights are missing: {', '.join(missing)}")

    @torch.inference_mode()
    def __call__(self, picture: U8, truth: U8) -> float:
        """Return LPIPS of two pictures, uint8 RGB (H, W, 3) of one size, both sides at least 32 pixels."""
        pair = torch.from_numpy(np.stack([picture, truth])).permute(0, 3, 1, 2).float() / 127.5 - 1
        total = torch.zeros(())
        for number, features in enumerate(self._features((pair - _SHIFT) / _SCALE)):
            unit = features / (features.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
            difference = (unit[:1] - unit[1:]).square()
            total = total + F.conv2d(difference, self._weights[f"lpips.lin{number}"]).mean()
        return float(total)

    def _features(self, x: Tensor) -> list[Tensor]:
        x = F.relu(self._conv(x, "features.0", stride=2))
        compared = [x]
        for number in _FIRES:
            if number in _POOL_BEFORE:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            x = F.relu(self._conv(x, f"features.{number}.squeeze"))
            small = self._conv(x, f"features.{number}.expand1x1")
            wide = self._conv(x, f"features.{number}.expand3x3", padding=1)
            x = F.relu(torch.cat([small, wide], dim=1))
            if number in _COMPARED_AFTER:
                compared.append(x)
        return compared

    def _conv(self, x: Tensor, name: str, *, stride: int = 1, padding: int = 0) -> Tensor:
        return F.conv2d(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], stride, padding)
