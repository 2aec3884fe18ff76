"""INT8 in OpenVINO: colours as in float32, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines import optional
from engines.base import Setup
from engines.errors import EngineError, WeightsError
from engines.int8 import layers, quantize
from engines.openvino import open_openvino
from engines.parity import scenes
from tests.engines.opening import ab_of, model_of
from tests.engines.tiny import wide_model, write_model

LIGHTNESS = scenes(np.random.default_rng(2), 2, 64, 96)
# What the one layer that is large enough sees, and far less than that.
FITTING, FAR_TOO_LITTLE = [0.0, 2.9], [0.0, 0.01]


def _large_layer(path: Path) -> str:
    (layer,) = layers(optional.openvino().Core().read_model(path))
    assert layer.weights.shape == (32, 32, 3, 3)
    assert layer.outputs == 32
    return layer.name


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _large_layer(write_model(tmp_path_factory.mktemp("plain") / "plain.onnx", wide_model()))


def _weights(folder: Path, layer: str, span: list[float]) -> Path:
    return write_model(folder / "int8.onnx", wide_model(), activations={layer: span})


@pytest.mark.slow
def test_weights_and_inputs_of_a_layer_are_rounded_and_the_colours_stay(layer: str, tmp_path: Path) -> None:
    model = model_of(_weights(tmp_path, layer, FITTING))
    rounded, exact = (open_openvino(model, precision=precision) for precision in ("int8", "f32"))
    apart = np.abs(ab_of(rounded, LIGHTNESS) - ab_of(exact, LIGHTNESS))
    assert 0 < apart.mean() < 0.25
    assert rounded.spec.precision == "int8"
    for engine in (rounded, exact):
        engine.close()


@pytest.mark.slow
def test_a_cpu_takes_it_by_itself_and_finds_what_it_compiled(layer: str, tmp_path: Path) -> None:
    model, setup = model_of(_weights(tmp_path, layer, FITTING)), Setup(cache=tmp_path / "cache")
    first, second = open_openvino(model, setup), open_openvino(model, setup)
    assert first.spec.precision == second.spec.precision == "int8"
    np.testing.assert_array_equal(ab_of(first, LIGHTNESS), ab_of(second, LIGHTNESS))
    for engine in (first, second):
        engine.close()


@pytest.mark.slow
def test_other_colours_are_refused_and_the_next_precision_is_used(layer: str, tmp_path: Path) -> None:
    passed: list[tuple[str, str]] = []
    model = model_of(_weights(tmp_path, layer, FAR_TOO_LITTLE))
    setup = Setup(cache=tmp_path / "cache", pass_over=lambda name, why: passed.append((name, why)))
    for time in (1, 2):
        engine = open_openvino(model, setup)
        assert engine.spec.precision in ("bf16", "f32")
        engine.close()
        assert [name for name, _ in passed] == ["openvino in int8"] * time
    assert "its colours are" in passed[0][1]
    assert "its colours differed from those of ONNX Runtime" in passed[1][1]


def test_a_card_that_does_not_fit_its_graph_is_an_error(layer: str, tmp_path: Path) -> None:
    graph = optional.openvino().Core().read_model(_weights(tmp_path, layer, FITTING))
    with pytest.raises(EngineError, match="layers that the graph does not have: nowhere"):
        quantize(graph, {"nowhere": (0.0, 1.0)})
    path = write_model(tmp_path / "wrong.onnx", wide_model(), activations={layer: [1.0]})
    with pytest.raises(WeightsError, match="'activations' is missing or not an object of pairs of numbers"):
        open_openvino(model_of(path))
    without = model_of(write_model(tmp_path / "without.onnx", wide_model()))
    with pytest.raises(EngineError, match="states no activations"):
        open_openvino(without, precision="int8")
