from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed")

import onnx

from engines.adapters.autochrome1 import INPUT, OUTPUT
from engines.adapters.autochrome2 import HINTS
from engines.adapters.base import HINT_DIVISOR
from engines.errors import EngineError
from engines.half import half_graph
from engines.onnxruntime import open_reference
from engines.tensors import F32
from engines.weights import known_weights
from tests.engines.opening import ab_of, model_of
from tests.engines.test_contract import difference, scenes
from tests.engines.tiny import tiny_model, write_model

FLOAT, HALF, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64


@pytest.fixture(params=["tiny", *(pytest.param(name, marks=pytest.mark.nightly) for name in known_weights())])
def weights(request: pytest.FixtureRequest, tiny: Path) -> str:
    return str(tiny) if request.param == "tiny" else str(request.param)


def kinds(content: bytes) -> tuple[onnx.ModelProto, dict[str, int]]:
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(content), strict_mode=True)
    typed = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    found = {one.name: one.type.tensor_type.elem_type for one in typed}
    return model, found | {one.name: one.data_type for one in model.graph.initializer}


def run(content: bytes, picture: F32) -> F32:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    inputs = {INPUT: picture}
    if HINTS in {one.name for one in session.get_inputs()}:
        count, _, height, width = picture.shape
        inputs[HINTS] = np.zeros((count, 3, height // HINT_DIVISOR, width // HINT_DIVISOR), np.float32)
    (answer,) = session.run([OUTPUT], inputs)
    return np.asarray(answer)


def test_all_that_takes_time_is_in_half_precision(weights: str) -> None:
    model, kind = kinds(half_graph(model_of(weights).weights.read()))
    onnx.checker.check_model(model, full_check=True)
    heavy = [node for node in model.graph.node if node.op_type in ("Conv", "MatMul", "Gemm", "Concat", "Relu")]
    assert heavy
    # What joins shapes to each other is of whole numbers.
    assert {kind[name] for node in heavy for name in (*node.input, *node.output) if name} - {INT64} == {HALF}


def test_input_and_output_stay_in_single_precision(weights: str) -> None:
    content = model_of(weights).weights.read()
    whole = onnx.load_from_string(content).graph
    model, kind = kinds(half_graph(content))
    names = [one.name for one in (*model.graph.input, *model.graph.output)]
    assert names == [one.name for one in (*whole.input, *whole.output)]
    assert {kind[name] for name in names} == {FLOAT}


def test_colours_are_those_of_single_precision(weights: str) -> None:
    model = model_of(weights)
    halved = half_graph(model.weights.read())
    reference = open_reference(model)
    for shape in ((1, 192, 256), (3, 96, 64)):
        picture = scenes(*shape)
        mean, largest = difference(run(halved, picture), ab_of(reference, picture))
        assert mean < 0.03
        assert largest < 0.5


def test_constant_nodes_and_skips_around_the_first_layer_are_taken(tmp_path: Path) -> None:
    model = tiny_model()
    graph = model.graph
    moved = {one.name: one for one in graph.initializer if one.data_type == FLOAT}
    kept = [one for one in graph.initializer if one.name not in moved]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = [onnx.helper.make_node("Constant", [], [name], value=one) for name, one in moved.items()]
    nodes += graph.node
    last = nodes[-1]
    last.output[0] = "plain"
    quarter = onnx.helper.make_node("AveragePool", [INPUT], ["quarter"], kernel_shape=[4, 4], strides=[4, 4])
    nodes += [quarter, onnx.helper.make_node("Add", ["plain", "quarter"], [OUTPUT])]
    del graph.node[:]
    graph.node.extend(nodes)
    loaded = model_of(write_model(tmp_path / "other.onnx", model))
    picture = scenes(2, 64, 32)
    expected = ab_of(open_reference(loaded), picture)
    mean, _ = difference(run(half_graph(loaded.weights.read()), picture), expected)
    assert mean < 0.05


@pytest.mark.parametrize("content", [b"no graph", tiny_model().SerializeToString()[:-50]], ids=["text", "cut short"])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(EngineError, match="float16"):
        half_graph(content)
