"""A float32 ONNX graph as one that computes in float16, by ONNX Runtime's own tools: what TensorRT wants."""

from __future__ import annotations

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from engines.errors import EngineError


def half_graph(content: bytes) -> bytes:
    """Return the ONNX graph ``content`` in float16, with the inputs and outputs that it had.

    Raises `EngineError` for a file that is not ONNX, or that ONNX's own type inference does not take.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    try:
        model = onnx.shape_inference.infer_shapes(onnx.load_from_string(content), strict_mode=True)
        halved = convert_float_to_float16(model, keep_io_types=True)
    except (DecodeError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise EngineError(f"the weights cannot be turned into float16: {error}", advice="Export them again.") from error
    _put_input_casts_first(halved)
    result: bytes = halved.SerializeToString()
    return result


def _put_input_casts_first(model: onnx.ModelProto) -> None:
    """Put the casts of inputs, which the converter appends, where ONNX wants them: before whoever reads them."""
    inputs = {one.name for one in model.graph.input}
    nodes = sorted(model.graph.node, key=lambda node: not (node.op_type == "Cast" and set(node.input) <= inputs))
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
