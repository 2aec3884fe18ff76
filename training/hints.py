"""Hints for training: a few true colours, as a person or a neighbouring frame would give them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

F32 = npt.NDArray[np.float32]

_STOP = 1 / 8
_SPREAD = 1 / 4
_LARGEST = 3
_BLOB_SHARE = 0.2
_BLOB_GRID = 4
_BLOB_COVER = (0.1, 0.9)


def draw_hints(truth: Tensor, rng: torch.Generator, *, share: float) -> Tensor:
    """Return hints (N, 3, H, W) for the true ab (N, 2, H, W): ab times mask, and the mask, 0 or 1.

    A ``share`` of the pictures gets some. They are drawn as in Zhang et al. 2017 (Real-Time User-Guided Image
    Colorization, section 3.2): their number is geometric with p = 1/8, their position normal around the middle with a
    quarter of the side, their size 1 to 3 positions, their colour the mean of the truth there. A fifth of those
    pictures gets the truth in blobs instead, as from a neighbouring frame or a reference.
    """
    (seed,) = torch.randint(2**62, (1,), generator=rng, device=rng.device).tolist()
    draw = np.random.default_rng(seed)
    colours = truth.cpu().numpy()
    hints = np.zeros((len(colours), 3, *colours.shape[2:]), np.float32)
    for number in np.flatnonzero(draw.random(len(colours)) < share):
        if draw.random() < _BLOB_SHARE:
            mask = _blobs(colours.shape[2:], draw)
            hints[number, :2], hints[number, 2] = colours[number] * mask, mask
        else:
            _points(hints[number], colours[number], draw)
    return torch.from_numpy(hints).to(truth.device)


def _points(hints: F32, truth: F32, draw: np.random.Generator) -> None:
    sides = truth.shape[1:]
    for _ in range(draw.geometric(_STOP)):
        size = int(draw.integers(1, _LARGEST + 1))
        rows, columns = (
            slice(first, first + size)
            for side in sides
            for first in [int(np.clip(round(draw.normal(side / 2, side * _SPREAD) - size / 2), 0, side - size))]
        )
        hints[:2, rows, columns] = truth[:, rows, columns].mean(axis=(1, 2), keepdims=True)
        hints[2, rows, columns] = 1


def _blobs(sides: tuple[int, ...], draw: np.random.Generator) -> F32:
    noise = cv2.resize(draw.random((_BLOB_GRID, _BLOB_GRID)), (sides[1], sides[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(noise < np.quantile(noise, draw.uniform(*_BLOB_COVER)), np.float32)
