"""Imitate defects of sharpness and surface: blur, grain, scratches, dust. All on L* (N, 1, H, W)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from training.degrade.random_values import noise, per_picture, uniform

_BLUR_REACH = 4
_SCRATCHES = 3
# Grain sizes in pixels, with their maximum amplitude in L*; large grains soon look like fog.
_GRAIN = {1: 6.0, 2: 3.0, 3: 1.7}


def blur(lightness: Tensor, rng: torch.Generator) -> Tensor:
    """Soften with a Gaussian of sigma 0.4 to 1.6 pixels, drawn separately for rows and columns: lens and movement."""
    count = len(lightness)
    places = torch.arange(-_BLUR_REACH, _BLUR_REACH + 1, device=rng.device)
    sigma = uniform(rng, 0.4, 1.6, 2, count, 1)
    kernels = torch.exp(-0.5 * (places / sigma).square())
    rows, columns = kernels / kernels.sum(dim=2, keepdim=True)
    padded = F.pad(lightness, (_BLUR_REACH,) * 4, mode="replicate").transpose(0, 1)
    across = F.conv2d(padded, columns.view(count, 1, 1, -1), groups=count)
    return F.conv2d(across, rows.view(count, 1, -1, 1), groups=count).transpose(0, 1)


def grain(lightness: Tensor, rng: torch.Generator) -> Tensor:
    """Add grain of one, two and three pixels in a random mixture, up to some 7 L* (sigma), most in middle tones."""
    added = torch.zeros_like(lightness)
    for scale, most in _GRAIN.items():
        added += per_picture(lightness, rng, 0, most) * noise(lightness, rng, scale=scale)
    strength = per_picture(lightness, rng, 0.3, 1)
    tones = (lightness / 100).clamp(0, 1)
    return lightness + strength * (0.4 + 2.4 * tones * (1 - tones)) * added


def scratches(lightness: Tensor, rng: torch.Generator) -> Tensor:
    """Draw one to three nearly vertical lines of one to three pixels, lighter or darker, that come and go."""
    count, _, height, width = lightness.shape
    lines = (count, _SCRATCHES, 1, 1)
    rows = torch.arange(height, device=rng.device).view(1, 1, height, 1)
    columns = torch.arange(width, device=rng.device).view(1, 1, 1, width)
    place = uniform(rng, 0, width, *lines) + uniform(rng, -0.02, 0.02, *lines) * rows
    profile = (columns - place).abs_().sub_(uniform(rng, 0.6, 1.6, *lines)).neg_().clamp_(0, 1)
    wave = torch.sin(rows * uniform(rng, 0.01, 0.1, *lines) + uniform(rng, 0, 6.3, *lines))
    contrast = uniform(rng, 8, 45, *lines) * torch.where(uniform(rng, 0, 1, *lines) < 0.6, 1, -1)
    number = per_picture(lightness, rng, 1, _SCRATCHES + 1).floor()
    drawn = torch.arange(_SCRATCHES, device=rng.device).view(1, -1, 1, 1) < number
    depth = (0.6 + 0.6 * wave).clamp(0, 1) * contrast * drawn
    return lightness + profile.mul_(depth).sum(dim=1, keepdim=True)


def dust(lightness: Tensor, rng: torch.Generator) -> Tensor:
    """Add specks of a few pixels, white or black: where smooth noise is far above its average.

    A small picture may stay clean.
    """
    fine = noise(lightness, rng, scale=2) - per_picture(lightness, rng, 2.3, 3.2)
    coarse = noise(lightness, rng, scale=5) - per_picture(lightness, rng, 2.6, 3.8)
    cover = (4 * torch.maximum(fine, coarse)).clamp(0, 1)
    colour = 100 * per_picture(lightness, rng, 0, 1).round()
    return torch.lerp(lightness, colour, cover * per_picture(lightness, rng, 0.5, 1))
