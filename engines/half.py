"""Convert a float32 ONNX graph to float16 with ONNX Runtime's own tools, as needed for TensorRT."""

from __future__ import annotations

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from engines import optional
from engines.errors import EngineError


def half_graph(content: bytes) -> bytes:
    """Return the ONNX graph ``content`` in float16, with its original inputs and outputs.

    Raises `EngineError` for a file that is not ONNX, or that ONNX's own type inference rejects, and
    `MissingDependencyError` if ONNX Runtime does not import.
    """
    optional.onnxruntime()
    from onnxruntime.transformers.float16 import convert_float_to_float16

    try:
        model = onnx.shape_inference.infer_shapes(onnx.load_from_string(content), strict_mode=True)
        halved = convert_float_to_float16(model, keep_io_types=True)
    except (DecodeError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise EngineError(
            f"the weights cannot be converted to float16: {error}", advice="Export them again."
        ) from error
    _sort(halved)
    result: bytes = halved.SerializeToString()
    return result


def _sort(model: onnx.ModelProto) -> None:
    """Sort nodes topologically, as ONNX requires: the converter appends its casts at the end."""
    nodes = list(model.graph.node)
    makers = {name: number for number, node in enumerate(nodes) for name in node.output}
    placed: dict[int, None] = {}
    for start in range(len(nodes)):
        waiting = [start]
        while waiting:
            needed = [makers[name] for name in nodes[waiting[-1]].input if name in makers]
            missing = [number for number in needed if number not in placed]
            if missing:
                waiting += missing
            else:
                placed.setdefault(waiting.pop())
    ordered = [onnx.NodeProto.FromString(nodes[number].SerializeToString()) for number in placed]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
