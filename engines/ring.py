"""Batches on a GPU: cut into pieces of few shapes, two under way at once, so that copies hide behind computing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

import numpy as np

from engines.base import F32

Shape: TypeAlias = tuple[int, int, int, int]
LARGEST_PIECE = 8
_SLOTS = 2
# A film needs up to eight (four sizes of piece, two slots); the scans of an archive come in many shapes.
_MOST_PROGRAMS = 16


class Program(Protocol):
    """The network made ready for lightness of one shape, with memory of its own."""

    def start(self, lightness: F32) -> None:
        """Take a copy of ``lightness`` and begin to colour it; the last answer must have been taken."""
        ...

    def finish(self) -> F32:
        """Wait for the answer and return a copy of it."""
        ...

    def close(self) -> None:
        """Release memory; a start without a finish may have gone before."""
        ...


class Ring:
    """Programs by shape, made when they are first needed; those not used for longest are closed."""

    def __init__(self, make: Callable[[Shape], Program]) -> None:
        """Keep ``make``, which gets a program ready for lightness of a shape (N, 1, H, W), N a power of two up to 8."""
        self._make = make
        self._programs: OrderedDict[tuple[int, Shape], Program] = OrderedDict()

    def infer(self, lightness: F32) -> F32:
        """Return the programs' answers for a batch (N, 1, H, W), in order. Raises what they raise."""
        try:
            answers = self._answers(lightness)
        except BaseException:
            # Whatever is under way must not be taken for the answer to the next batch.
            self.close()
            raise
        return answers[0] if len(answers) == 1 else np.concatenate(answers)

    def _answers(self, lightness: F32) -> list[F32]:
        answers: list[F32] = []
        under_way: list[Program] = []
        for number, piece in enumerate(pieces(lightness)):
            if len(under_way) == _SLOTS:
                answers.append(under_way.pop(0).finish())
            program = self._ready(number % _SLOTS, piece.shape)
            program.start(piece)
            under_way.append(program)
        return answers + [program.finish() for program in under_way]

    def close(self) -> None:
        """Release every program."""
        while self._programs:
            self._programs.popitem()[1].close()

    def _ready(self, slot: int, shape: Shape) -> Program:
        program = self._programs.pop((slot, shape), None)
        if program is None:
            # Two programs may be under way, and they are the two used last.
            while len(self._programs) >= _MOST_PROGRAMS:
                self._programs.popitem(last=False)[1].close()
            program = self._make(shape)
        self._programs[slot, shape] = program
        return program


def pieces(batch: F32) -> Iterator[F32]:
    """Yield ``batch`` in pieces of 8, 4, 2 and 1 pictures, so that any number needs few shapes and no padding."""
    start, size = 0, LARGEST_PIECE
    while start < len(batch):
        while size > len(batch) - start:
            size //= 2
        yield batch[start : start + size]
        start += size
