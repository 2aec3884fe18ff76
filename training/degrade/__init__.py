"""Imitate the effects of film and age on modern photographs, so that the network learns such input.

Each degradation is a function of pictures and a random generator on the same device, and changes every picture that it
is given, by a strength drawn for each. `old_film` is the entry point: it chooses the pictures, and the degradations of
each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from training.cielab_torch import luminance_to_lightness
from training.degrade.compression import jpeg, video
from training.degrade.exposure import emulsion, fading, gamma, seen_luminance, tone, vignette
from training.degrade.lines import line_art
from training.degrade.surface import blur, dust, grain, scratches

Degradation = Callable[[Tensor, torch.Generator], Tensor]

SHARES: Mapping[str, float] = MappingProxyType(
    {
        "emulsion": 0.75,
        "vignette": 0.25,
        "blur": 0.4,
        "tone": 0.5,
        "grain": 0.5,
        "fading": 0.4,
        "dust": 0.15,
        "scratches": 0.15,
        "gamma": 0.4,
        "jpeg": 0.25,
        "video": 0.2,
    }
)
"""Probability of each degradation for an old picture, in the order of its life: lens to file."""

_ON_LIGHTNESS: Mapping[str, Degradation] = MappingProxyType(
    {
        "blur": blur,
        "tone": tone,
        "grain": grain,
        "fading": fading,
        "dust": dust,
        "scratches": scratches,
        "gamma": gamma,
        "jpeg": jpeg,
        "video": video,
    }
)


def old_film(linear: Tensor, rng: torch.Generator, *, share: float, without: frozenset[str] = frozenset()) -> Tensor:
    """Return the L* (N, 1, H, W), 0..100, of black-and-white copies of linear sRGB (N, 3, H, W), 0..1.

    A ``share`` of the pictures is old, and gets each degradation of `SHARES` with its probability, except those named
    in ``without``; the others are as the eye sees them. ``rng`` is on the device of ``linear``. Raises `ValueError` for
    a name that is not in `SHARES`.
    """
    if unknown := without - SHARES.keys():
        raise ValueError(f"no such degradation: {', '.join(sorted(unknown))}; there are {', '.join(SHARES)}")
    lightness = luminance_to_lightness(seen_luminance(linear))
    old = _chosen(linear, rng, share)
    if len(old):
        lightness[old] = _aged(linear[old], rng, SHARES.keys() - without)
    return lightness.clamp_(0, 100)


def some_line_art(lightness: Tensor, rng: torch.Generator, *, share: float) -> Tensor:
    """Return L* (N, 1, H, W) with a ``share`` of the pictures reduced to lines; see `line_art`."""
    drawn = _chosen(lightness, rng, share)
    return lightness.index_copy(0, drawn, line_art(lightness[drawn])) if len(drawn) else lightness


def _aged(linear: Tensor, rng: torch.Generator, names: set[str]) -> Tensor:
    def some(pictures: Tensor, name: str, degrade: Degradation, source: Tensor | None = None) -> None:
        chosen = _chosen(pictures, rng, SHARES[name] if name in names else 0.0)
        if len(chosen):
            pictures[chosen] = degrade((pictures if source is None else source)[chosen], rng)

    luminance = seen_luminance(linear)
    some(luminance, "emulsion", emulsion, linear)
    some(luminance, "vignette", vignette)
    lightness = luminance_to_lightness(luminance)
    for name, degrade in _ON_LIGHTNESS.items():
        some(lightness, name, degrade)
        lightness.clamp_(0, 100)
    return lightness


def _chosen(pictures: Tensor, rng: torch.Generator, share: float) -> Tensor:
    """Return the indices of the chosen pictures, each chosen with probability ``share``."""
    return torch.nonzero(torch.rand(len(pictures), generator=rng, device=rng.device) < share).flatten()
