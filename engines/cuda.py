"""The few calls of the CUDA runtime that TensorRT leaves to its caller, by NVIDIA's own cuda-python."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Pinned: TypeAlias = npt.NDArray[np.float32 | np.float16]


class CudaError(RuntimeError):
    """A call of the CUDA runtime failed; the message names it and CUDA's reason."""


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
        """Return a new stream that waits for no other."""
        return int(self._call("cudaStreamCreateWithFlags", self._runtime.cudaStreamNonBlocking))

    def wait(self, stream: int) -> None:
        """Wait until all that was put on ``stream`` is done."""
        self._call("cudaStreamSynchronize", stream)

    def memory(self, size: int) -> int:
        """Return the address of ``size`` new bytes on the GPU."""
        return int(self._call("cudaMalloc", size))

    def pinned(self, shape: tuple[int, ...], dtype: type[np.float32 | np.float16]) -> Pinned:
        """Return an array in page-locked memory, which the GPU copies from and to by itself; freed by `release`."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = int(self._call("cudaHostAlloc", size, self._runtime.cudaHostAllocDefault))
        raw = ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8))
        array: Pinned = np.ctypeslib.as_array(raw, (size,)).view(np.dtype(dtype)).reshape(shape)
        return array

    def upload(self, target: int, source: Pinned, stream: int) -> None:
        """Copy a pinned array to the GPU, in its turn on ``stream``."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", target, source.ctypes.data, source.nbytes, kind, stream)

    def download(self, target: Pinned, source: int, stream: int) -> None:
        """Copy from the GPU to a pinned array, in its turn on ``stream``."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", target.ctypes.data, source, target.nbytes, kind, stream)

    def recorded(self, stream: int, work: Callable[[], None]) -> Any:
        """Record what ``work`` puts on ``stream``, without doing it, and return it as a graph for `replay`."""
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
            # The stream must leave its recording however that went; the graph, if any, is of no use.
            self._runtime.cudaStreamEndCapture(stream)
            raise
        graph.append(self._call("cudaStreamEndCapture", stream))

    def replay(self, graph: Any, stream: int) -> None:
        """Put a recorded graph on ``stream``."""
        self._call("cudaGraphLaunch", graph, stream)

    def release(self, *, stream: int, memory: list[int], pinned: list[Pinned], graph: Any | None) -> None:
        """Free ``stream``, which has nothing left to do, and the rest."""
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
