"""Count the arithmetic of an exported network on its ONNX graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import onnx
from onnx import helper

_COUNTED = {"Conv", "ConvTranspose", "MatMul", "Gemm"}


def graph_flops(content: bytes, inputs: Mapping[str, Sequence[int | None]]) -> int:
    """Return the FLOPs of an ONNX graph for inputs of given shapes.

    A multiplication and an addition count as two, in convolutions and matrix products only. Shapes come from ONNX's own
    inference; a product of unknown shape is an error. Raises `ValueError`.
    """
    model = onnx.load_from_string(content)
    for one in model.graph.input:
        for dim, side in zip(one.type.tensor_type.shape.dim, inputs[one.name], strict=True):
            dim.dim_value = side or 0
    for one in model.graph.output:
        one.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes: dict[str, list[int]] = {one.name: list(one.dims) for one in inferred.initializer}
    for one in (*inferred.value_info, *inferred.input, *inferred.output):
        shapes[one.name] = [dim.dim_value for dim in one.type.tensor_type.shape.dim]
    return sum(_flops(node, shapes) for node in inferred.node if node.op_type in _COUNTED)


def _flops(node: onnx.NodeProto, shapes: Mapping[str, Sequence[int]]) -> int:
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    given, weight, output = (shapes.get(name, ()) for name in (*node.input[:2], node.output[0]))
    if not all((*given, *weight, *output)) or not (given and weight and output):
        raise ValueError(f"{node.op_type} {node.output[0]}: its shapes are not known")
    if node.op_type == "Conv":
        each = math.prod(output) * math.prod(weight[1:])
    elif node.op_type == "ConvTranspose":
        each = math.prod(given) * math.prod(weight[1:])
    elif node.op_type == "Gemm":
        each = math.prod(output) * given[0 if attributes.get("transA") else 1]
    else:
        each = math.prod(output) * given[-1]
    return 2 * each
