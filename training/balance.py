"""Undoing the rebalancing: how much likelier a network thinks each colour than it is."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.cielab import rgb_to_lab
from training.data import Photos
from training.evaluate import network_input
from training.quantization import AbBins

_RAREST = 1e-5
_STRIDE = 4


@torch.inference_mode()
def colour_balance(
    model: nn.Module, bins: AbBins, photos: Photos, *, count: int, size: int, multiple: int
) -> tuple[Tensor, Tensor]:
    """Return the true and the predicted share of every bin (Q,) on the last ``count`` of ``photos``.

    ``model`` answers L* with logits over ``bins``; it sees a short side of ``size`` pixels. Shares under 0.001 % are
    taken for that much.
    """
    true, predicted = torch.zeros(len(bins)), torch.zeros(len(bins))
    for number in range(len(photos) - count, len(photos)):
        lab = np.asarray(rgb_to_lab(photos[number]), np.float32)
        lightness, a, b = (
            torch.from_numpy(network_input(np.ascontiguousarray(plane), size=size, multiple=multiple))[None, None]
            for plane in np.moveaxis(lab, -1, 0)
        )
        logits: Tensor = model(lightness)
        predicted += F.softmax(logits, dim=1).mean(dim=(0, 2, 3)) / count
        true += bins.frequencies(F.avg_pool2d(torch.cat([a, b], dim=1), _STRIDE)) / count
    return true.clamp(min=_RAREST), predicted.clamp(min=_RAREST)
