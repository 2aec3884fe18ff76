"""The cost of training: ``python -m benchmarks.training [NAME...]`` prints a table of configurations.

Of each crop's share of a training step, with the discriminator if there is one: the operations in convolutions and
matrix products (a multiplication and an addition count as two), and the processor time of one thread. The first step
of ``--crops`` random pictures is counted, the second is timed; weights are random.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.flop_counter import FlopCounterMode

from training.config import TrainConfig, find_config
from training.config_check import check_config
from training.data import U8, middle_crop
from training.device import open_machine
from training.learner import Learner

SYSTEMS = (
    *("vgg16-autoencoder", "vgg16-frozen", "encoder-decoder-6", "encoder-decoder-6-gan", "zhang2016", "pix2pix"),
    *("pix2pix-128", "resnet18-unet-l1", "resnet18-unet-gan", "unet-simple", "unet-vae", "unet-vae-4"),
)
_HOUR = 3600
_BUDGETS = (8_000, 40_000)


class RandomPhotos:
    """Square pictures of random pixels, as photographs for training."""

    def __init__(self, count: int, side: int) -> None:
        self._count, self._side = count, side

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Height and width of every picture, shape (N, 2)."""
        return np.full((self._count, 2), self._side, np.int64)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> U8:
        """Return picture ``number``, which is always the same, as uint8 RGB, shape (H, W, 3)."""
        return np.random.default_rng(number).integers(0, 256, (self._side, self._side, 3), np.uint8)


def cost(config: TrainConfig, *, crops: int) -> tuple[float, float]:
    """Return the operations in 1e9 and the processor seconds of a step, per crop, of a step of ``crops`` crops."""
    photos = RandomPhotos(2 * crops, config.crop)
    config = dataclasses.replace(config, batch=crops, holdout=0, evaluate_every=0, evaluate_photos=0, evaluate_crop=0)
    with open_machine("cpu", precision="f32") as machine:
        learner = Learner(config, check_config(config), photos, machine, backbone=None, start_from=None)

        def step(number: int) -> None:
            numbers = range(number * crops, (number + 1) * crops)
            pixels = np.stack([middle_crop(photos[one], config.crop) for one in numbers]).transpose(0, 3, 1, 2)
            learner.learn(number, torch.from_numpy(pixels), factor=1.0, numbers=numbers)

        with FlopCounterMode(display=False) as counter:
            step(0)
        began = time.process_time()
        step(1)
        return counter.get_total_flops() / crops / 1e9, (time.process_time() - began) / crops


def main() -> None:
    """Print the table, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", default=SYSTEMS, metavar="NAME", help="configurations, or their TOML files")
    parser.add_argument("--crops", type=int, default=2, help="crops in a step")
    args = parser.parse_args()
    torch.set_num_threads(1)
    hours = " | ".join(f"{budget:,} crops, h" for budget in _BUDGETS)
    sys.stdout.write(f"| configuration | crop | batch | GFLOP | CPU s | {hours} |\n|{'---|' * 7}\n")
    for name in args.names:
        config = find_config(name)
        operations, seconds = cost(config, crops=args.crops)
        long = " | ".join(f"{budget * seconds / _HOUR:.1f}" for budget in _BUDGETS)
        row = f"| {config.name} | {config.crop} | {config.batch} | {operations:.1f} | {seconds:.2f} | {long} |"
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
