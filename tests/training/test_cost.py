from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.network import Prediction
from engines.networks import open_network
from engines.tensors import F32, InputSize
from tests.engines.tiny import tiny_model, write_model, write_tiny_model
from tests.training.evaluation_sets import SPEC
from training.cost import machine, measure_cost, median_milliseconds

pytestmark = pytest.mark.slow


class Counting:
    """A network that keeps the shapes it was asked for."""

    spec = replace(SPEC, size=InputSize(multiple=96, film=160, photo=256))

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def predict(self, lightness: F32, hints: F32 | None = None) -> Prediction:
        self.shapes.append(lightness.shape)
        return Prediction(np.zeros((1, 2, lightness.shape[2] // 4, lightness.shape[3] // 4), np.float32))

    def close(self) -> None:
        pass


def by_hand() -> int:
    """Return twice the multiplications of the tiny model at 256 x 256."""
    multiplications = 49 * 1 * 8 * 128**2
    for inputs, outputs, side in ((8, 12, 32), (12, 16, 16), (16, 16, 8), (32, 16, 16), (28, 12, 32), (20, 12, 64)):
        multiplications += 9 * inputs * outputs * side**2
    return 2 * (multiplications + 16 * 16 + (12 * 24 + 24 * 2) * 64**2)


def test_flops_of_exported_weights_are_those_counted_by_hand(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    path = write_model(tmp_path / "tiny.onnx", tiny_model(), parameters=12345)
    engine, _ = open_network("onnxruntime", str(path))
    cost, notes = measure_cost(str(path), engine)
    engine.close()
    assert cost.flops == by_hand()
    assert cost.parameters == 12345
    assert cost.milliseconds > 0
    assert not notes


def test_parameters_that_no_card_states_are_unknown_and_said_so(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path)
    engine, _ = open_network("onnxruntime", str(path))
    cost, notes = measure_cost(str(path), engine)
    engine.close()
    assert cost.parameters is None
    assert any("card does not say" in note for note in notes)


def test_time_is_taken_on_one_picture_of_256_pixels_or_the_next_multiple() -> None:
    engine = Counting()
    assert median_milliseconds(engine) >= 0
    assert set(engine.shapes) == {(1, 1, 288, 288)}


def test_the_machine_is_named_with_its_cores() -> None:
    assert "CPU cores" in machine()
