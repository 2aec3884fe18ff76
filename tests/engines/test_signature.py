"""What a graph takes and returns is read without the package onnx, and so is how it begins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.errors import WeightsError
from engines.library import load_weights
from engines.signature import Port, Signature, as_card, signature, uses
from tests.engines.test_library import write_foreign
from tests.engines.tiny import tiny_model, write_model


def test_a_graph_is_described_without_the_package_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = load_weights(str(write_foreign(tmp_path / "a.onnx")))
    monkeypatch.setitem(sys.modules, "onnx", None)
    found = signature(weights)
    assert found == Signature((Port("input", (1, 3, 64, 64)),), (Port("output", (1, 2, 64, 64)),))
    assert str(found) == "it takes input (1, 3, 64, 64) float32 and returns output (1, 2, 64, 64) float32"


def test_open_sides_are_open(tiny: Path) -> None:
    assert signature(load_weights(str(tiny))).inputs == (Port("lightness", (None, 1, None, None)),)


def test_a_card_tells_the_same_as_the_graph(tmp_path: Path) -> None:
    plain = signature(load_weights(str(write_foreign(tmp_path / "a.onnx"))))
    path = write_model(tmp_path / "b.onnx", tiny_model(), graph=as_card(plain))
    assert signature(load_weights(str(path))) == plain


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x07\x3a\xff\xff\x03ab"], ids=["empty", "text", "cut"])
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.onnx: is not a readable ONNX graph: [A-Z]") as caught:
        signature(load_weights(str(path)))
    assert "download or export it again" in caught.value.advice
    assert uses(content, "input") == set()


def from_the_future(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 99


def of_a_new_format(model: onnx.ModelProto) -> None:
    model.ir_version = 99


def with_a_strange_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Colourise"


def in_float64(model: onnx.ModelProto) -> None:
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.elem_type = TensorProto.DOUBLE
    weight = numpy_helper.to_array(model.graph.initializer[0]).astype(np.float64)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "weight"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (from_the_future, "Opset 99"),
        (of_a_new_format, "IR version: 99"),
        (with_a_strange_operator, "Colourise"),
        (in_float64, "Could not find an implementation for Conv"),
    ],
)
def test_a_graph_that_onnx_runtime_cannot_run_is_refused_in_its_words_with_what_to_do(
    change: Callable[[onnx.ModelProto], None], said: str, tmp_path: Path
) -> None:
    path = write_foreign(tmp_path / "a.onnx")
    change(model := onnx.load(path))
    onnx.save(model, path)
    with pytest.raises(WeightsError, match=rf"a\.onnx: ONNX Runtime cannot run this graph: .*{said}") as caught:
        signature(load_weights(str(path)))
    assert "opset 17" in caught.value.advice
    assert "ONNXRuntimeError" not in str(caught.value)
    assert ".cc:" not in str(caught.value)


def test_the_operators_that_read_an_input_are_found() -> None:
    nodes = [
        helper.make_node("Sub", ["half", "fifty"], ["a"]),
        helper.make_node("Mul", ["zero", "l"], ["b"]),
        helper.make_node("Conv", ["a", "weight"], ["c"]),
        # As a converter leaves it, which sorts nothing.
        helper.make_node("Cast", ["l"], ["half"], to=TensorProto.FLOAT16),
    ]
    ports = [helper.make_tensor_value_info("l", TensorProto.FLOAT, [1, 1, 8, 8])]
    content = helper.make_model(helper.make_graph(nodes, "l", ports, ports)).SerializeToString()
    assert uses(content, "l") == {"Sub", "Mul"}
    assert uses(content, "a") == {"Conv"}
    assert uses(content, "c") == set()
    for size in range(0, len(content), 7):
        assert uses(content[:size], "l") in (set(), {"Sub", "Mul"})
