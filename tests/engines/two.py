"""A tiny network with our second contract: it takes hints and outputs evidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.engines.tiny import write_model

CENTRES = [[-40.0, 30.0], [0.0, 0.0], [50.0, 20.0]]
FEATURES = 4


def two_model(seed: int = 0) -> onnx.ModelProto:
    """Return a graph that colours by lightness at a quarter of the size, and uses hinted colours if there are any."""
    rng = np.random.default_rng(seed)
    weights = [
        numpy_helper.from_array(rng.normal(0, 0.4, (2, 1, 4, 4)).astype(np.float32) / 4, "colour"),
        numpy_helper.from_array(rng.normal(0, 0.05, (len(CENTRES), 1, 8, 8)).astype(np.float32) / 8, "classes"),
        numpy_helper.from_array(rng.normal(0, 0.05, (FEATURES, 1, 8, 8)).astype(np.float32), "content"),
        numpy_helper.from_array(np.array([50], np.float32), "middle"),
        numpy_helper.from_array(np.array([1], np.float32), "one"),
        *(numpy_helper.from_array(np.array([value], np.int64), f"at{value}") for value in (0, 1, 2, 3)),
    ]
    nodes = [
        helper.make_node("Sub", ["lightness", "middle"], ["centred"]),
        helper.make_node("Conv", ["centred", "colour"], ["own"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["centred", "classes"], ["logits"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["centred", "content"], ["features"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Slice", ["hints", "at0", "at2", "at1"], ["hinted"]),
        helper.make_node("Slice", ["hints", "at2", "at3", "at1"], ["mask"]),
        helper.make_node("Sub", ["one", "mask"], ["rest"]),
        helper.make_node("Mul", ["own", "rest"], ["kept"]),
        helper.make_node("Add", ["kept", "hinted"], ["ab"]),
    ]
    float_ = TensorProto.FLOAT
    return helper.make_model(
        helper.make_graph(
            nodes,
            "two",
            [
                helper.make_tensor_value_info("lightness", float_, ["N", 1, "H", "W"]),
                helper.make_tensor_value_info("hints", float_, ["N", 3, "h", "w"]),
            ],
            [
                helper.make_tensor_value_info("ab", float_, ["N", 2, "h", "w"]),
                helper.make_tensor_value_info("logits", float_, ["N", len(CENTRES), "e", "f"]),
                helper.make_tensor_value_info("features", float_, ["N", FEATURES, "e", "f"]),
            ],
            weights,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )


def write_two_model(folder: Path, *, name: str = "two", seed: int = 0, **card: object) -> Path:
    """Write the network and its card into ``folder`` and return its path."""
    model = two_model(seed)
    path = write_model(
        folder / f"{name}.onnx", model, **{"contract": "autochrome-2", "multiple": 32, "bins": CENTRES, **card}
    )
    onnx.checker.check_model(str(path), full_check=True)
    return path
