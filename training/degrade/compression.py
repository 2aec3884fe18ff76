"""Imitate coarse compression of L* (N, 1, H, W): rounded frequencies of small blocks.

The steps of the standards are for code values 0..255, which 2.55 L* approximates: sRGB's curve is close to that of L*.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from training.degrade.random_values import per_picture

_CODES = 2.55
# ITU-T T.81 (JPEG), table K.1: the luminance steps at quality 50, by rows of vertical frequency.
_JPEG_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def jpeg(lightness: Tensor, rng: torch.Generator) -> Tensor:
    """Round as JPEG does, at a quality between 12 and 60 on the Independent JPEG Group's scale."""
    quality = per_picture(lightness, rng, 12, 60)
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    return _rounded(lightness, scale * torch.tensor(_JPEG_STEPS).to(lightness))


def video(lightness: Tensor, rng: torch.Generator) -> Tensor:
    """Round as a video codec does at a low rate, in blocks of 4 or of 8 (the same for all pictures), and smooth.

    The steps increase linearly with frequency, by 15 to 60 from the lowest to the highest in either direction; the step
    of the mean is a quarter of this, because codecs predict it. The smoothing stands for the loop filter.
    """
    block = 4 if torch.rand(1, generator=rng, device=rng.device).item() < 0.5 else 8
    frequency = torch.arange(block, device=rng.device) / (block - 1)
    steps = per_picture(lightness, rng, 15, 60) * (0.25 + frequency.view(-1, 1) + frequency)
    amount = per_picture(lightness, rng, 0.05, 0.25)
    padded = F.pad(_rounded(lightness, steps), (1, 1, 1, 1), mode="replicate")
    across = (1 - 2 * amount) * padded[..., 1:-1] + amount * (padded[..., :-2] + padded[..., 2:])
    return (1 - 2 * amount) * across[..., 1:-1, :] + amount * (across[..., :-2, :] + across[..., 2:, :])


def _rounded(lightness: Tensor, steps: Tensor) -> Tensor:
    """Round the frequencies of square blocks to multiples of ``steps`` (N or 1, 1, B, B), in code values."""
    block = steps.shape[-1]
    count, _, height, width = lightness.shape
    down, right = -height % block, -width % block
    whole = F.pad(_CODES * lightness, (0, right, 0, down), mode="replicate")
    cosines = _cosines(block).to(lightness)
    strips = (-1, block, width + right)
    frequencies = (cosines @ whole.reshape(strips)).reshape(-1, block) @ cosines.T
    steps = steps.reshape(-1, 1, block, 1, block)
    blocks = frequencies.reshape(count, -1, block, (width + right) // block, block)
    kept = torch.round(blocks / steps).mul_(steps)
    restored = cosines.T @ (kept.reshape(-1, block) @ cosines).reshape(strips)
    return restored.reshape(whole.shape)[..., :height, :width] / _CODES


def _cosines(size: int) -> Tensor:
    """Return the orthonormal DCT-II, shape (size, size): rows are frequencies (ITU-T T.81, A.3.3)."""
    angles = torch.arange(size).view(-1, 1) * (2 * torch.arange(size) + 1) * math.pi / (2 * size)
    cosines = torch.cos(angles) * math.sqrt(2 / size)
    cosines[0] /= math.sqrt(2)
    return cosines
