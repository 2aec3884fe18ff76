"""Intel's OpenVINO: the fastest of our runtimes on CPUs, in INT8 or bfloat16 where possible; also Intel's GPU and NPU.

It is the only runtime that leaves state behind in the process: an alternate signal stack, which is removed at once
(`leave_signal_stack`).
"""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from engines import optional
from engines.base import PLAIN, EngineSpec, Model, Setup, describe
from engines.cache import Body, CompiledCache
from engines.errors import EngineError
from engines.int8 import quantize
from engines.machine import cpu_name
from engines.signature import require_ports
from engines.tensors import Tensors

logger = logging.getLogger(__name__)

NAME = "openvino"

DEVICES = frozenset({"cpu", "gpu", "npu"})
_REFUSED = "refused"

Precision = Literal["auto", "int8", "bf16", "f16", "f32"]


def check() -> None:
    """Raise `MissingDependencyError` if OpenVINO is not installed."""
    optional.require("openvino", install=optional.install())


def open_openvino(model: Model, setup: Setup = PLAIN, *, precision: Precision = "auto") -> OpenVinoEngine:
    """Compile ``model`` for ``setup.device`` (the CPU for "auto"), or load it from the cache.

    ``precision`` "auto" is, on a CPU, int8 if the card states activations, else bf16 if the CPU supports it, else f32;
    on GPU and NPU it is f16. In int8, the layers that are not quantised run in bf16 or f32. A model compiled in reduced
    precision is used, and cached, only after `Model.accept`, except for our own networks in bf16 on a CPU, which are
    trained in it. One that fails is reported to ``setup.pass_over``, and the next precision is tried; on GPU and NPU
    there is none. Raises `MissingDependencyError` if OpenVINO does not import, `EngineError` if it rejects the graph or
    the device is missing or lacks ``precision``, `WeightsError` for altered weights and activations that are not
    numbers.
    """
    core = optional.openvino().Core()
    device = "CPU" if setup.device == "auto" else setup.device.upper()
    try:
        logger.debug("devices: %s", core.available_devices)
        there = device in {one.partition(".")[0] for one in core.available_devices}
        able = core.get_property(device, "OPTIMIZATION_CAPABILITIES") if there else []
        named = cpu_name() if device == "CPU" or not there else str(core.get_property(device, "FULL_DEVICE_NAME"))
    except RuntimeError as error:
        raise EngineError(f"{NAME}: cannot use {device}: {_last_line(error)}") from error
    if not there:
        raise EngineError(f"{NAME}: there is no {device} that it can use", advice="Use --device cpu.")
    target = _Device(device, named, " ".join(sorted(able)))
    if precision != "auto":
        return _open(core, model, setup, target, precision)
    for best in _best(model, able) if device == "CPU" else ("f16",):
        try:
            return _open(core, model, setup, target, best)
        except _OtherColoursError as error:
            if device != "CPU":
                raise
            setup.pass_over(f"{NAME} in {best}", str(error))
    return _open(core, model, setup, target, "f32")


def _best(model: Model, able: Collection[str]) -> Iterator[Precision]:
    """Yield the reduced precisions that a CPU supports, fastest first."""
    if "INT8" in able and model.weights.activations():
        yield "int8"
    if "BF16" in able:
        yield "bf16"


@dataclass(frozen=True)
class _Device:
    """A device with OpenVINO's name, its maker's name, and the precisions it supports."""

    id: str
    name: str
    able: str


class _OtherColoursError(EngineError):
    """The compiled model's colours differ from the reference."""


def _open(core: Any, model: Model, setup: Setup, device: _Device, precision: str) -> OpenVinoEngine:
    openvino = optional.openvino()
    runtime = f"OpenVINO {openvino.get_version().split('-')[0]}"
    spec = describe(model, name=NAME, runtime=runtime, device=device.name, precision=precision)
    key = {
        "weights": model.weights.sha256,
        "runtime": openvino.get_version(),
        "device": f"{device.name}: {device.able}",
        "precision": precision,
    }
    activations = model.weights.activations() if precision == "int8" else {}
    if activations:
        key["activations"] = repr(activations)
    elif precision == "int8":
        raise EngineError(f"{NAME}: {model.weights.card_path} states no activations, which int8 needs")
    # For the layers that are not quantised.
    hint = precision if precision != "int8" else "bf16" if "BF16" in device.able else "f32"
    how = {"INFERENCE_PRECISION_HINT": hint}
    if setup.threads is not None and device.id == "CPU":
        how["INFERENCE_NUM_THREADS"] = str(setup.threads)
    cache = None if setup.cache is None else CompiledCache(setup.cache / NAME, setup.say)
    try:
        if cache is not None and cache.get({**key, "verdict": _REFUSED}) is not None:
            raise _OtherColoursError(f"{NAME}: in {precision} its colours differed from those of ONNX Runtime")
        imported = _imported(core, device.id, how, cache, key, setup)
        compiled, memory = imported or (_compiled(core, device.id, how, model, activations), None)
        engine = _engine(compiled, memory, spec, model, hint)
        if imported is None:
            if precision in ("int8", "f16") or (precision == "bf16" and not model.is_ours):
                _accept(engine, model, cache, key)
            if cache is not None:
                cache.put(key, compiled.export_model().getbuffer())
    except RuntimeError as error:
        raise EngineError(
            f"{NAME}: cannot open {model.weights.path}: {_last_line(error)}", advice="Try --engine onnxruntime."
        ) from error
    return engine


def _imported(
    core: Any, device: str, how: dict[str, str], cache: CompiledCache | None, key: dict[str, str], setup: Setup
) -> tuple[Any, Body] | None:
    """Return the compiled model from the cache, with the memory that it keeps reading; None if it is not cached.

    OpenVINO's own cache silently gives wrong colours once bytes in the middle of a file have changed; ours is sealed.
    With it a complete start costs 0.34 s of CPU instead of 0.41 with 5.5 million parameters, and 0.87 instead of 1.34
    with 38 million.

    Batch, height and width stay dynamic in the compiled model. Compiled for one shape, batches of 8 in bf16 were 6 to 9
    % faster (medians, on a busy machine), all else no faster; it costs 100 ms a shape, and the scans of an archive have
    many.
    """
    kept = None if cache is None else cache.get(key)
    if kept is None:
        return None
    try:
        return core.import_model(optional.openvino().Tensor(kept, shared_memory=True), device, how), kept
    except RuntimeError as error:
        setup.say(f"{NAME}: the compiled model cannot be used ({_last_line(error)}); compiling it again")
        return None


def _compiled(
    core: Any, device: str, how: dict[str, str], model: Model, activations: Mapping[str, tuple[float, float]]
) -> Any:
    graph = core.read_model(model.weights.read())
    if activations:
        quantize(graph, activations)
    return core.compile_model(graph, device, how)


def _engine(compiled: Any, memory: Body | None, spec: EngineSpec, model: Model, hint: str) -> OpenVinoEngine:
    used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    request = compiled.create_infer_request()
    leave_signal_stack()
    require_ports(_names(compiled.inputs), _names(compiled.outputs), model.graph, model.weights)
    if used != hint:
        raise EngineError(f"{NAME}: {spec.device} computes in {used}, not in {hint}")
    return OpenVinoEngine(request, memory, spec)


def _accept(engine: OpenVinoEngine, model: Model, cache: CompiledCache | None, key: dict[str, str]) -> None:
    try:
        model.accept(engine)
    except EngineError as error:
        engine.close()
        # Stored, so that the next start need not repeat the check, which takes seconds.
        if cache is not None:
            cache.put({**key, "verdict": _REFUSED}, str(error).encode())
        raise _OtherColoursError(str(error), advice=error.advice) from error


class _SignalStack(ctypes.Structure):
    """``stack_t`` of sigaltstack(2) on Linux."""

    _fields_: ClassVar = [("memory", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


def leave_signal_stack() -> None:
    """Remove the alternate signal stack that OpenVINO sets on CPUs with AMX for a thread that compiles or infers.

    Its memory is freed with the model, but the setting remains: the next signal, such as Ctrl-C, would end the process
    with a segmentation fault. A thread's own stack is large enough.
    """
    if sys.platform == "linux":
        disabled = _SignalStack(None, 2, 0)  # SS_DISABLE
        ctypes.CDLL(None).sigaltstack(ctypes.byref(disabled), None)


class OpenVinoEngine:
    """An `Engine` on OpenVINO, to be wrapped in a `GuardedEngine`; make one with `open_openvino`."""

    def __init__(self, request: Any, memory: Body | None, spec: EngineSpec) -> None:
        """Use an OpenVINO infer request, and keep the memory that it reads weights from."""
        self._request = request
        self._memory = memory
        self._spec = spec
        self._half = {one.name for one in spec.graph.inputs if one.half}
        self._outputs = [one.name for one in spec.graph.outputs]

    @property
    def spec(self) -> EngineSpec:
        """Capabilities of this engine."""
        return self._spec

    def infer(self, inputs: Tensors) -> Tensors:
        """Return the outputs by name, see `engines.base.Engine`."""
        feeds = {name: array.astype(np.float16) if name in self._half else array for name, array in inputs.items()}
        try:
            outputs = self._request.infer(feeds, share_inputs=True)
            return {name: np.asarray(outputs[name], np.float32) for name in self._outputs}
        except RuntimeError as error:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
            raise EngineError(f"{NAME}: failed on a batch of {shapes}: {_last_line(error)}") from error
        finally:
            leave_signal_stack()

    def close(self) -> None:
        """Release the compiled model."""
        del self._request
        self._memory = None


def _names(ports: Any) -> list[str]:
    return [name for port in ports for name in port.get_names()]


def _last_line(error: RuntimeError) -> str:
    # OpenVINO's messages start with the source lines that they passed through.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
