"""DeOldify (Antic, 2018): a self-attention U-Net that outputs a picture, of which only the chroma is used."""

from __future__ import annotations

import numpy as np

from engines.adapters.base import Adapter, batch_of, foreign_graph_size, reduced
from engines.adapters.colour import ab_from_rgb, grey_from_lightness, three_greys
from engines.signature import Signature
from engines.tensors import F32, GraphSpec, Tensors, TensorSpec
from engines.weights import Weights

CONTRACT = "deoldify"
# Its encoder halves five times. Its own program resizes to squares of 16 times the render factor: 21 for films, 35.
_MULTIPLE, _FILM, _PHOTO = 32, 320, 544
# Luma as in ITU-R BT.601, which is what its own program keeps.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class DeOldify(Adapter):
    """Grey sRGB (N, 3, S, S), 0..255, to sRGB (N, 3, S, S), 0..255."""

    def prepare(self, lightness: F32, hints: F32 | None) -> Tensors:
        """Return L* rendered as grey sRGB."""
        del hints
        return {self.graph.inputs[0].name: three_greys(grey_from_lightness(lightness) * np.float32(255))}

    def chroma(self, outputs: Tensors, inputs: Tensors) -> F32:
        """Return the ab of the output's U and V (BT.601) at the input's luma, averaged over 4 x 4 squares.

        R, G and B minus luma depend only on U and V: replacing luma adds the same value to all three.
        """
        picture = outputs[self.graph.outputs[0].name]
        luma = np.tensordot(picture, _LUMA, axes=(1, 0))[:, None]
        grey = inputs[self.graph.inputs[0].name][:, :1]
        return reduced(ab_from_rgb((picture + (grey - luma)) * np.float32(1 / 255)), self.stride)


def recognise(found: Signature, weights: Weights) -> Adapter | None:
    """Return the adapter for a graph with three input channels and three output channels of the same size."""
    ports = found.one_to_one(3, 3)
    if ports is None:
        return None
    picture, output = ports
    size = foreign_graph_size(picture, weights, multiple=_MULTIPLE, film=_FILM, photo=_PHOTO, square=True)
    return DeOldify(
        contract=CONTRACT,
        network="DeOldify",
        graph=GraphSpec(
            inputs=(TensorSpec(name=picture.name, channels=3, low=0, high=255, half=picture.is_half),),
            outputs=(TensorSpec(name=output.name, channels=3),),
            size=size,
            max_batch=batch_of(picture),
        ),
    )
