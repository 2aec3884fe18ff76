"""Undoing the rebalancing: ``python -m training.balance CHECKPOINT PHOTOS OUTPUT --share 0.5``.

A network that was trained with rare colours raised thinks them likelier than they are. The output is the checkpoint
with a head whose logits are raised by a share of log(true share / predicted share), for every bin.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import WeightsError
from training.cielab import rgb_to_lab
from training.checkpoint import load_trained
from training.data import Photos
from training.evaluate import network_input
from training.photo_zips import open_photos
from training.quantization import AbBins, ab_bins

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


def balanced(checkpoint: Path, photos: Photos, output: Path, *, share: float, count: int, size: int) -> None:
    """Write ``checkpoint`` with its head balanced to ``output``; see `colour_balance`. Raises `WeightsError`."""
    trained = load_trained(checkpoint)
    if trained.architecture.bins is None:
        raise WeightsError(f"{checkpoint}: answers with ab, there are no colours to balance")
    bins = ab_bins(trained.architecture.bins)
    multiple = trained.architecture.multiple
    true, predicted = colour_balance(trained.model, bins, photos, count=count, size=size, multiple=multiple)
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    for weights in (state["ema"], state["model"]):
        weights["head.bias"] += share * (true / predicted).log()
    torch.save(state, output)


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.balance", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    for name in ("checkpoint", "photos", "output"):
        add(name, type=Path)
    add("--share", type=float, default=0.5)
    add("--count", type=int, default=400, help="held-out photographs to measure on")
    add("--size", type=int, default=256, help="short side that the network sees")
    asked = parser.parse_args(arguments)
    photos = open_photos(asked.photos)
    balanced(asked.checkpoint, photos, asked.output, share=asked.share, count=asked.count, size=asked.size)


if __name__ == "__main__":
    main()
