"""Enforce the tensor contract on both sides of every engine, with the only lock around it."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from engines.base import Engine, EngineSpec
from engines.errors import EngineError
from engines.tensors import F32, GraphSpec, Tensors, TensorSpec


class GuardedEngine:
    """An `Engine` that wraps another: checks inputs and outputs, and closes it once.

    It serialises calls: any number of threads may call it. Callers need no lock of their own, and no engine has one.
    """

    def __init__(self, engine: Engine) -> None:
        """Take ownership of ``engine``: it is called by one thread at a time, closed once and not called after that."""
        self._engine = engine
        self._spec = engine.spec
        self._closed = False
        self._turn = threading.Lock()

    @property
    def spec(self) -> EngineSpec:
        """Capabilities of this engine."""
        return self._spec

    def infer(self, inputs: Tensors) -> Tensors:
        """Return the outputs by name, see `engines.base.Engine`.

        Raises `EngineError` for input or output outside the contract, a failing runtime and a closed engine.
        """
        count, height, width = _check_inputs(inputs, self._spec)
        with self._turn:
            if self._closed:
                raise EngineError(f"{self._spec.name}: called after it was closed")
            outputs = self._engine.infer(inputs)
        _check_outputs(outputs, self._spec, count, height, width)
        return outputs

    def close(self) -> None:
        """Release the runtime, after any call in progress; calling it twice is harmless."""
        with self._turn:
            if not self._closed:
                self._closed = True
                self._engine.close()


def _check_inputs(inputs: Tensors, spec: EngineSpec) -> tuple[int, int, int]:
    """Return count, height and width of the model inputs, or raise `EngineError`."""
    graph, name = spec.graph, spec.name
    if not isinstance(inputs, Mapping) or set(inputs) != {one.name for one in graph.inputs}:
        wanted = ", ".join(one.name for one in graph.inputs)
        found = ", ".join(map(str, inputs)) if isinstance(inputs, Mapping) else type(inputs).__name__
        raise EngineError(f"{name}: the inputs must be {wanted}, not {found or 'none'}")
    sizes = {_check_input(inputs[one.name], one, name) for one in graph.inputs}
    if len(sizes) > 1:
        raise EngineError(f"{name}: the inputs belong to pictures of different number or size: {sorted(sizes)}")
    ((count, height, width),) = sizes
    if not 1 <= count <= graph.max_batch:
        raise EngineError(f"{name}: a batch holds 1 to {graph.max_batch} pictures, not {count}")
    _check_size(graph, height, width, name)
    return count, height, width


def _check_size(graph: GraphSpec, height: int, width: int, name: str) -> None:
    size = graph.size
    if size.fixed is not None and (height, width) != (size.fixed, size.fixed):
        raise EngineError(f"{name}: the network takes {size.fixed} x {size.fixed} alone, not {height} x {width}")
    if any(side < 1 or side % size.multiple for side in (height, width)):
        raise EngineError(f"{name}: height and width must be multiples of {size.multiple}, not {height} x {width}")


def _check_input(array: F32, tensor: TensorSpec, name: str) -> tuple[int, int, int]:
    what = f"{name}: {tensor.name}"
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        found = getattr(array, "dtype", type(array).__name__)
        raise EngineError(f"{what} must be a float32 array, not {found}")
    if array.ndim != 4 or array.shape[1] != tensor.channels:
        raise EngineError(f"{what} must have shape (N, {tensor.channels}, H, W), not {array.shape}")
    if not array.flags.c_contiguous:
        raise EngineError(f"{what} must be C-contiguous")
    # Written so that NaN, which compares as neither above nor below, is rejected too.
    if array.size and not (array.min() >= tensor.low and array.max() <= tensor.high):
        raise EngineError(
            f"{what} must lie in {tensor.low:g}..{tensor.high:g}, not in {array.min():g}..{array.max():g}"
        )
    count, _, height, width = array.shape
    return count, height * tensor.divisor, width * tensor.divisor


def _check_outputs(outputs: Tensors, spec: EngineSpec, count: int, height: int, width: int) -> None:
    for tensor in spec.graph.outputs:
        output = outputs.get(tensor.name)
        if output is None:
            raise EngineError(f"{spec.name}: the output {tensor.name} is missing")
        expected = tensor.shape(count, height, width)
        if output.ndim != 4 or any(
            side not in (None, found) for side, found in zip(expected, output.shape, strict=True)
        ):
            raise EngineError(f"{spec.name}: output {tensor.name} has shape {output.shape}, not {expected}")
        if output.dtype != np.float32:
            raise EngineError(f"{spec.name}: output {tensor.name} is {output.dtype}, not float32")
        if not np.isfinite(output).all():
            raise EngineError(
                f"{spec.name}: output {tensor.name} holds values that are not finite "
                f"({spec.precision} on {spec.device})",
                advice="Try --engine onnxruntime; if it happens there too, the weights are damaged.",
            )


def trial(graph: GraphSpec) -> Tensors:
    """Return small inputs with mid-range values: enough to see whether the graph runs.

    Twice the smallest side: if a deep feature map has a single position, OpenVINO 2026.4.1 assumes another layout for
    the tensors of attention, and silently keeps doing so for every later size.
    """
    side = graph.size.fixed or 2 * graph.size.smallest
    return {
        one.name: np.full((1, one.channels or 1, side // one.divisor, side // one.divisor), one.middle, np.float32)
        for one in graph.inputs
    }
