"""The few CUDA runtime calls that TensorRT leaves to its caller, through NVIDIA's own cuda-python."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Pinned: TypeAlias = npt.NDArray[np.float32 | np.float16]


class CudaError(RuntimeError):
    """A CUDA runtime call failed; the message names the call and CUDA's reason."""


class Cuda:
    """The CUDA runtime on this process's first GPU. Every method raises `CudaError`."""

    def __init__(self) -> None:
        """Import cuda-python; raises `ImportError` if that fails."""
        from cuda.bindings import runtime

        self._runtime: Any = runtime

    def device(self) -> tuple[str, str]:
        """Return the GPU's name and its compute capability, such as ``("NVIDIA L4", "8.9")``."""
        properties = self._call("cudaGetDeviceProperties", 0)
        name = properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name)
        return name.rstrip("\0"), f"{properties.major}.{properties.minor}"

    def stream(self) -> int:
        """Return a new stream that does not wait for any other."""
        return int(self._call("cudaStreamCreateWithFlags", self._runtime.cudaStreamNonBlocking))

    def wait(self, stream: int) -> None:
        """Wait until all work on ``stream`` is done."""
        self._call("cudaStreamSynchronize", stream)

    def memory(self, size: int) -> int:
        """Allocate ``size`` bytes on the GPU and return their address."""
        return int(self._call("cudaMalloc", size))

    def pinned(self, shape: tuple[int, ...], dtype: type[np.float32 | np.float16]) -> Pinned:
        """Return an array in page-locked memory, which the GPU can copy to and from directly; freed by `release`."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = int(self._call("cudaHostAlloc", size, self._runtime.cudaHostAllocDefault))
        raw = ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8))
        array: Pinned = np.ctypeslib.as_array(raw, (size,)).view(np.dtype(dtype)).reshape(shape)
        return array

    def upload(self, target: int, source: Pinned, stream: int) -> None:
        """Copy a pinned array to the GPU, in order on ``stream``."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", target, source.ctypes.data, source.nbytes, kind, stream)

    def download(self, target: Pinned, source: int, stream: int) -> None:
        """Copy from the GPU to a pinned array, in order on ``stream``."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", target.ctypes.data, source, target.nbytes, kind, stream)

    def recorded(self, stream: int, work: Callable[[], None]) -> Any:
        """Record the calls that ``work`` makes on ``stream``, without executing them, as a graph for `replay`."""
        self._call(
            "cudaStreamBeginCapture", stream, self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        )
        with self._captured(stream) as graph:
            work()
        try:
            return self._call("cudaGraphInstantiate", graph[0], 0)
        finally:
            self._call("cudaGraphDestroy", graph[0])

    @contextmanager
    def _captured(self, stream: int) -> Iterator[list[Any]]:
        graph: list[Any] = []
        try:
            yield graph
        except BaseException:
            # The stream must leave capture mode in any case; the graph, if any, is unusable.
            self._runtime.cudaStreamEndCapture(stream)
            raise
        graph.append(self._call("cudaStreamEndCapture", stream))

    def replay(self, graph: Any, stream: int) -> None:
        """Launch a recorded graph on ``stream``."""
        self._call("cudaGraphLaunch", graph, stream)

    def release(self, *, stream: int, memory: list[int], pinned: list[Pinned], graph: Any | None) -> None:
        """Free ``stream``, which must be idle, and the rest."""
        if graph is not None:
            self._call("cudaGraphExecDestroy", graph)
        for address in memory:
            self._call("cudaFree", address)
        for array in pinned:
            self._call("cudaFreeHost", array.ctypes.data)
        self._call("cudaStreamDestroy", stream)

    def _call(self, name: str, *arguments: Any) -> Any:
        status, *values = getattr(self._runtime, name)(*arguments)
        if int(status) != 0:
            raise CudaError(f"{name}: {status.name}")
        return values[0] if values else None
