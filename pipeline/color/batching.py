"""The only place that composes batches, and that restores the order afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from engines.network import Network
from pipeline.color.sketch import Sketch
from pipeline.color.spaces import F32, lightness

T = TypeVar("T")


@dataclass(frozen=True)
class Coloured(Generic[T]):
    """A sketch with the network's answer: ``ab`` (2, h / stride, w / stride), CIELAB, upright."""

    sketch: Sketch[T]
    ab: F32


def coloured(sketches: Sequence[Sketch[T]], network: Network) -> Iterator[Coloured[T]]:
    """Yield ``sketches`` coloured, in their order; those of one shape share batches of up to the network's largest."""
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, sketch in enumerate(sketches):
        by_shape[sketch.luma.shape].append(number)
    found: dict[int, F32] = {}
    for numbers in by_shape.values():
        found.update(zip(numbers, answers([sketches[n] for n in numbers], network), strict=True))
    for number, sketch in enumerate(sketches):
        yield Coloured(sketch, found[number])


def answers(sketches: list[Sketch[T]], network: Network) -> list[F32]:
    """Return the network's ab (2, h / stride, w / stride) for sketches of one shape, in batches as large as may be."""
    largest = network.spec.max_batch
    found: list[F32] = []
    for start in range(0, len(sketches), largest):
        luma = np.stack([sketch.luma for sketch in sketches[start : start + largest]])
        found.extend(network.predict(lightness(luma[:, None])).ab)
    return found
