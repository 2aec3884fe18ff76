"""Undo rebalancing: ``python -m training.balance CHECKPOINT PHOTOS OUTPUT --uniform 0.1 --power 0.35``.

A network whose loss weights a colour w times learns to consider it w times as likely as it is. The output is the
checkpoint with a head whose logits are lowered by a share of log w, or raised by a negative one. The weights are those
in the configuration of the training that raised colours (``rebalance_uniform``, ``rebalance_power``). CHECKPOINT is one
left by a run; the output of `training.checkpoint.keep_weights` is not enough.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engines.errors import WeightsError
from training.checkpoint import load_trained, save_state
from training.cielab_torch import rgb_to_lab
from training.commands import command
from training.data import Photos, middle_crop
from training.files import check_output
from training.photo_zips import open_photos
from training.quantization import AbBins, ab_bins, class_weights

_SIDE = 64


def bin_shares(bins: AbBins, photos: Photos, *, count: int) -> Tensor:
    """Return how often each bin occurs in the last ``count`` of ``photos``, (Q,), summing to 1."""
    squares = np.stack([middle_crop(photos[number], _SIDE) for number in range(len(photos) - count, len(photos))])
    return bins.frequencies(rgb_to_lab(torch.from_numpy(squares).permute(0, 3, 1, 2) / 255)[:, 1:])


def balance(checkpoint: Path, photos: Photos, output: Path, *, uniform: float, power: float, share: float) -> None:
    """Write ``checkpoint`` to ``output`` with ``share`` of its rebalancing undone in the head.

    Colours are counted in the photographs held out from training. Raises `WeightsError`, and `SourceError` if
    ``output`` is the checkpoint itself.
    """
    check_output(output, [checkpoint])
    trained = load_trained(checkpoint)
    if trained.architecture.bins is None:
        raise WeightsError(f"{checkpoint}: outputs ab, so there are no colours to balance")
    shares = bin_shares(ab_bins(trained.architecture.bins), photos, count=min(trained.config.holdout, len(photos)))
    change = -share * class_weights(shares, uniform=uniform, power=power).log()
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    for weights in (state["ema"], state["model"]):
        weights["head.bias"] += change
    save_state(state, output)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.balance", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    for name in ("checkpoint", "photos", "output"):
        add(name, type=Path)
    add("--uniform", type=float, required=True)
    add("--power", type=float, required=True)
    add("--share", type=float, default=0.5)
    args = parser.parse_args(arguments)
    check_output(args.output, [args.photos])
    balance(
        args.checkpoint,
        open_photos(args.photos),
        args.output,
        uniform=args.uniform,
        power=args.power,
        share=args.share,
    )


if __name__ == "__main__":
    raise SystemExit(main())
