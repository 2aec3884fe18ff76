"""Intel's OpenVINO on the CPU: the fastest of our CPU runtimes, above all where the CPU has bfloat16."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from engines import optional
from engines.base import F32, EngineSpec
from engines.errors import EngineError
from engines.guard import describe
from engines.machine import cpu_name
from engines.weights import INPUT, OUTPUT, Weights, require_contract

NAME = "openvino"
_INSTALL = "pip install autochrome"

Precision = Literal["auto", "bf16", "f32"]


def check() -> None:
    """Raise `MissingDependencyError` if OpenVINO is not installed."""
    optional.require("openvino", install=_INSTALL)


def open_openvino(weights: Weights, *, precision: Precision = "auto") -> OpenVinoEngine:
    """Compile ``weights`` for the CPU; ``auto`` is bf16 where the CPU computes in it, else f32.

    Raises `MissingDependencyError` if OpenVINO does not import, `EngineError` if it cannot take the graph or the
    CPU lacks ``precision``, `WeightsError` for altered weights.
    """
    with optional.importing("openvino", install=_INSTALL):
        import openvino
    content = weights.read()
    try:
        core = openvino.Core()
        if precision == "auto":
            precision = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
        model = core.read_model(content)
        # Batch, height and width stay open. Compiled for one shape, batches of 8 in bf16 were 6 to 9 % faster (medians,
        # on a busy machine), all else no faster; it costs 100 ms a shape, and the scans of an archive have many.
        # A compiled-model cache would save 20 of 40 ms, take 22 MB, and run what no hash has vouched for.
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})
        used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        request = compiled.create_infer_request()
    except RuntimeError as error:
        raise EngineError(
            f"{NAME}: cannot open {weights.path}: {_last_line(error)}", advice="Try --engine onnxruntime."
        ) from error
    require_contract(_names(model.inputs), _names(model.outputs), weights)
    if used != precision:
        raise EngineError(f"{NAME}: this CPU computes in {used}, not in {precision}")
    runtime = f"OpenVINO {openvino.get_version().split('-')[0]}"
    return OpenVinoEngine(
        request, describe(weights, name=NAME, runtime=runtime, device=cpu_name(), precision=precision)
    )


class OpenVinoEngine:
    """An `Engine` on OpenVINO, for a `GuardedEngine` to hold; make one with `open_openvino`."""

    def __init__(self, request: Any, spec: EngineSpec) -> None:
        """Keep OpenVINO's infer request."""
        self._request = request
        self._spec = spec

    @property
    def spec(self) -> EngineSpec:
        """Capabilities of this engine."""
        return self._spec

    def infer(self, lightness: F32) -> F32:
        """Return a* and b* for a batch of L*, see `engines.base.Engine`."""
        try:
            answer = self._request.infer({INPUT: lightness}, share_inputs=True)[OUTPUT]
        except RuntimeError as error:
            raise EngineError(f"{NAME}: failed on a batch of shape {lightness.shape}: {_last_line(error)}") from error
        return np.asarray(answer)

    def close(self) -> None:
        """Release the compiled model."""
        del self._request


def _names(ports: Any) -> list[str]:
    return [name for port in ports for name in port.get_names()]


def _last_line(error: RuntimeError) -> str:
    # OpenVINO's messages begin with the source lines that they passed through.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
