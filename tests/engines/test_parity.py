from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engines.errors import EngineError
from engines.onnxruntime import OnnxRuntimeEngine, open_reference
from engines.tensors import F32, Tensors
from tests.engines.opening import model_of


class Spoiled(OnnxRuntimeEngine):
    """ONNX Runtime with a fault of a kind that half precision has."""

    def __init__(self, sound: OnnxRuntimeEngine, fault: Callable[[F32], F32]) -> None:
        super().__init__(sound._session, sound.spec)
        self.fault = fault

    def infer(self, inputs: Tensors) -> Tensors:
        return {name: self.fault(answer) for name, answer in super().infer(inputs).items()}


def rounded(answer: F32) -> F32:
    return answer.astype(np.float16).astype(np.float32)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "fault",
    [
        lambda answer: answer + 0.3,
        lambda answer: answer * np.where(np.arange(answer.shape[-1]) == 3, np.nan, 1),
        lambda answer: answer + 5 * (np.arange(answer.shape[-1]) == 3),
        lambda answer: answer[:, ::-1],
        lambda answer: answer[..., 1:],
    ],
    ids=["drift", "not a number", "one column", "a and b swapped", "another shape"],
)
def test_an_engine_that_colours_otherwise_is_refused(tiny: Path, fault: Callable[[F32], F32]) -> None:
    model = model_of(tiny)
    with pytest.raises(EngineError, match="onnxruntime: "):
        model.accept(Spoiled(open_reference(model), fault))


def test_rounding_is_no_reason_to_refuse(tiny: Path) -> None:
    model = model_of(tiny)
    model.accept(Spoiled(open_reference(model), rounded))
