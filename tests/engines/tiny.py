"""A tiny generator with our graph contract and random weights, for tests only: its colours mean nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

MULTIPLE, STRIDE = 32, 4
# The height of most test films: that of real networks costs six times as much per frame.
FILM_SIZE = 64
_BINS = 24


class _Graph:
    """An ONNX graph under construction; its weights are float16 behind Cast, like those of released networks."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, array: npt.NDArray[np.generic]) -> str:
        name = f"constant{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, *shape: int, scale: float) -> str:
        half = self.constant((self.rng.standard_normal(shape) * scale).astype(np.float16))
        return self.node("Cast", half, to=TensorProto.FLOAT)

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def number(self, value: float) -> str:
        return self.constant(np.array(value, dtype=np.float32))

    def conv(self, source: str, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> str:
        weight = self.weight(outputs, inputs, kernel, kernel, scale=(2 / (inputs * kernel * kernel)) ** 0.5)
        convolved = self.node(
            "Conv", source, weight, self.weight(outputs, scale=0.1),
            kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[kernel // 2] * 4,
        )  # fmt: skip
        return self.node("Relu", convolved)

    def double(self, source: str) -> str:
        scales = self.constant(np.array([1, 1, 2, 2], dtype=np.float32))
        return self.node(
            "Resize", source, "", scales, mode="linear", coordinate_transformation_mode="half_pixel"
        )  # fmt: skip


def wide_model() -> onnx.ModelProto:
    """Return a network with the same contract and a layer of 9,216 weights; colours respond mildly to small changes."""
    graph = _Graph(0)
    x = graph.node("Div", "lightness", graph.number(100))
    x = graph.conv(graph.conv(x, 1, 32, stride=2), 32, 32, stride=2)
    graph.node("Conv", x, graph.weight(2, 32, 1, 1, scale=2.0), output="ab", kernel_shape=[1, 1])
    return _model(graph, "wide")


def tiny_model(seed: int = 0) -> onnx.ModelProto:
    """Return a U-Net of some ten thousand parameters: L* (N, 1, H, W) to a*b* (N, 2, H / 4, W / 4)."""
    graph = _Graph(seed)
    x = graph.node("Sub", graph.node("Div", "lightness", graph.number(100)), graph.number(0.45))
    x = graph.node("Div", x, graph.number(0.226))
    x = graph.conv(x, 1, 8, kernel=7, stride=2)
    quarter = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    eighth = graph.conv(quarter, 8, 12, stride=2)
    sixteenth = graph.conv(eighth, 12, 16, stride=2)
    x = graph.conv(sixteenth, 16, 16, stride=2)
    scene = graph.node("ReduceMean", x, graph.constant(np.array([2, 3], dtype=np.int64)), keepdims=0)
    scene = graph.node("Gemm", scene, graph.weight(16, 16, scale=0.25), graph.weight(16, scale=0.1), transB=1)
    x = graph.node("Add", x, graph.node("Unsqueeze", scene, graph.constant(np.array([2, 3], dtype=np.int64))))
    for skip, inputs, outputs in ((sixteenth, 32, 16), (eighth, 28, 12), (quarter, 20, 12)):
        x = graph.conv(graph.node("Concat", graph.double(x), skip, axis=1), inputs, outputs)
    logits = graph.node("Conv", x, graph.weight(_BINS, 12, 1, 1, scale=1.0), kernel_shape=[1, 1])
    shares = graph.node("Softmax", logits, axis=1)
    centres = graph.rng.uniform(-80, 80, (2, _BINS, 1, 1)).astype(np.float32)
    graph.node("Conv", shares, graph.constant(centres), output="ab", kernel_shape=[1, 1])
    return _model(graph, "tiny")


def _model(graph: _Graph, name: str) -> onnx.ModelProto:
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            name,
            [helper.make_tensor_value_info("lightness", TensorProto.FLOAT, ["N", 1, "H", "W"])],
            [helper.make_tensor_value_info("ab", TensorProto.FLOAT, ["N", 2, "h", "w"])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )


def write_model(path: Path, model: onnx.ModelProto, **card: object) -> Path:
    """Write ``model`` and a matching card, updated with the entries ``card``, and return ``path``."""
    content = model.SerializeToString()
    path.write_bytes(content)
    written = {
        "name": path.stem,
        "sha256": hashlib.sha256(content).hexdigest(),
        "multiple": MULTIPLE,
        "stride": STRIDE,
        "licence": "CC0-1.0",
        "description": "random weights for tests",
        **card,
    }
    path.with_suffix(".json").write_text(json.dumps(written), encoding="utf-8")
    return path


def write_tiny_model(folder: Path, *, film_size: int = FILM_SIZE) -> Path:
    """Write the tiny model and its card into ``folder`` and return the path for `open_engine`."""
    path = write_model(folder / "tiny.onnx", tiny_model(), film_size=film_size)
    onnx.checker.check_model(str(path), full_check=True)
    return path
