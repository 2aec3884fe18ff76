"""INT8 in OpenVINO: insert the activation ranges stated by a card into the graph as quantisation.

OpenVINO computes a convolution or a matrix product with constant weights in INT8 if both inputs come from a
FakeQuantize, its operation that rounds to a number of levels. Weights have 255 levels, symmetric about 0, and a range
per output channel; activations have 256 levels and one range per layer: from 0, or symmetric about 0 if some are
negative (Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines import optional
from engines.errors import EngineError
from engines.tensors import F32

# Layers with fewer weights take no time.
_FEWEST = 4096
# Prevents empty ranges.
_LEAST = 1e-12


@dataclass(frozen=True)
class Layer:
    """A convolution or matrix product in the graph: the name of its weights, its node, and the weights.

    ``weights`` are (outputs, inputs, height, width) for a convolution, (inputs, outputs) or, if the node transposes
    them, (outputs, inputs) for a product.
    """

    name: str
    node: Any
    weights: F32

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return self.weights.size // int(np.prod([self.weights.shape[axis] for axis in self.summed]))

    @property
    def summed(self) -> tuple[int, ...]:
        """Axes of the weights that are summed over; weights along them share a range."""
        if self.node.get_type_name() == "Convolution":
            return tuple(range(1, self.weights.ndim))
        return (-1,) if self.node.get_attributes()["transpose_b"] else (-2,)


def layers(graph: Any) -> Iterator[Layer]:
    """Yield the layers of an ``openvino.Model`` that can be computed in INT8."""
    for node in graph.get_ordered_ops():
        if node.get_type_name() not in ("Convolution", "MatMul"):
            continue
        named, source = node.input_value(1).get_names(), node.input_value(1).get_node()
        if source.get_type_name() == "Convert":
            source = source.input_value(0).get_node()
        if named and source.get_type_name() == "Constant" and source.data.ndim > 1 and source.data.size >= _FEWEST:
            yield Layer(min(named), node, np.asarray(source.data, np.float32))


def quantize(graph: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Quantise weights and inputs of the layers of the ``openvino.Model`` ``graph`` that are named in ``ranges``.

    ``ranges`` maps `Layer.name` to the minimum and maximum input of the layer; layers that share an input and its range
    share its quantisation. Raises `EngineError` if the graph has no such layer.
    """
    known = {layer.name: layer for layer in layers(graph)}
    if lost := sorted(ranges.keys() - known.keys()):
        raise EngineError(f"the card states activations of layers that the graph does not have: {', '.join(lost[:3])}")
    rounded: dict[tuple[object, ...], Any] = {}
    for name, span in ranges.items():
        layer = known[name]
        given = layer.node.input_value(0)
        key = (given.get_node().get_friendly_name(), given.get_index(), *span)
        if key not in rounded:
            rounded[key] = _rounded(given, *_levels(*span), levels=256)
        layer.node.input(0).replace_source_output(rounded[key])
        reach = np.abs(layer.weights).max(axis=layer.summed, keepdims=True) + _LEAST
        layer.node.input(1).replace_source_output(_rounded(layer.weights, -reach, reach, levels=255))
    graph.validate_nodes_and_infer_types()


def _levels(least: float, greatest: float) -> tuple[float, float]:
    if least >= 0:
        return 0.0, max(greatest, _LEAST)
    reach = max(-least, greatest)
    return -reach, reach * 127 / 128


def _rounded(values: Any, least: Any, greatest: Any, *, levels: int) -> Any:
    opset = optional.openvino().opset13
    low, high = (opset.constant(np.asarray(one, np.float32)) for one in (least, greatest))
    given = opset.constant(values) if isinstance(values, np.ndarray) else values
    return opset.fake_quantize(given, low, high, low, high, levels).output(0)
