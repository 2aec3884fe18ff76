from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engines.base import F32
from engines.errors import EngineError
from engines.onnxruntime import OnnxRuntimeEngine, open_onnxruntime
from engines.parity import require_parity
from engines.weights import load_weights


class Spoiled(OnnxRuntimeEngine):
    """ONNX Runtime with a fault of a kind that half precision has."""

    def __init__(self, sound: OnnxRuntimeEngine, fault: Callable[[F32], F32]) -> None:
        super().__init__(sound._session, sound.spec)
        self.fault = fault

    def infer(self, lightness: F32) -> F32:
        return self.fault(super().infer(lightness))


def rounded(answer: F32) -> F32:
    return answer.astype(np.float16).astype(np.float32)


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
    weights = load_weights(str(tiny))
    with pytest.raises(EngineError, match="onnxruntime: "):
        require_parity(Spoiled(open_onnxruntime(weights), fault), weights)


def test_rounding_is_no_reason_to_refuse(tiny: Path) -> None:
    weights = load_weights(str(tiny))
    require_parity(Spoiled(open_onnxruntime(weights), rounded), weights)
