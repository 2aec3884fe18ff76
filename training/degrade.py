"""What film and time do to a picture, applied to modern photographs: the network must know such input.

Every function takes and returns a tensor and draws its strength per picture from ``rng``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from training.lab import luminance_to_lightness

_REC709 = (0.2126, 0.7152, 0.0722)


def exposed_luminance(linear: Tensor, rng: torch.Generator, *, share: float) -> Tensor:
    """Return the luminance that a black-and-white emulsion records, shape (N, 1, H, W), 0..1.

    A ``share`` of the pictures gets random positive weights on linear R, G, B instead of the eye's:
    blue-sensitive and orthochromatic plates are nearly blind to red, panchromatic film is not.
    """
    count = linear.shape[0]
    eye = torch.tensor(_REC709).expand(count, 3)
    emulsion = torch.rand(count, 3, generator=rng) + 0.02
    emulsion = emulsion / emulsion.sum(dim=1, keepdim=True)
    chosen = torch.rand(count, 1, generator=rng) < share
    weights = torch.where(chosen, 0.5 * (eye + emulsion), eye)
    return (linear * weights.view(count, 3, 1, 1)).sum(dim=1, keepdim=True).clamp(0, 1)


def tone_curve(lightness: Tensor, rng: torch.Generator, *, share: float) -> Tensor:
    """Bend L* (0..100) of a ``share`` of the pictures by gamma, contrast and fading."""
    count = lightness.shape[0]

    def draw(low: float, high: float) -> Tensor:
        return torch.empty(count, 1, 1, 1).uniform_(low, high, generator=rng)

    chosen = torch.rand(count, 1, 1, 1, generator=rng) < share
    bent = 100 * (lightness / 100).clamp(0, 1) ** torch.exp(draw(-0.35, 0.35))
    low, high = draw(0, 18), draw(78, 100)
    return torch.where(chosen, low + bent * (high - low) / 100, lightness)


def grain(lightness: Tensor, rng: torch.Generator, *, share: float) -> Tensor:
    """Add grain of one to three pixels, up to 6 L* (one sigma), to a ``share`` of the pictures."""
    count, _, height, width = lightness.shape
    fine = torch.randn(count, 1, height, width, generator=rng)
    coarse = 2.0 * F.avg_pool2d(fine, 3, stride=1, padding=1)
    mix = torch.rand(count, 1, 1, 1, generator=rng)
    strength = 6 * torch.rand(count, 1, 1, 1, generator=rng) ** 2
    chosen = torch.rand(count, 1, 1, 1, generator=rng) < share
    return torch.where(chosen, lightness + strength * (mix * fine + (1 - mix) * coarse), lightness)


def blur(lightness: Tensor, rng: torch.Generator, *, share: float) -> Tensor:
    """Soften a ``share`` of the pictures with a 3 x 3 box, mixed in by a random amount."""
    count = lightness.shape[0]
    amount = torch.rand(count, 1, 1, 1, generator=rng)
    chosen = torch.rand(count, 1, 1, 1, generator=rng) < share
    padded = F.pad(lightness, (1, 1, 1, 1), mode="replicate")
    return torch.where(chosen, torch.lerp(lightness, F.avg_pool2d(padded, 3, stride=1), amount), lightness)


def old_film(linear: Tensor, rng: torch.Generator, *, share: float) -> Tensor:
    """Return the L* (N, 1, H, W), 0..100, of a degraded black-and-white copy of linear RGB (N, 3, H, W)."""
    lightness = luminance_to_lightness(exposed_luminance(linear, rng, share=share))
    lightness = blur(lightness, rng, share=share / 2)
    lightness = tone_curve(lightness, rng, share=share)
    return grain(lightness, rng, share=share).clamp(0, 100)
