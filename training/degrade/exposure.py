"""Imitate lens and emulsion: vignette, spectral sensitivity, tone, gamma, fading."""

from __future__ import annotations

import torch
from torch import Tensor

from training.degrade.random_values import per_picture, uniform

_EYE = (0.2126, 0.7152, 0.0722)
# Weights of R, G and B: blue-sensitive plates (to about 500 nm, until the 1880s, and long after because they were
# cheap), orthochromatic ones (to about 590 nm, blind to red, until the 1930s), panchromatic film (all, more blue than
# the eye).
_EMULSIONS = ((0.03, 0.17, 0.80), (0.07, 0.51, 0.42), (0.32, 0.38, 0.30))
_SPREAD = 0.35


def seen_luminance(linear: Tensor) -> Tensor:
    """Return the relative luminance (N, 1, H, W) that the eye sees in linear sRGB (N, 3, H, W): Rec. 709 weights."""
    return _weighed(linear, torch.tensor([_EYE]).to(linear).expand(len(linear), 3))


def emulsion(linear: Tensor, rng: torch.Generator) -> Tensor:
    """Return the luminance (N, 1, H, W), 0..1, that black-and-white emulsions record from linear sRGB (N, 3, H, W).

    Each picture gets one of three families (blue-sensitive, orthochromatic, panchromatic), its weights varied by some
    35 % for makes, filters and light, and a positive sum of 1: white stays white and black black.
    """
    families = torch.tensor(_EMULSIONS).to(linear)
    family = torch.randint(len(families), (len(linear),), generator=rng, device=rng.device)
    vary = torch.randn(len(linear), 3, generator=rng, device=rng.device)
    weights = families[family] * torch.exp(_SPREAD * vary)
    weights = weights / weights.sum(dim=1, keepdim=True)
    return _weighed(linear, weights)


def _weighed(linear: Tensor, weights: Tensor) -> Tensor:
    red, green, blue = torch.split(linear, 1, dim=1)
    r, g, b = torch.split(weights.view(-1, 3, 1, 1), 1, dim=1)
    return (red * r).addcmul_(green, g).addcmul_(blue, b).clamp_(0, 1)


def vignette(luminance: Tensor, rng: torch.Generator) -> Tensor:
    """Darken luminance (N, 1, H, W), 0..1, away from a point near the middle by the fourth power of the cosine."""
    count, _, height, width = luminance.shape
    strength = per_picture(luminance, rng, 0.3, 0.8)
    down, right = uniform(rng, -0.4, 0.4, 2, count, 1, 1, 1).unbind()
    rows = torch.linspace(-1, 1, height, device=rng.device).view(1, 1, height, 1) - down
    columns = torch.linspace(-1, 1, width, device=rng.device).view(1, 1, 1, width) - right
    tangent = strength.square() * (rows.square() + columns.square()) / 2
    return luminance / (1 + tangent).square()


def tone(lightness: Tensor, rng: torch.Generator) -> Tensor:
    """Bend L* (N, 1, H, W), 0..100, like film between toe and shoulder (Hurter and Driffield 1890).

    An S-curve that preserves black and white, from nearly straight to hard, steepest between 25 and 75.
    """
    steep = per_picture(lightness, rng, 0.5, 3.5)
    middle = per_picture(lightness, rng, 0.25, 0.75)
    low = torch.tanh(-steep * middle)
    high = torch.tanh(steep * (1 - middle))
    return 100 * (torch.tanh(steep * (lightness / 100 - middle)) - low) / (high - low)


def gamma(lightness: Tensor, rng: torch.Generator) -> Tensor:
    """Brighten or darken L* (N, 1, H, W), 0..100, by a power from 0.65 to 1.5: exposure, printing and scanning."""
    power = torch.exp(per_picture(lightness, rng, -0.43, 0.43))
    return 100 * (lightness / 100).clamp(0, 1) ** power


def fading(lightness: Tensor, rng: torch.Generator) -> Tensor:
    """Lift the blacks of L* (N, 1, H, W), 0..100, by up to 24 and lower the whites by up to 24."""
    low = per_picture(lightness, rng, 0, 24)
    high = per_picture(lightness, rng, 76, 100)
    return low + lightness * (high - low) / 100
