"""The only place that composes batches, and that restores the order afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from engines.base import Engine
from pipeline.color.sketch import Sketch
from pipeline.color.spaces import F32, lightness

T = TypeVar("T")


@dataclass(frozen=True)
class Coloured(Generic[T]):
    """A sketch with the network's answer: ``ab`` (2, h / stride, w / stride), CIELAB, upright."""

    sketch: Sketch[T]
    ab: F32


def coloured(sketches: Iterable[Sketch[T]], engine: Engine, *, window: int, weight: int) -> Iterator[Coloured[T]]:
    """Colour ``sketches`` in order, looking ahead over at most ``window`` of them, or ``weight`` bytes of their items.

    Within the window, sketches of one shape share batches of up to the engine's largest.
    """
    waiting: list[Sketch[T]] = []
    held = 0
    for sketch in sketches:
        waiting.append(sketch)
        held += sketch.weight
        if len(waiting) >= window or held >= weight:
            yield from _infer(waiting, engine)
            waiting, held = [], 0
    yield from _infer(waiting, engine)


def _infer(sketches: list[Sketch[T]], engine: Engine) -> Iterator[Coloured[T]]:
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, sketch in enumerate(sketches):
        by_shape[sketch.luma.shape].append(number)
    answers: dict[int, F32] = {}
    for numbers in by_shape.values():
        for start in range(0, len(numbers), engine.spec.max_batch):
            batch = numbers[start : start + engine.spec.max_batch]
            ab = engine.infer(lightness(np.stack([sketches[n].luma for n in batch])[:, None]))
            answers.update(zip(batch, ab, strict=True))
    for number, sketch in enumerate(sketches):
        yield Coloured(sketch, answers[number])
