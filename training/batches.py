"""Crops on the training device: cut by the CPU a few steps ahead, or by the device from photographs in its memory."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.data import Crop, CropStream, PhotoCache

_AHEAD = 3


def streamed(stream: CropStream, first: int, device: torch.device) -> Generator[tuple[int, Tensor]]:
    """Yield every step from ``first`` on with its crops, float32 sRGB (N, 3, size, size), 0..255, cut by the CPU."""
    with ThreadPoolExecutor(1) as pool:
        ahead = {step: pool.submit(stream.__getitem__, step) for step in range(first, first + _AHEAD)}
        for step in count(first):
            ahead[step + _AHEAD] = pool.submit(stream.__getitem__, step + _AHEAD)
            yield step, torch.from_numpy(ahead.pop(step).result()).to(device).float()


def resident(cut: Callable[[list[Crop], int], Tensor], stream: CropStream, first: int) -> Generator[tuple[int, Tensor]]:
    """Yield the same as `streamed`, cut by a `ResidentPhotos`."""
    for step in count(first):
        yield step, cut(stream.plan(step), stream.stage(step).crop)


class ResidentPhotos:
    """The pixels of a cache in a device's memory, which cuts and scales crops there, a whole batch at once."""

    def __init__(self, cache: PhotoCache, *, device: torch.device) -> None:
        """Copy all pixels to ``device``."""
        self._device = device
        self._pixels = torch.from_numpy(np.fromfile(cache.path, np.uint8)).to(device).view(-1, 3)
        self._first = cache.index[:, 0] // 3
        self._widths = cache.index[:, 2]
        self._largest = float(cache.sizes.min(axis=1).max())

    def __call__(self, crops: list[Crop], size: int) -> Tensor:
        """Return ``crops`` as float32 sRGB, shape (N, 3, size, size), 0..255: bilinear samples, averaged."""
        # As many samples each way per pixel of the crop as prevent aliasing even in the largest crop.
        samples = max(1, round(self._largest / size))
        numbers = [crop.number for crop in crops]
        table = np.array([(crop.top, crop.left, crop.side, crop.mirrored) for crop in crops], np.int64)
        table = np.concatenate([table, self._first[numbers, None], self._widths[numbers, None]], axis=1)
        top, left, side, mirrored, first, width = torch.from_numpy(table).to(self._device).unsqueeze(2).unbind(dim=1)
        row, next_row, down = self._places(side, torch.zeros_like(mirrored), size * samples)
        column, next_column, right = self._places(side, mirrored, size * samples)
        row, next_row = (first + (top + r) * width for r in (row, next_row))
        column, next_column = left + column, left + next_column
        down, right = down[:, :, None, None], right[:, None, :, None]
        upper = torch.lerp(self._take(row, column), self._take(row, next_column), right)
        lower = torch.lerp(self._take(next_row, column), self._take(next_row, next_column), right)
        fine = torch.lerp(upper, lower, down).permute(0, 3, 1, 2)
        return F.avg_pool2d(fine, samples) if samples > 1 else fine

    def _places(self, side: Tensor, mirrored: Tensor, wanted: int) -> tuple[Tensor, Tensor, Tensor]:
        """For sides (N, 1) return the positions (N, wanted) of the ``wanted`` samples.

        They are the pixels before and after each sample, counted from the crop's edge, and its fractional position in
        between.
        """
        middle = (torch.arange(wanted, device=self._device, dtype=torch.float32) + 0.5) / wanted
        along = torch.where(mirrored == 1, 1 - middle, middle)
        last = side - 1
        place = (along * side - 0.5).clamp(min=0).minimum(last)
        before = place.floor().long()
        return before, (before + 1).minimum(last), place - before

    def _take(self, rows: Tensor, columns: Tensor) -> Tensor:
        return self._pixels[rows[:, :, None] + columns[:, None, :]].float()
