"""Inputs and outputs of a network as data: named tensors with four axes, and the sizes allowed for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
Tensors: TypeAlias = Mapping[str, F32]

# Pictures with a larger aspect ratio are squeezed for the network.
LONGEST_RATIO = 3.0
LARGEST_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input or output (N, ``channels``, H / ``divisor``, W / ``divisor``); H and W are the model input's.

    Input values lie in ``low``..``high``; ``channels`` None means any number. ``half`` means that the graph itself
    declares float16: engines convert, and callers see float32.
    """

    name: str
    channels: int | None
    divisor: int = 1
    low: float = -math.inf
    high: float = math.inf
    half: bool = False

    @property
    def middle(self) -> float:
        """The middle of the range, or 0 if it is unbounded."""
        return (self.low + self.high) / 2 if math.isfinite(self.high - self.low) else 0.0

    def shape(self, count: int, height: int, width: int) -> tuple[int, int | None, int, int]:
        """Return the shape of this tensor for ``count`` model inputs of ``height`` x ``width``."""
        return count, self.channels, height // self.divisor, width // self.divisor


@dataclass(frozen=True, kw_only=True)
class InputSize:
    """Sizes that a network takes, and its shorter side for films (many frames) and for photographs.

    Sides are multiples of ``multiple``. ``square`` networks were trained on pictures squeezed to squares and get those;
    ``fixed`` ones take only squares of that side.
    """

    multiple: int
    film: int
    photo: int
    square: bool = False
    fixed: int | None = None

    def shape(self, short: int, *, width: float, height: float) -> tuple[int, int]:
        """Return rows and columns of the model input for a picture of ``width`` x ``height``.

        The shorter side becomes ``short``, rounded up to a multiple, the longer one the nearest multiple that keeps the
        aspect ratio, up to 3 : 1.
        """
        if self.fixed is not None:
            return self.fixed, self.fixed
        short = self.rounded(short)
        if self.square:
            return short, short
        longest = short * min(max(width, height) / min(width, height), LONGEST_RATIO)
        long_side = max(short, round(longest / self.multiple) * self.multiple)
        return (short, long_side) if width >= height else (long_side, short)

    def rounded(self, side: float) -> int:
        """Return the smallest valid side not below ``side``."""
        return self.fixed or math.ceil(side / self.multiple) * self.multiple

    @property
    def smallest(self) -> int:
        """The smallest valid side."""
        return self.fixed or self.multiple


@dataclass(frozen=True, kw_only=True)
class GraphSpec:
    """Inputs and outputs of a network, the sizes that it takes, and its maximum batch size."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    size: InputSize
    max_batch: int = LARGEST_BATCH
