"""A GPU simulated in main memory, and TensorRT simulated by ONNX Runtime, for all of our code around the real ones.

The calls to the real libraries are checked against their signatures in test_tensorrt.py. Work on a stream is done when
the stream is waited for, as on a busy GPU, so that reading or writing too early shows in the picture.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from enum import Enum
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

from engines.cuda import CudaError, Pinned
from engines.tensors import F32

Work = Callable[[], None]


class FakeCuda:
    """Replaces `engines.cuda.Cuda`, and counts the resources held."""

    def __init__(self, name: str = "Fake GPU") -> None:
        self.name = name
        self.streams: dict[int, list[Work]] = {}
        self.recording: dict[int, list[Work]] = {}
        self.held: dict[int, Any] = {}
        self.replays = 0
        self._numbers = count(1)
        self.fails_at: str = ""

    def device(self) -> tuple[str, str]:
        return self.name, "8.9"

    def stream(self) -> int:
        number = next(self._numbers)
        self.streams[number] = []
        return number

    def wait(self, stream: int) -> None:
        self._fail("wait")
        for work in self.streams[stream]:
            work()
        self.streams[stream].clear()

    def put(self, stream: int, work: Work) -> None:
        self.recording.get(stream, self.streams[stream]).append(work)

    def memory(self, size: int) -> int:
        self._fail("memory")
        block = ctypes.create_string_buffer(size)
        self.held[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def pinned(self, shape: tuple[int, ...], dtype: type[np.float32 | np.float16]) -> Pinned:
        array = np.full(shape, np.nan, dtype)
        self.held[array.ctypes.data] = array
        return array

    def upload(self, target: int, source: Pinned, stream: int) -> None:
        self.put(stream, lambda: ctypes.memmove(target, source.ctypes.data, source.nbytes))  # type: ignore[arg-type]

    def download(self, target: Pinned, source: int, stream: int) -> None:
        self.put(stream, lambda: ctypes.memmove(target.ctypes.data, source, target.nbytes))  # type: ignore[arg-type]

    def recorded(self, stream: int, work: Work) -> list[Work]:
        self.recording[stream] = []
        work()
        return self.recording.pop(stream)

    def replay(self, graph: list[Work], stream: int) -> None:
        self.replays += 1
        self.streams[stream].extend(graph)

    def release(self, *, stream: int, memory: list[int], pinned: list[Pinned], graph: Any | None) -> None:
        for address in (*memory, *(array.ctypes.data for array in pinned)):
            del self.held[address]
        del self.streams[stream]

    def _fail(self, what: str) -> None:
        if self.fails_at == what:
            raise CudaError(f"{what}: cudaErrorIllegalAddress")


class FakeTensorRT:
    """The names that our code uses from the package tensorrt. ``spoil`` modifies a plan's outputs."""

    __version__ = "11.4.0.fake"
    TensorIOMode = Enum("TensorIOMode", ["NONE", "INPUT", "OUTPUT"])
    DataType = Enum("DataType", ["FLOAT", "HALF"])
    ExecutionContextAllocationStrategy = Enum("ExecutionContextAllocationStrategy", ["STATIC", "USER_MANAGED"])

    class NetworkDefinitionCreationFlag:
        STRONGLY_TYPED = 1

    class ILogger:
        Severity = Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING"])

    class IProgressMonitor:
        pass

    def __init__(self, cuda: FakeCuda, spoil: Callable[[F32], F32] = lambda answer: answer) -> None:
        self.cuda, self.spoil = cuda, spoil
        self.built: list[bytes] = []
        self.profiles: list[tuple[str, tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = []
        self.fails_to_build = False

    def Builder(self, log: Any) -> SimpleNamespace:  # noqa: N802 - the real name
        def create_network(flags: int) -> SimpleNamespace:
            assert flags == 2, "not strongly typed"
            return SimpleNamespace(graph=b"")

        def build(network: SimpleNamespace, config: SimpleNamespace) -> bytes | None:
            monitor = config.progress_monitor
            monitor.phase_start("Building", None, 2)
            monitor.phase_start("Tactics", "Building", 9)
            assert monitor.step_complete("Tactics", 0)
            assert monitor.step_complete("Building", 0)
            monitor.phase_finish("Building")
            if self.fails_to_build:
                log.log(self.ILogger.Severity.ERROR, "out of tactics")
                return None
            self.built.append(network.graph)
            return bytes(network.graph)

        profile = SimpleNamespace(set_shape=lambda *shapes: self.profiles.append(shapes))
        config = SimpleNamespace(add_optimization_profile=lambda _: 0, progress_monitor=None)
        return SimpleNamespace(
            create_network=create_network,
            create_builder_config=lambda: config,
            create_optimization_profile=lambda: profile,
            build_serialized_network=build,
        )

    def OnnxParser(self, network: SimpleNamespace, _: Any) -> SimpleNamespace:  # noqa: N802 - the real name
        def parse(graph: bytes) -> bool:
            network.graph = graph
            return True

        return SimpleNamespace(parse=parse, num_errors=0)

    def Runtime(self, log: Any) -> SimpleNamespace:  # noqa: N802 - the real name
        def load(plan: Any) -> FakeEngine | None:
            try:
                return FakeEngine(self, bytes(plan))
            except Exception as error:  # noqa: BLE001 - the real one has no reasons but those it logs
                log.log(self.ILogger.Severity.ERROR, str(error))
                return None

        return SimpleNamespace(deserialize_cuda_engine=load)


class FakeEngine:
    def __init__(self, trt: FakeTensorRT, plan: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.trt = trt
        self.session = onnxruntime.InferenceSession(plan, options, providers=["CPUExecutionProvider"])
        self.inputs = [one.name for one in self.session.get_inputs()]
        self.names = [*self.inputs, *(one.name for one in self.session.get_outputs())]
        types = {one.name: one.type for one in (*self.session.get_inputs(), *self.session.get_outputs())}
        self.half = {name for name, kind in types.items() if kind == "tensor(float16)"}
        self.num_io_tensors = len(self.names)

    def get_tensor_name(self, number: int) -> str:
        return str(self.names[number])

    def get_tensor_mode(self, name: str) -> Any:
        return self.trt.TensorIOMode.INPUT if name in self.inputs else self.trt.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self.trt.DataType.HALF if name in self.half else self.trt.DataType.FLOAT

    def create_execution_context(self, strategy: Any) -> FakeContext:
        assert strategy is self.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        return FakeContext(self)


class FakeContext:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.profile: int | None = None
        self.addresses: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.scratch = False

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self.profile = profile_index
        return stream_handle in self.engine.trt.cuda.streams

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        bounds = [one[1:] for one in self.engine.trt.profiles if one[0] == name]
        least, _, most = bounds[self.profile or 0]
        self.shapes[name] = shape
        return all(low <= side <= high for low, side, high in zip(least, shape, most, strict=True))

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self.shapes:
            return self.shapes[name]
        return self._run({one: np.zeros(self.shapes[one], self._type(one)) for one in self.engine.inputs})[name].shape

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return True

    def update_device_memory_size_for_shapes(self) -> int:
        return 256

    def set_device_memory(self, memory: int, size: int) -> None:
        self.scratch = size >= 256

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert self.scratch
        assert set(self.addresses) == set(self.engine.names)

        def work() -> None:
            feeds = {
                name: _array(self.addresses[name], self.shapes[name], self._type(name)).copy()
                for name in self.engine.inputs
            }
            for name, answer in self._run(feeds).items():
                target = _array(self.addresses[name], answer.shape, answer.dtype)
                target[...] = self.engine.trt.spoil(answer)

        self.engine.trt.cuda.put(stream_handle, work)
        return True

    def _run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        outputs = [name for name in self.engine.names if name not in feeds]
        return dict(zip(outputs, self.engine.session.run(outputs, feeds), strict=True))

    def _type(self, name: str) -> Any:
        return np.float16 if name in self.engine.half else np.float32


def _array(address: int, shape: tuple[int, ...], dtype: Any) -> Any:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8))
    return np.ctypeslib.as_array(raw, (size,)).view(dtype).reshape(shape)
