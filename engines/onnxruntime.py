"""ONNX Runtime on the CPU: runs wherever Python runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines import optional
from engines.base import F32, PLAIN, EngineSpec, Setup
from engines.errors import EngineError
from engines.guard import describe
from engines.machine import cpu_name
from engines.weights import INPUT, OUTPUT, Weights, require_contract

NAME = "onnxruntime"
_INSTALL = "pip install autochrome-archive"
_ERRORS_ONLY = 3


def check() -> None:
    """Raise `MissingDependencyError` if ONNX Runtime is not installed."""
    optional.require("onnxruntime", install=_INSTALL)


def open_onnxruntime(weights: Weights, setup: Setup = PLAIN) -> OnnxRuntimeEngine:
    """Load ``weights`` on the CPU, in float32.

    Raises `MissingDependencyError` if ONNX Runtime does not import, `EngineError` if it cannot take the graph,
    `WeightsError` for altered weights.
    """
    with optional.importing("onnxruntime", install=_INSTALL):
        import onnxruntime
    content = weights.read()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    if setup.threads is not None:
        options.intra_op_num_threads = setup.threads
    # Waiting threads must leave the cores to the decoder and the encoder instead of spinning on them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without the arena, memory is that of the present batch, not of the largest one so far (675 against 1030 MB for
    # 16 pictures of 448 x 256), at the same speed.
    options.enable_cpu_mem_arena = False
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _failures() as error:
        raise EngineError(f"{NAME}: cannot open {weights.path}: {error}", advice="Export the weights again.") from error
    require_contract([one.name for one in session.get_inputs()], [one.name for one in session.get_outputs()], weights)
    return OnnxRuntimeEngine(
        session,
        describe(
            weights, name=NAME, runtime=f"ONNX Runtime {onnxruntime.__version__}", device=cpu_name(), precision="f32"
        ),
    )


class OnnxRuntimeEngine:
    """An `Engine` on ONNX Runtime, for a `GuardedEngine` to hold; make one with `open_onnxruntime`."""

    def __init__(self, session: Any, spec: EngineSpec) -> None:
        """Keep ONNX Runtime's session."""
        self._session = session
        self._spec = spec
        self._failures = _failures()

    @property
    def spec(self) -> EngineSpec:
        """Capabilities of this engine."""
        return self._spec

    def infer(self, lightness: F32) -> F32:
        """Return a* and b* for a batch of L*, see `engines.base.Engine`."""
        try:
            (answer,) = self._session.run([OUTPUT], {INPUT: lightness})
        except self._failures as error:
            raise EngineError(f"{NAME}: failed on a batch of shape {lightness.shape}: {error}") from error
        return np.asarray(answer)

    def close(self) -> None:
        """Release the session."""
        del self._session


def _failures() -> tuple[type[Exception], ...]:
    # ONNX Runtime's exceptions have no base class of their own.
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoModel,
        state.NotImplemented,
        state.RuntimeException,
        RuntimeError,
    )
