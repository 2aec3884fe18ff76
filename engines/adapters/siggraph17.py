"""Zhang et al., "Real-Time User-Guided Image Colorization with Learned Deep Priors" (SIGGRAPH 2017): takes hints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.adapters.base import HINT_DIVISOR, Adapter, batch_of, foreign_graph_size, reduced
from engines.adapters.eccv16 import FILM, MULTIPLE, PHOTO, centre_of, lightness_tensor
from engines.signature import Signature
from engines.tensors import F32, GraphSpec, Tensors, TensorSpec
from engines.weights import Weights

CONTRACT = "siggraph17"


@dataclass(frozen=True, kw_only=True)
class Siggraph17(Adapter):
    """L* minus ``centre`` (N, 1, H, W), hinted ab (N, 2, H, W) and their mask (N, 1, H, W) to ab (N, 2, H, W)."""

    centre: float

    def prepare(self, lightness: F32, hints: F32 | None) -> Tensors:
        """Return lightness, and the hints enlarged to its size: each becomes a 4 x 4 square."""
        first, second, third = self.graph.inputs
        count, _, height, width = lightness.shape
        if hints is None:
            full_size = np.zeros((count, 3, height, width), np.float32)
        else:
            full_size = hints.repeat(HINT_DIVISOR, axis=2).repeat(HINT_DIVISOR, axis=3)
        return {
            first.name: lightness - np.float32(self.centre),
            second.name: np.ascontiguousarray(full_size[:, :2]),
            third.name: np.ascontiguousarray(full_size[:, 2:]),
        }

    def chroma(self, outputs: Tensors, inputs: Tensors) -> F32:
        """Return ab averaged over 4 x 4 squares."""
        del inputs
        return reduced(outputs[self.graph.outputs[0].name], self.stride)


def recognise(found: Signature, weights: Weights) -> Adapter | None:
    """Return the adapter for a graph with inputs of one, two and one channels and an output of two, among others."""
    if [len(one.shape) == 4 and one.shape[1] for one in found.inputs] != [1, 2, 1]:
        return None
    outputs = [one for one in found.outputs if one.is_picture(2)]
    if len(outputs) != 1 or not all(one.is_picture(1, 2) for one in found.inputs):
        return None
    first, second, third = found.inputs
    size = foreign_graph_size(first, weights, multiple=MULTIPLE, film=FILM, photo=PHOTO, square=False)
    centre = centre_of(weights, first.name)
    return Siggraph17(
        contract=CONTRACT,
        network="SIGGRAPH17 (Zhang et al.)",
        takes_hints=True,
        centre=centre,
        graph=GraphSpec(
            inputs=(
                lightness_tensor(first.name, centre, half=first.is_half),
                TensorSpec(name=second.name, channels=2, low=-130, high=130, half=second.is_half),
                TensorSpec(name=third.name, channels=1, low=0, high=1, half=third.is_half),
            ),
            outputs=(TensorSpec(name=outputs[0].name, channels=2),),
            size=size,
            max_batch=batch_of(first),
        ),
    )
