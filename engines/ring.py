"""Batches on a GPU: split into pieces of few shapes, two in flight at once, so that copies overlap with computing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

import numpy as np

from engines.tensors import Tensors

# Shapes of all inputs by name, in the order of the names.
Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
LARGEST_PIECE = 8
_SLOTS = 2
# A film needs up to eight (four sizes of piece, two slots); the scans of an archive come in many shapes.
_MOST_PROGRAMS = 16


class Program(Protocol):
    """The network prepared for inputs of one shape, with its own memory."""

    def start(self, inputs: Tensors) -> None:
        """Copy ``inputs`` and start computing; the previous output must have been fetched."""
        ...

    def finish(self) -> Tensors:
        """Wait for the output and return a copy of it."""
        ...

    def close(self) -> None:
        """Release memory, even after a start without a finish."""
        ...


class Ring:
    """Programs by shape, created on first use; the least recently used are closed."""

    def __init__(self, make: Callable[[Shapes], Program]) -> None:
        """Use ``make``, which creates a program for inputs of given shapes (N, C, H, W), N 1, 2, 4 or 8."""
        self._make = make
        self._programs: OrderedDict[tuple[int, Shapes], Program] = OrderedDict()

    def infer(self, inputs: Tensors) -> Tensors:
        """Return the programs' outputs for a batch, in order. Raises their errors."""
        try:
            outputs = self._infer(inputs)
        except BaseException:
            # Outputs still in flight must not be mistaken for those of the next batch.
            self.close()
            raise
        if len(outputs) == 1:
            return outputs[0]
        return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}

    def _infer(self, inputs: Tensors) -> list[Tensors]:
        outputs: list[Tensors] = []
        under_way: list[Program] = []
        for number, piece in enumerate(pieces(inputs)):
            if len(under_way) == _SLOTS:
                outputs.append(under_way.pop(0).finish())
            program = self._ready(number % _SLOTS, shapes_of(piece))
            program.start(piece)
            under_way.append(program)
        return outputs + [program.finish() for program in under_way]

    def close(self) -> None:
        """Release every program."""
        while self._programs:
            self._programs.popitem()[1].close()

    def _ready(self, slot: int, shapes: Shapes) -> Program:
        program = self._programs.pop((slot, shapes), None)
        if program is None:
            # Up to two programs are in flight, and they are the two most recently used.
            while len(self._programs) >= _MOST_PROGRAMS:
                self._programs.popitem(last=False)[1].close()
            program = self._make(shapes)
        self._programs[slot, shapes] = program
        return program


def shapes_of(inputs: Tensors) -> Shapes:
    """Return the shapes of inputs by name."""
    return tuple(sorted((name, array.shape) for name, array in inputs.items()))


def pieces(batch: Tensors) -> Iterator[Tensors]:
    """Yield ``batch`` in pieces of 8, 4, 2 and 1 pictures, so that any number needs few shapes and no padding."""
    count = len(next(iter(batch.values())))
    start, size = 0, LARGEST_PIECE
    while start < count:
        while size > count - start:
            size //= 2
        yield {name: array[start : start + size] for name, array in batch.items()}
        start += size
