"""Every operator of the torch engine's table, against ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

onnxruntime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")

from engines.errors import EngineError  # noqa: E402
from engines.torch_graph import TorchGraph  # noqa: E402
from engines.torch_ops import OPERATORS  # noqa: E402

Array = npt.NDArray[Any]
RNG = np.random.default_rng(5)
CPU = torch.device("cpu")


def floats(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> Array:
    return np.array(values, dtype=np.int64)


@dataclass(frozen=True)
class Case:
    kind: str
    inputs: list[Array | None] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 18
    feed: int | None = 0

    def __str__(self) -> str:
        return "-".join([self.kind, *(f"{key}" for key in self.attributes), *([str(self.opset)] * (self.opset != 18))])


X = floats(2, 4, 9, 11)
SCALES = np.array([1, 1, 2, 2], dtype=np.float32)
UP = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
CASES = [
    Case("Add", [X, floats(4, 1, 1)]),
    Case("Sub", [X, floats(1)]),
    Case("Mul", [X, floats(2, 1, 1, 11)]),
    Case("Div", [X, floats(1) + 3]),
    Case("Div", [ints(7, 9, 12), ints(2)]),
    Case("AveragePool", [X], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    Case("AveragePool", [X], {"kernel_shape": [3, 2], "pads": [1, 0, 1, 0], "count_include_pad": 1}),
    Case("BatchNormalization", [X, floats(4), floats(4), floats(4), floats(4) ** 2 + 0.1], {"epsilon": 1e-3}),
    Case("Cast", [X * 9], {"to": TensorProto.INT64}),
    Case("Cast", [X.astype(np.float16)], {"to": TensorProto.FLOAT}),
    Case("Clip", [X, np.float32(-0.5), np.float32(0.5)]),  # type: ignore[list-item]
    Case("Clip", [X, np.float32(0)]),  # type: ignore[list-item]
    Case("Clip", [X, None, np.float32(0)]),  # type: ignore[list-item]
    Case("Clip", [X]),
    Case("Concat", [X, floats(2, 3, 9, 11)], {"axis": 1}),
    Case("Concat", [X, floats(2, 4, 9, 2)], {"axis": -1}),
    Case("Constant", [], {"value": numpy_helper.from_array(floats(2, 3))}, feed=None),
    Case("Constant", [], {"value_floats": [1.5, 2.5]}, feed=None),
    Case("Constant", [], {"value_float": 1.5}, feed=None),
    Case("Constant", [], {"value_ints": [3, 4]}, feed=None),
    Case("Constant", [], {"value_int": 3}, feed=None),
    Case("Conv", [X, floats(6, 4, 3, 3), floats(6)], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    Case("Conv", [X, floats(6, 4, 3, 3)], {"kernel_shape": [3, 3], "pads": [0, 1, 2, 1]}),
    Case("Conv", [X, floats(4, 1, 3, 3)], {"kernel_shape": [3, 3], "group": 4, "dilations": [2, 2]}),
    Case("ConvTranspose", [X, floats(4, 3, 4, 4), floats(3)], {
        "kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    Case("ConvTranspose", [X, floats(4, 3, 3, 3)], {
        "kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    Case("Exp", [X]),
    Case("Flatten", [X]),
    Case("Flatten", [X], {"axis": 2}),
    Case("Gather", [X, ints(3, 0, -1)], {"axis": 1}),
    Case("Gather", [ints(5, 6, 7), np.array(2, dtype=np.int64)]),
    Case("Gather", [X, np.array([[0, 1], [2, 3]], dtype=np.int64)], {"axis": -1}),
    Case("Gemm", [floats(3, 5), floats(5, 2), floats(2)]),
    Case("Gemm", [floats(5, 3), floats(2, 5)], {"transA": 1, "transB": 1, "alpha": 0.5}),
    Case("Gemm", [floats(3, 5), floats(5, 2), floats(1)], {"beta": 0.25}),
    Case("GlobalAveragePool", [X]),
    Case("Identity", [X]),
    Case("LayerNormalization", [X, floats(11), floats(11)], {"epsilon": 1e-3}),
    Case("LayerNormalization", [X, floats(9, 11)], {"axis": 2}),
    Case("LayerNormalization", [X, floats(9, 11), floats(9, 11)], {"axis": -2}),
    Case("LeakyRelu", [X], {"alpha": 0.2}),
    Case("LeakyRelu", [X]),
    Case("MatMul", [floats(2, 3, 5), floats(5, 4)]),
    Case("MaxPool", [-np.abs(X)], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    Case("MaxPool", [-np.abs(X)], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}),
    Case("ReduceMean", [X, ints(2, 3)], {"keepdims": 0}),
    Case("ReduceMean", [X, ints(-1)]),
    Case("ReduceMean", [X]),
    Case("ReduceMean", [X], {"noop_with_empty_axes": 1}),
    Case("ReduceMean", [X], {"axes": [2, 3], "keepdims": 0}, opset=17),
    Case("Relu", [X]),
    Case("Reshape", [X, ints(0, -1, 11)]),
    Case("Reshape", [X, ints(8, 99)], {"allowzero": 1}),
    Case("Resize", [X, None, SCALES], UP),
    Case("Resize", [X, None, np.array([1, 1, 2, 3], dtype=np.float32)], NEAREST),
    Case("Resize", [X, None, np.array([1, 1, 2 / 3, 1], dtype=np.float32)], UP),
    Case("Resize", [X, None, None, ints(2, 4, 20, 30)], UP),
    Case("Resize", [X, None, SCALES], {**UP, "coordinate_transformation_mode": "pytorch_half_pixel"}),
    Case("Shape", [X]),
    Case("Shape", [X], {"start": 2, "end": 4}),
    Case("Shape", [X], {"start": -2}),
    Case("Sigmoid", [X]),
    Case("Slice", [X, ints(1), ints(9999), ints(2)]),
    Case("Slice", [X, ints(0, -6), ints(-1, -1), ints(-2, -1), ints(1, 2)]),
    Case("Slice", [ints(4, 5, 6, 7), ints(2), ints(4)]),
    Case("Softmax", [X], {"axis": 1}),
    Case("Softmax", [X]),
    Case("Squeeze", [floats(1, 3, 1, 2), ints(2)]),
    Case("Squeeze", [floats(1, 3, 1, 2)]),
    Case("Tanh", [X]),
    Case("Transpose", [X], {"perm": [0, 2, 3, 1]}),
    Case("Transpose", [X]),
    Case("Unsqueeze", [floats(2, 3), ints(2, 3)]),
    Case("Unsqueeze", [floats(2, 3), ints(-1, 0)]),
]  # fmt: skip


def graph_of(case: Case) -> bytes:
    """Return a one-node model; the first input is fed, the others are constants."""
    arrays = {f"in{at}": np.asarray(one) for at, one in enumerate(case.inputs) if one is not None}
    names = [f"in{at}" if one is not None else "" for at, one in enumerate(case.inputs)]
    node = helper.make_node(case.kind, names, ["out"], **case.attributes)
    fed = [] if case.feed is None else [f"in{case.feed}"]
    graph = helper.make_graph(
        [node],
        "one",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(arrays[name].dtype), None)
            for name in fed
        ],
        [onnx.ValueInfoProto(name="out")],
        [numpy_helper.from_array(array, name) for name, array in arrays.items() if name not in fed],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", case.opset)], ir_version=10)
    content: bytes = onnx.shape_inference.infer_shapes(model).SerializeToString()
    return content


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_operator_means_what_it_means_in_onnxruntime(case: Case) -> None:
    content = graph_of(case)
    feeds = {} if case.feed is None else {f"in{case.feed}": np.asarray(case.inputs[case.feed])}
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, feeds)
    answer = TorchGraph(content, CPU).run(feeds)["out"]
    assert answer.dtype == expected.dtype
    assert answer.shape == expected.shape
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)


def test_every_operator_of_the_table_has_a_case() -> None:
    assert {case.kind for case in CASES} == set(OPERATORS)


REFUSED = [
    Case("Erf", [X]),
    Case("Resize", [X, None, SCALES], {"mode": "cubic"}),
    Case("Resize", [X, None, SCALES], {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
    Case("Resize", [X, None, np.array([1, 1, 1.7, 1], dtype=np.float32)], UP),
    Case("Resize", [X, None, np.array([1, 2, 2, 2], dtype=np.float32)], UP),
    Case("Conv", [X, floats(6, 4, 3, 3)], {"auto_pad": "SAME_UPPER", "kernel_shape": [3, 3]}),
    Case("Conv", [floats(1, 4, 9), floats(6, 4, 3)], {"kernel_shape": [3]}),
    Case("MaxPool", [X], {"kernel_shape": [2, 2], "ceil_mode": 1}),
    Case("AveragePool", [X], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}),
    Case("ConvTranspose", [X, floats(4, 3, 4, 4)], {"kernel_shape": [4, 4], "pads": [0, 0, 1, 1]}),
    Case("Slice", [X, ints(-1), ints(-9999), ints(0), ints(-1)]),
]


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_is_not_in_the_table_is_refused_by_name(case: Case) -> None:
    with pytest.raises(EngineError, match=case.kind) as caught:
        TorchGraph(graph_of(case), CPU).run({"in0": np.asarray(case.inputs[0])})
    assert caught.value.advice


def test_an_old_opset_is_refused() -> None:
    with pytest.raises(EngineError, match="opset 12"):
        TorchGraph(graph_of(Case("Relu", [X], opset=12)), CPU)


def test_an_operator_of_another_domain_is_refused_by_its_full_name() -> None:
    model = onnx.load_from_string(graph_of(Case("Relu", [X])))
    model.graph.node[0].domain = "com.example"
    with pytest.raises(EngineError, match=r"com\.example\.Relu"):
        TorchGraph(model.SerializeToString(), CPU)
