"""The ab plane in bins: colourisation as classification (Zhang, Isola, Efros: Colorful Image Colorization, 2016)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.lab import rgb_to_lab

GRID = 10.0
_HALF = 11


def gamut_bins() -> Tensor:
    """Return the centres, shape (Q, 2), of the ab grid cells (10 units wide) that sRGB can reach."""
    steps = torch.linspace(0, 1, 52)
    cube = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")).reshape(1, 3, -1, 1)
    ab = rgb_to_lab(cube)[0, 1:, :, 0].T
    cells: Tensor = torch.unique(torch.round(ab / GRID), dim=0)
    return cells * GRID


class AbBins(nn.Module):
    """Soft labels for ab values, and ab values for logits."""

    centres: Tensor
    _lookup: Tensor

    def __init__(self) -> None:
        """Build the bins and the table from grid cell to the nearest bin."""
        super().__init__()
        self.register_buffer("centres", gamut_bins(), persistent=False)
        line = torch.arange(-_HALF, _HALF + 1) * GRID
        cells = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=-1).reshape(-1, 2)
        self.register_buffer("_lookup", torch.cdist(cells, self.centres).argmin(dim=1), persistent=False)

    def __len__(self) -> int:
        return len(self.centres)

    def soft_labels(self, ab: Tensor) -> tuple[Tensor, Tensor]:
        """Spread each ab value over the four bins around it, so that their weighted mean is the value itself.

        Takes (N, 2, H, W); returns bin numbers (N, 4, H, W) and weights of the same shape that sum to 1.
        Cells outside the gamut stand for the nearest bin inside.
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

    def frequencies(self, ab: Tensor) -> Tensor:
        """Return how often each bin occurs in ab values of shape (N, 2, H, W), as shares that sum to 1."""
        numbers, weights = self.soft_labels(ab)
        total = torch.zeros(len(self)).index_add_(0, numbers.flatten(), weights.flatten())
        return total / total.sum()

    def decode(self, logits: Tensor, temperature: float) -> Tensor:
        """Return the annealed mean of the bins (N, 2, H, W) for logits (N, Q, H, W); Zhang 2016, equation 5."""
        shares = F.softmax(logits / temperature, dim=1)
        return F.conv2d(shares, self.centres.T.to(shares).reshape(2, -1, 1, 1))


def class_weights(frequencies: Tensor, *, uniform: float, power: float) -> Tensor:
    """Return weights that raise rare colours: (mix of p and uniform) ** -power, scaled to a mean of 1 over the data.

    Zhang 2016, equation 4 has ``uniform`` 0.5 and ``power`` 1.
    """
    mixed = (1 - uniform) * frequencies + uniform / len(frequencies)
    weights = mixed**-power
    return weights / (weights * frequencies).sum()
