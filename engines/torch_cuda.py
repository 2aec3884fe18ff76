"""A graph of PyTorch's on CUDA, made ready for one shape."""

from __future__ import annotations

import torch
from torch import Tensor

from engines.base import F32
from engines.ring import Shape
from engines.torch_graph import TorchGraph
from engines.weights import INPUT, OUTPUT


class CudaProgram:
    """An `engines.ring.Program`: its own stream, page-locked memory, and from the second batch on a recorded graph.

    Its methods raise `RuntimeError` where PyTorch does.
    """

    def __init__(self, graph: TorchGraph, shape: Shape) -> None:
        """Get ``graph``, which is on CUDA, ready for lightness of ``shape`` (N, 1, H, W)."""
        self._graph = graph
        self._stream = torch.cuda.Stream(graph.device)  # type: ignore[no-untyped-call]
        self._staged = torch.empty(shape, pin_memory=True)
        self._source = torch.empty(shape, device=graph.device)
        self._recorded: torch.cuda.CUDAGraph | None = None
        self._output: Tensor | None = None
        self._answer: Tensor | None = None

    def start(self, lightness: F32) -> None:
        """Copy ``lightness`` to where the GPU fetches it, and set the GPU to work."""
        self._staged.copy_(torch.from_numpy(lightness))
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._source.copy_(self._staged, non_blocking=True)
            if self._answer is None:
                # Also the first run that libraries want before they can be recorded.
                self._output = self._forward()
                self._answer = torch.empty(self._output.shape, pin_memory=True)
            else:
                if self._recorded is None:
                    self._recorded = self._record()
                self._recorded.replay()
            assert self._output is not None
            self._answer.copy_(self._output, non_blocking=True)

    def finish(self) -> F32:
        """Wait for the answer and return a copy of it."""
        self._stream.synchronize()
        assert self._answer is not None
        return self._answer.numpy().copy()

    def close(self) -> None:
        """Release memory."""
        self._stream.synchronize()
        del self._recorded, self._output, self._source

    def _record(self) -> torch.cuda.CUDAGraph:
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recorded, stream=self._stream, capture_error_mode="thread_local"):
            self._output = self._forward()
        return recorded

    def _forward(self) -> Tensor:
        return self._graph.forward({INPUT: self._source})[OUTPUT].contiguous()
