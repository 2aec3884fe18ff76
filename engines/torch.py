"""The reference: PyTorch reads the ONNX graph node by node, in float32, on CUDA where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from engines import optional
from engines.base import F32, PLAIN, EngineSpec, Setup
from engines.errors import EngineError
from engines.guard import describe
from engines.machine import cpu_name
from engines.weights import INPUT, OUTPUT, Weights, require_contract

if TYPE_CHECKING:
    from engines.torch_graph import TorchGraph

NAME = "torch"
_INSTALL = "pip install autochrome[torch]"

Device = Literal["auto", "cpu", "cuda"]


def check() -> None:
    """Raise `MissingDependencyError` if PyTorch or onnx, which reads the file for it, is not installed."""
    optional.require("torch", install=_INSTALL)
    optional.require("onnx", install=_INSTALL)


def open_torch(weights: Weights, setup: Setup = PLAIN, *, device: Device = "auto") -> TorchEngine:
    """Load ``weights`` on CUDA if there is a device, else on the CPU.

    Raises `MissingDependencyError` if PyTorch or onnx does not import, `EngineError` for a graph with an operator
    that is not in the table, `WeightsError` for altered weights.
    """
    check()
    with optional.importing("torch", install=_INSTALL):
        import torch

        from engines.torch_graph import TorchGraph
    if setup.threads is not None:
        torch.set_num_threads(setup.threads)
    cuda = torch.cuda.is_available() and device != "cpu"
    if device == "cuda" and not cuda:
        raise EngineError(f"PyTorch {torch.__version__} sees no GPU", advice="Install PyTorch for CUDA.")
    graph = TorchGraph(weights.read(), torch.device("cuda" if cuda else "cpu"))
    require_contract(graph.inputs, graph.outputs, weights)
    return TorchEngine(
        graph,
        describe(
            weights,
            name=NAME,
            runtime=f"PyTorch {torch.__version__}",
            device=torch.cuda.get_device_name() if cuda else cpu_name(),
            precision="f32",
        ),
    )


class TorchEngine:
    """An `Engine` on PyTorch, for a `GuardedEngine` to hold; make one with `open_torch`."""

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
