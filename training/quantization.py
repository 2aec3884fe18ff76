"""The ab plane in bins: colourisation as classification (Zhang, Isola, Efros: Colorful Image Colorization, 2016)."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.cielab_torch import rgb_to_lab

GRID = 10.0
_HALF = 11
_NEAREST = 5
_SIGMA = 5.0


def gamut_bins() -> Tensor:
    """Return the centres, shape (260, 2), of the ab grid cells (10 units wide) that sRGB can reach."""
    cells: Tensor = torch.unique(torch.round(_srgb_colours() / GRID), dim=0)
    return cells * GRID


def hull_bins() -> Tensor:
    """Return the grid points, shape (313, 2), around the convex hull of all sRGB colours: Zhang's 313 bins.

    The paper only says "in gamut". Taking the corners of every grid cell that the hull overlaps gives its 313 points:
    those less than one cell away from the hull on both axes.
    """
    reach = GRID * torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    grown = (_srgb_colours()[:, None] + reach).reshape(-1, 2)
    outline = cv2.convexHull(grown.numpy())
    points = _grid_points()
    inside = [cv2.pointPolygonTest(outline, (float(a), float(b)), False) > 0 for a, b in points]
    return points[torch.from_numpy(np.array(inside))]


def _srgb_colours() -> Tensor:
    steps = torch.linspace(0, 1, 52)
    cube = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")).reshape(1, 3, -1, 1)
    return rgb_to_lab(cube)[0, 1:, :, 0].T.contiguous()


def _grid_points() -> Tensor:
    line = torch.arange(-_HALF, _HALF + 1) * GRID
    return torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=-1).reshape(-1, 2)


class AbBins(nn.Module):
    """Soft labels for ab values, and ab values for logits; the bins are those of `gamut_bins`."""

    centres: Tensor
    _lookup: Tensor

    def __init__(self, centres: Tensor | None = None) -> None:
        """Use ``centres``, or else `gamut_bins`, and build the table from grid cell to the nearest bin."""
        super().__init__()
        self.register_buffer("centres", gamut_bins() if centres is None else centres, persistent=False)
        nearest = torch.cdist(_grid_points(), self.centres).argmin(dim=1)
        self.register_buffer("_lookup", nearest, persistent=False)

    def __len__(self) -> int:
        return len(self.centres)

    def soft_labels(self, ab: Tensor) -> tuple[Tensor, Tensor]:
        """Spread each ab value over the four bins around it, so that their weighted mean is the value itself.

        Takes (N, 2, H, W); returns bin numbers (N, K, H, W) and weights of the same shape that sum to 1, K = 4. Cells
        outside the gamut stand for the nearest bin inside.
        """
        place = (ab / GRID + _HALF).clamp(0, 2 * _HALF - 1e-3)
        base = place.floor()
        part = place - base
        row, column = base.long().unbind(dim=1)
        u, v = part.unbind(dim=1)
        side = 2 * _HALF + 1
        numbers, weights = [], []
        for down in (0, 1):
            for right in (0, 1):
                numbers.append(self._lookup[(row + down) * side + column + right])
                weights.append((u if down else 1 - u) * (v if right else 1 - v))
        return torch.stack(numbers, dim=1), torch.stack(weights, dim=1)

    def frequencies(self, ab: Tensor, *, nearest: bool = False) -> Tensor:
        """Return how often each bin occurs in ab values of shape (N, 2, H, W), as shares that sum to 1.

        A value counts for the bins around it by their weights or, if ``nearest``, only for the nearest of them.
        """
        numbers, weights = self.soft_labels(ab)
        if nearest:
            numbers = numbers.gather(1, weights.argmax(dim=1, keepdim=True))
            weights = torch.ones_like(numbers, dtype=weights.dtype)
        total = ab.new_zeros(len(self)).index_add_(0, numbers.flatten(), weights.flatten())
        return total / total.sum()

    def decode(self, logits: Tensor, temperature: float) -> Tensor:
        """Return the annealed mean of the bins (N, 2, H, W) for logits (N, Q, H, W); Zhang 2016, equation 5."""
        shares = F.softmax(logits / temperature, dim=1)
        return F.conv2d(shares, self.centres.T.to(shares).reshape(2, -1, 1, 1))


class ZhangBins(AbBins):
    """The bins of `hull_bins` with the soft labels of Zhang 2016, section 2.2."""

    def __init__(self) -> None:
        super().__init__(hull_bins())

    def soft_labels(self, ab: Tensor) -> tuple[Tensor, Tensor]:
        """Spread each ab value over its 5 nearest bins by a Gaussian of their distance, sigma 5; see `AbBins`."""
        count, _, height, width = ab.shape
        a, b = (part.reshape(-1, 1) for part in ab.unbind(dim=1))
        squares = (a - self.centres[:, 0]).square() + (b - self.centres[:, 1]).square()
        nearest, numbers = squares.topk(_NEAREST, dim=1, largest=False)
        weights = F.softmax(-nearest / (2 * _SIGMA**2), dim=1)
        numbers, weights = (
            part.reshape(count, height, width, _NEAREST).permute(0, 3, 1, 2) for part in (numbers, weights)
        )
        return numbers, weights


def smoothed(frequencies: Tensor, bins: AbBins, *, sigma: float) -> Tensor:
    """Smooth the shares (Q,) over the ab plane by a Gaussian of ``sigma`` CIELAB units; they still sum to 1.

    Zhang 2016, section 2.2, smooths with sigma 5 before weighting.
    """
    near = torch.exp(-torch.cdist(bins.centres, bins.centres).square() / (2 * sigma**2))
    spread: Tensor = (near / near.sum(dim=0)) @ frequencies
    return spread


def ab_bins(name: Literal["gamut260", "zhang313"]) -> AbBins:
    """Return the bins with the name that an architecture gives."""
    return ZhangBins() if name == "zhang313" else AbBins()


def class_weights(frequencies: Tensor, *, uniform: float, power: float) -> Tensor:
    """Return weights that raise rare colours: (mix of p and uniform) ** -power, scaled to a mean of 1 over the data.

    Zhang 2016, equation 4 has ``uniform`` 0.5 and ``power`` 1.
    """
    mixed = (1 - uniform) * frequencies + uniform / len(frequencies)
    weights = mixed**-power
    return weights / (weights * frequencies).sum()
