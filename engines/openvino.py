"""Intel's OpenVINO on the CPU: the fastest of our CPU runtimes, above all where the CPU has bfloat16."""

from __future__ import annotations

import ctypes
import sys
from typing import Any, ClassVar, Literal

import numpy as np

from engines import optional
from engines.base import F32, PLAIN, EngineSpec, Setup
from engines.cache import Body, CompiledCache
from engines.errors import EngineError
from engines.guard import describe
from engines.machine import cpu_name
from engines.weights import INPUT, OUTPUT, Weights, require_contract

NAME = "openvino"
_INSTALL = "pip install autochrome-archive"

Precision = Literal["auto", "bf16", "f32"]


def check() -> None:
    """Raise `MissingDependencyError` if OpenVINO is not installed."""
    optional.require("openvino", install=_INSTALL)


def open_openvino(weights: Weights, setup: Setup = PLAIN, *, precision: Precision = "auto") -> OpenVinoEngine:
    """Compile ``weights`` for the CPU, or load what was compiled; ``auto`` is bf16 where the CPU has it, else f32.

    Raises `MissingDependencyError` if OpenVINO does not import, `EngineError` if it cannot take the graph or the
    CPU lacks ``precision``, `WeightsError` for altered weights.
    """
    with optional.importing("openvino", install=_INSTALL):
        import openvino
    try:
        core = openvino.Core()
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "auto":
            precision = "bf16" if "BF16" in able else "f32"
        key = {
            "weights": weights.sha256,
            "runtime": openvino.get_version(),
            "device": f"{cpu_name()}: {' '.join(sorted(able))}",
            "precision": precision,
        }
        compiled, lent = _compiled(core, weights, setup, key)
        used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        request = compiled.create_infer_request()
        _leave_signal_stack()
    except RuntimeError as error:
        raise EngineError(
            f"{NAME}: cannot open {weights.path}: {_last_line(error)}", advice="Try --engine onnxruntime."
        ) from error
    require_contract(_names(compiled.inputs), _names(compiled.outputs), weights)
    if used != precision:
        raise EngineError(f"{NAME}: this CPU computes in {used}, not in {precision}")
    runtime = f"OpenVINO {openvino.get_version().split('-')[0]}"
    return OpenVinoEngine(
        request, lent, describe(weights, name=NAME, runtime=runtime, device=cpu_name(), precision=precision)
    )


def _compiled(core: Any, weights: Weights, setup: Setup, key: dict[str, str]) -> tuple[Any, Body | None]:
    """Return the compiled model from the cache, with the memory that it goes on reading; or compile it and keep it.

    OpenVINO's own cache colours wrongly, without a word, once bytes in the middle of a file have changed; ours is
    sealed. From it a whole start costs 0.34 s of CPU instead of 0.41 with 5.5 million parameters, and 0.87 instead
    of 1.34 with 38 million.
    """
    import openvino

    how = {"INFERENCE_PRECISION_HINT": key["precision"]}
    if setup.threads is not None:
        how["INFERENCE_NUM_THREADS"] = str(setup.threads)
    cache = None if setup.cache is None else CompiledCache(setup.cache / NAME, setup.say)
    kept = None if cache is None else cache.get(key)
    if kept is not None:
        try:
            return core.import_model(openvino.Tensor(kept, shared_memory=True), "CPU", how), kept
        except RuntimeError as error:
            setup.say(f"{NAME}: the compiled model cannot be used ({_last_line(error)}); compiling it again")
    # Batch, height and width stay open. Compiled for one shape, batches of 8 in bf16 were 6 to 9 % faster (medians,
    # on a busy machine), all else no faster; it costs 100 ms a shape, and the scans of an archive have many.
    model = core.read_model(weights.read())
    compiled = core.compile_model(model, "CPU", how)
    if cache is not None:
        cache.put(key, compiled.export_model().getbuffer())
    return compiled, None


class _SignalStack(ctypes.Structure):
    """``stack_t`` of sigaltstack(2) on Linux."""

    _fields_: ClassVar = [("memory", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


def _leave_signal_stack() -> None:
    """Take back the alternate signal stack that OpenVINO sets for a thread on CPUs with AMX.

    Its memory goes with the model, but the setting stays: the next signal, Ctrl-C for one, would end the process with
    a segmentation fault. On a thread's own stack there is room enough.
    """
    if sys.platform == "linux":
        disabled = _SignalStack(None, 2, 0)  # SS_DISABLE
        ctypes.CDLL(None).sigaltstack(ctypes.byref(disabled), None)


class OpenVinoEngine:
    """An `Engine` on OpenVINO, for a `GuardedEngine` to hold; make one with `open_openvino`."""

    def __init__(self, request: Any, lent: Body | None, spec: EngineSpec) -> None:
        """Keep OpenVINO's infer request, and with it the memory that it reads weights from."""
        self._request = request
        self._lent = lent
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
        finally:
            _leave_signal_stack()
        return np.asarray(answer)

    def close(self) -> None:
        """Release the compiled model."""
        del self._request
        self._lent = None


def _names(ports: Any) -> list[str]:
    return [name for port in ports for name in port.get_names()]


def _last_line(error: RuntimeError) -> str:
    # OpenVINO's messages begin with the source lines that they passed through.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
