"""Zhang et al.'s networks without hints: "Colorful Image Colorization" (ECCV 2016), and SIGGRAPH 2017's on its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.adapters.base import Adapter, batch_of, foreign_graph_size, reduced
from engines.signature import Signature, uses
from engines.tensors import F32, GraphSpec, Tensors, TensorSpec
from engines.weights import Weights

CONTRACT = "eccv16"
# They halve three times and were trained on squares of 256 (176 in SIGGRAPH 2017), but are fully convolutional.
MULTIPLE, FILM, PHOTO = 8, 160, 256
_CENTRE = 50.0


@dataclass(frozen=True, kw_only=True)
class Eccv16(Adapter):
    """Lightness (N, 1, H, W), L* minus ``centre``, to ab (N, 2, H, W), CIELAB within +-110."""

    centre: float

    def prepare(self, lightness: F32, hints: F32 | None) -> Tensors:
        """Return the lightness, minus 50 unless the graph subtracts that itself."""
        del hints
        return {self.graph.inputs[0].name: lightness - np.float32(self.centre)}

    def chroma(self, outputs: Tensors, inputs: Tensors) -> F32:
        """Return ab averaged over 4 x 4 squares."""
        del inputs
        return reduced(outputs[self.graph.outputs[0].name], self.stride)


def recognise(found: Signature, weights: Weights) -> Adapter | None:
    """Return the adapter for a graph with one input channel and two output channels of the same size."""
    ports = found.one_to_one(1, 2)
    if ports is None:
        return None
    picture, output = ports
    size = foreign_graph_size(picture, weights, multiple=MULTIPLE, film=FILM, photo=PHOTO, square=False)
    centre = centre_of(weights, picture.name)
    return Eccv16(
        contract=CONTRACT,
        network="ECCV16 (Zhang et al.)",
        centre=centre,
        graph=GraphSpec(
            inputs=(lightness_tensor(picture.name, centre, half=picture.is_half),),
            outputs=(TensorSpec(name=output.name, channels=2),),
            size=size,
            max_batch=batch_of(picture),
        ),
    )


def centre_of(weights: Weights, name: str) -> float:
    """Return the value to subtract from L* for the input ``name``: 0 if the graph starts by doing so, else 50.

    The published networks differ only in this, and their inputs do not show it: those that centre L* themselves begin
    with a subtraction (or an addition), the others scale or convolve the input.
    """
    return 0.0 if {"Sub", "Add"} & uses(weights.read(), name) else _CENTRE


def lightness_tensor(name: str, centre: float, *, half: bool) -> TensorSpec:
    """Return the input for L* minus ``centre``; float32 may exceed the limits by a few rounding errors."""
    return TensorSpec(name=name, channels=1, low=-0.01 - centre, high=100.01 - centre, half=half)
