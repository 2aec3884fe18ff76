"""DDColor (Kang et al., "DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders", 2022)."""

from __future__ import annotations

from engines.adapters.base import Adapter, batch_of, foreign_graph_size, reduced
from engines.adapters.colour import grey_from_lightness, three_greys
from engines.signature import Signature
from engines.tensors import F32, GraphSpec, Tensors, TensorSpec
from engines.weights import Weights

CONTRACT = "ddcolor"
# Its encoder halves five times. It was trained on squares of 256 (tiny) and 512; its own program resizes to 512.
_MULTIPLE, _FILM, _PHOTO = 32, 256, 512


class DDColor(Adapter):
    """Grey sRGB (N, 3, S, S), 0..1, normalised inside the graph, to ab (N, 2, S, S) in CIELAB units."""

    def prepare(self, lightness: F32, hints: F32 | None) -> Tensors:
        """Return L* rendered as grey sRGB."""
        del hints
        return {self.graph.inputs[0].name: three_greys(grey_from_lightness(lightness))}

    def chroma(self, outputs: Tensors, inputs: Tensors) -> F32:
        """Return ab averaged over 4 x 4 squares: upsampling makes colour follow the luma's edges."""
        del inputs
        return reduced(outputs[self.graph.outputs[0].name], self.stride)


def recognise(found: Signature, weights: Weights) -> Adapter | None:
    """Return the adapter for a graph with three input channels and two output channels of the same size."""
    ports = found.one_to_one(3, 2)
    if ports is None:
        return None
    picture, output = ports
    size = foreign_graph_size(picture, weights, multiple=_MULTIPLE, film=_FILM, photo=_PHOTO, square=True)
    return DDColor(
        contract=CONTRACT,
        network="DDColor",
        graph=GraphSpec(
            inputs=(TensorSpec(name=picture.name, channels=3, low=0, high=1, half=picture.is_half),),
            outputs=(TensorSpec(name=output.name, channels=2),),
            size=size,
            max_batch=batch_of(picture),
        ),
    )
