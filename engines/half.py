"""A float32 ONNX graph as one that computes in float16, for runtimes that do what the graph's types say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from engines.errors import EngineError

# Lightness up to 100 has steps of 1/16 in float16, a sixth of one of eight bits: it is centred and scaled before.
_CENTRING = {"Add", "Sub", "Mul", "Div"}
# Inputs that are measures, or are measured, rather than computed with: region of interest and scales, sizes.
_MEASURES = {"Resize": {1, 2}, "Shape": {0}}


def half_graph(content: bytes) -> bytes:
    """Return the ONNX graph ``content`` in float16, with the float32 inputs and outputs that it had.

    What merely shifts and scales the input stays in float32, as do the scales of a Resize. Raises `EngineError`
    for a file that is not ONNX, or that ONNX's own type inference does not take.
    """
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load_from_string(content), strict_mode=True)
    except (DecodeError, onnx.shape_inference.InferenceError) as error:
        raise EngineError(f"the weights cannot be turned into float16: {error}", advice="Export them again.") from error
    _Halving(model).run()
    halved: bytes = model.SerializeToString()
    return halved


class _Halving:
    """One pass over the nodes, in order; every value is known to be in single precision, in half, or not a float."""

    def __init__(self, model: ModelProto) -> None:
        self._graph: GraphProto = model.graph
        self._constants = {one.name: one for one in self._graph.initializer}
        typed = (*self._graph.value_info, *self._graph.input, *self._graph.output)
        self._single = {one.name for one in typed if one.type.tensor_type.elem_type == TensorProto.FLOAT}
        self._single |= {name for name, one in self._constants.items() if one.data_type == TensorProto.FLOAT}
        self._raw = {one.name for one in self._graph.input}
        self._cast: dict[str, str] = {}

    def run(self) -> None:
        nodes = [made for node in self._graph.node for made in self._halved(node)]
        for output in self._graph.output:
            if output.name not in self._single:
                continue
            _rename(nodes, output.name, f"{output.name}.half")
            nodes.append(_cast(f"{output.name}.half", output.name, TensorProto.FLOAT))
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        del self._graph.value_info[:]

    def _halved(self, node: NodeProto) -> Iterator[NodeProto]:
        """Yield ``node`` for half precision, after the casts that its inputs need."""
        moving = {name for name in node.input if name in self._single} - set(self._constants)
        if node.op_type in _CENTRING and moving and moving <= self._raw:
            self._raw.update(node.output)
            yield node
            return
        for place, name in enumerate(node.input):
            is_single = name in self._single and (name in self._raw or name in self._constants)
            if is_single and place not in _MEASURES.get(node.op_type, ()):
                if name not in self._cast:
                    yield from self._in_half(name)
                node.input[place] = self._cast[name]
        if any(output in self._single for output in node.output):
            yield from self._answering_half(node)
        else:
            yield node

    def _in_half(self, name: str) -> Iterator[NodeProto]:
        half = f"{name}.in_half"
        self._cast[name] = half
        if name in self._constants:
            values = numpy_helper.to_array(self._constants[name]).astype(np.float16)
            self._graph.initializer.append(numpy_helper.from_array(values, half))
        else:
            yield _cast(name, half, TensorProto.FLOAT16)

    def _answering_half(self, node: NodeProto) -> Iterator[NodeProto]:
        if node.op_type == "Constant":
            # Stays as it is, for it may be a measure; whoever wants a picture of it casts it.
            self._raw.update(node.output)
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to":
                attribute.i = TensorProto.FLOAT16
            elif node.op_type == "ConstantOfShape" and attribute.type == AttributeProto.TENSOR:
                attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(np.float16)))
        yield node


def _cast(source: str, target: str, kind: int) -> NodeProto:
    return onnx.helper.make_node("Cast", [source], [target], to=kind)


def _rename(nodes: list[NodeProto], old: str, new: str) -> None:
    for node in nodes:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
