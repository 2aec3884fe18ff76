"""Photographs as line art: a stand-in for drawings and manga, for which there are no coloured pairs to train on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_SIGMA, _RATIO, _GAIN = 1.0, 1.6, 25.0


def line_art(lightness: Tensor) -> Tensor:
    """Return ink lines on white paper, L* 0..100, for L* (N, 1, H, W) of photographs.

    Lines are where the difference of two Gaussians (1 and 1.6 pixels) is darker than the surroundings, after Marr and
    Hildreth 1980 and, softened by tanh, Winnemöller et al. 2012 (XDoG).
    """
    share = lightness / 100
    darker = (_blurred(share, _RATIO * _SIGMA) - _blurred(share, _SIGMA)).clamp(min=0)
    return 100 * (1 - torch.tanh(_GAIN * darker))


def _blurred(x: Tensor, sigma: float) -> Tensor:
    reach = int(3 * sigma + 0.5)
    places = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-places.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
