"""What a graph takes and answers is read without the package onnx, and so is how it begins."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper

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
    assert str(found) == "it takes input (1, 3, 64, 64) float32 and answers output (1, 2, 64, 64) float32"


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
    with pytest.raises(WeightsError, match=r"a\.onnx"):
        signature(load_weights(str(path)))
    assert uses(content, "input") == set()


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
