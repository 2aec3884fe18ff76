"""PyTorch reads the ONNX graph node by node: in float16 on CUDA, or in float32 on the CPU."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from engines import optional
from engines.base import F32, PLAIN, EngineSpec, Setup
from engines.errors import EngineError
from engines.guard import describe
from engines.machine import cpu_name
from engines.parity import require_parity
from engines.ring import Ring
from engines.weights import INPUT, OUTPUT, Weights, require_contract

if TYPE_CHECKING:
    from engines.torch_graph import TorchGraph

NAME = "torch"
_INSTALL = "pip install autochrome-archive[torch]"

Device = Literal["auto", "cpu", "cuda"]


def check() -> None:
    """Raise `MissingDependencyError` if PyTorch or onnx, which reads the file for it, is not installed."""
    optional.require("torch", install=_INSTALL)
    optional.require("onnx", install=_INSTALL)


def open_torch(weights: Weights, setup: Setup = PLAIN, *, device: Device = "auto") -> TorchEngine | CudaTorchEngine:
    """Load ``weights`` on CUDA, in float16, if ``device`` allows it and there is a GPU; else on the CPU, in float32.

    Raises `MissingDependencyError` if PyTorch or onnx does not import, `EngineError` for a graph with an operator
    that is not in the table, for ``cuda`` without a GPU, and if colours in float16 are not those of ONNX Runtime
    (`engines.parity`), `WeightsError` for altered weights.
    """
    check()
    with optional.importing("torch", install=_INSTALL):
        import torch

        from engines.half import half_graph
        from engines.torch_graph import TorchGraph
    if setup.threads is not None:
        torch.set_num_threads(setup.threads)
    runtime = f"PyTorch {torch.__version__}"
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        graph = TorchGraph(weights.read(), torch.device("cpu"))
        require_contract(graph.inputs, graph.outputs, weights)
        spec = describe(weights, name=NAME, runtime=runtime, device=cpu_name(), precision="f32")
        return TorchEngine(graph, spec)
    if not torch.cuda.is_available():
        raise EngineError(f"{runtime} sees no GPU", advice="Install PyTorch for CUDA.")
    graph = TorchGraph(half_graph(weights.read()), torch.device("cuda"))
    require_contract(graph.inputs, graph.outputs, weights)
    spec = describe(weights, name=NAME, runtime=runtime, device=torch.cuda.get_device_name(), precision="f16")
    engine = CudaTorchEngine(graph, spec)
    require_parity(engine, weights)
    return engine


class TorchEngine:
    """An `Engine` on PyTorch and the CPU, for a `GuardedEngine` to hold; make one with `open_torch`."""

    def __init__(self, graph: TorchGraph, spec: EngineSpec) -> None:
        """Keep the graph."""
        self._graph = graph
        self._spec = spec

    @property
    def spec(self) -> EngineSpec:
        """Capabilities of this engine."""
        return self._spec

    def infer(self, lightness: F32) -> F32:
        """Return a* and b* for a batch of L*, see `engines.base.Engine`."""
        try:
            return self._graph.run({INPUT: lightness})[OUTPUT]
        except RuntimeError as error:
            raise EngineError(f"{NAME}: failed on a batch of shape {lightness.shape}: {error}") from error

    def close(self) -> None:
        """Release the weights."""
        del self._graph


class CudaTorchEngine:
    """An `Engine` on PyTorch and CUDA, for a `GuardedEngine` to hold; make one with `open_torch`."""

    def __init__(self, graph: TorchGraph, spec: EngineSpec) -> None:
        """Keep the graph; it gets ready for a shape when one comes."""
        from engines.torch_cuda import CudaProgram

        self._ring = Ring(partial(CudaProgram, graph))
        self._spec = spec

    @property
    def spec(self) -> EngineSpec:
        """Capabilities of this engine."""
        return self._spec

    def infer(self, lightness: F32) -> F32:
        """Return a* and b* for a batch of L*, see `engines.base.Engine`."""
        try:
            return self._ring.infer(lightness)
        except RuntimeError as error:
            raise EngineError(f"{NAME}: failed on a batch of shape {lightness.shape}: {error}") from error

    def close(self) -> None:
        """Release what is on the GPU."""
        self._ring.close()
        del self._ring
