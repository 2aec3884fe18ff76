"""Random numbers for each picture of a batch, on the generator's device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def uniform(rng: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    """Return numbers in ``low``..``high``."""
    return low + (high - low) * torch.rand(shape, generator=rng, device=rng.device)


def per_picture(pictures: Tensor, rng: torch.Generator, low: float, high: float) -> Tensor:
    """Return a number in ``low``..``high`` for each of ``pictures``, shape (N, 1, 1, 1)."""
    return uniform(rng, low, high, len(pictures), 1, 1, 1)


def noise(pictures: Tensor, rng: torch.Generator, *, scale: int) -> Tensor:
    """Return noise of mean 0 and sigma 1, shape (N, 1, H, W): normal every ``scale`` pixels, bilinear between."""
    count, _, height, width = pictures.shape
    # Two knots more than fit, so that the shape of the last patch does not depend on the picture's size.
    rows, columns = (height, width) if scale == 1 else (height // scale + 2, width // scale + 2)
    knots = torch.randn(count, 1, rows, columns, generator=rng, device=rng.device)
    if scale == 1:
        return knots
    # Interpolation leaves this much of the variance per axis, on average: the mean of t^2 + (1 - t)^2 over the
    # positions t of a patch's pixels. With two axes it is the factor for sigma.
    knots /= (4 * scale**2 - 1) / (6 * scale**2)
    return F.interpolate(knots, scale_factor=float(scale), mode="bilinear", align_corners=False)[..., :height, :width]
