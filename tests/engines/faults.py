"""Engines that fail in typical ways, and one that works without any runtime.

They are opened like any other engine: ``open_network("nan", model, extra=fault_entries())``. All work for their first
``good_calls`` calls; the first call is the registry's test, so with the default they open and then fail. They fail for
``bad_calls`` calls, after which they work again, or for good if that is None.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import numpy as np

from engines.adapters.autochrome1 import INPUT, OUTPUT
from engines.base import EngineSpec, Model, Setup, describe
from engines.errors import EngineError
from engines.registry import Entry
from engines.tensors import F32, Tensors

Fault = Callable[[F32], F32]


class FaultEngine:
    """Colours by lightness (dark is blue, bright is yellow) until its fault takes over."""

    def __init__(self, spec: EngineSpec, fault: Fault, good_calls: int, bad_calls: int | None) -> None:
        self._spec = spec
        self._fault = fault
        self._good_calls, self._bad_calls = good_calls, bad_calls
        self.closed = 0

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    def infer(self, inputs: Tensors) -> Tensors:
        lightness = inputs[INPUT]
        count, _, height, width = lightness.shape
        stride = self._spec.graph.outputs[0].divisor
        small = lightness.reshape(count, height // stride, stride, width // stride, stride).mean(axis=(2, 4))
        answer = np.stack([small * 0.1, (small - 50) * 0.5], axis=1).astype(np.float32)
        if self._good_calls > 0:
            self._good_calls -= 1
            return {OUTPUT: answer}
        if self._bad_calls is not None:
            if self._bad_calls == 0:
                return {OUTPUT: answer}
            self._bad_calls -= 1
        return {OUTPUT: self._fault(answer)}

    def close(self) -> None:
        self.closed += 1


def _crash(_: F32) -> F32:
    raise EngineError("crashing: the runtime gave up", advice="Use another engine.")


def _dawdle(answer: F32) -> F32:
    time.sleep(0.3)
    return answer


def _answer_nan(answer: F32) -> F32:
    answer[-1, 1, 0, 0] = np.nan
    return answer


def _answer_infinity(answer: F32) -> F32:
    answer[0, 0, -1, -1] = np.inf
    return answer


def _drop_a_row(answer: F32) -> F32:
    return answer[:, :, 1:]


def _drop_a_picture(answer: F32) -> F32:
    return answer[1:]


def _answer_in_double(answer: F32) -> F32:
    return answer.astype(np.float64)


def _kill(answer: F32) -> F32:
    os.kill(os.getpid(), signal.SIGKILL)
    return answer


def _kill_if_bright(answer: F32) -> F32:
    # Yellow stands for bright: b* is half of the lightness above 50.
    return _kill(answer) if any(picture[1].min() > 10 for picture in answer) else answer


_FAULTS: dict[str, Fault] = {
    "sane": lambda answer: answer,
    "crashing": _crash,
    "slow": _dawdle,
    "nan": _answer_nan,
    "infinite": _answer_infinity,
    "misshapen": _drop_a_row,
    "miscounting": _drop_a_picture,
    "double": _answer_in_double,
    "killing": _kill,
    "killing the bright": _kill_if_bright,
}
WRONG_ANSWERS = ("nan", "infinite", "misshapen", "miscounting", "double")


def fault_entries(*, good_calls: int = 1, bad_calls: int | None = None) -> tuple[Entry, ...]:
    """Return registry entries for all faults, by the names in the table above."""

    def entry(name: str, fault: Fault) -> Entry:
        def open_fault(model: Model, setup: Setup) -> FaultEngine:
            spec = describe(model, name=name, runtime="tests", device="tests", precision="f32")
            return FaultEngine(spec, fault, good_calls, bad_calls)

        return Entry(name, "an engine for tests", lambda: None, open_fault)

    return tuple(entry(name, fault) for name, fault in _FAULTS.items())
