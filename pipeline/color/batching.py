"""The only place that composes batches, and that restores the order afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from engines.base import Engine
from pipeline.color.model_input import ModelInput
from pipeline.color.spaces import F32, lightness

T = TypeVar("T")


@dataclass(frozen=True)
class Coloured(Generic[T]):
    """A model input with the network's answer: ``ab`` (2, h / stride, w / stride), CIELAB, upright."""

    model_input: ModelInput[T]
    ab: F32


def coloured(model_inputs: Sequence[ModelInput[T]], engine: Engine) -> Iterator[Coloured[T]]:
    """Yield ``model_inputs`` coloured, in order; those of one shape share batches of up to the engine's largest."""
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, model_input in enumerate(model_inputs):
        by_shape[model_input.luma.shape].append(number)
    found: dict[int, F32] = {}
    for numbers in by_shape.values():
        found.update(zip(numbers, answers([model_inputs[n] for n in numbers], engine), strict=True))
    for number, model_input in enumerate(model_inputs):
        yield Coloured(model_input, found[number])


def answers(model_inputs: list[ModelInput[T]], engine: Engine) -> list[F32]:
    """Return the network's ab (2, h / stride, w / stride) for model inputs of one shape, in the largest batches."""
    largest = engine.spec.max_batch
    found: list[F32] = []
    for start in range(0, len(model_inputs), largest):
        luma = np.stack([model_input.luma for model_input in model_inputs[start : start + largest]])
        found.extend(engine.infer(lightness(luma[:, None])))
    return found
