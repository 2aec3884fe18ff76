"""NVIDIA's TensorRT, 10 and 11: a plan built once for this GPU, kept on disk, run in float16 without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engines import optional
from engines.base import PLAIN, EngineSpec, Model, Setup, describe
from engines.cache import Body, CompiledCache
from engines.errors import EngineError, MissingDependencyError
from engines.machine import gpu_count
from engines.ring import Ring, Shapes
from engines.signature import require_ports
from engines.tensorrt_plan import NAME as NAME
from engines.tensorrt_plan import PRECISION, build, failure, log_to, profiles
from engines.tensors import Tensors

if TYPE_CHECKING:
    from engines.cuda import Cuda, Pinned

DEVICES = frozenset({"gpu", "cuda", "tensorrt"})
_INSTALL = optional.install("tensorrt")


def check() -> None:
    """Raise `MissingDependencyError` if TensorRT, cuda-python, onnx or an NVIDIA GPU with its driver is missing."""
    for package in ("tensorrt", "cuda", "onnx"):
        optional.require(package, install=_INSTALL)
    # Without a GPU, TensorRT crashes instead of raising.
    if not gpu_count():
        raise MissingDependencyError(f"{NAME}: there is no NVIDIA GPU that can be used", advice="Check nvidia-smi.")


def open_tensorrt(model: Model, setup: Setup = PLAIN) -> TensorRtEngine:
    """Load the plan of ``model`` for this GPU, or build it, which takes minutes, and test it before use.

    A plan is stored in ``setup.cache`` once its outputs were accepted (`Model.accept`). Raises `MissingDependencyError`
    if something is not installed or does not import, `EngineError` if TensorRT cannot build or load the plan or its
    outputs deviate, `WeightsError` for altered weights.
    """
    check()
    with optional.importing("tensorrt", install=_INSTALL):
        import tensorrt

        from engines.cuda import Cuda, CudaError

        cuda = Cuda()
    try:
        return _opened(tensorrt, cuda, model, setup)
    except CudaError as error:
        raise failure("cannot use the GPU", [str(error)]) from error


def _opened(trt: Any, cuda: Cuda, model: Model, setup: Setup) -> TensorRtEngine:
    name, capability = cuda.device()
    spec = describe(model, name=NAME, runtime=f"TensorRT {trt.__version__}", device=name, precision=PRECISION)
    key = {
        "weights": model.weights.sha256,
        "runtime": spec.runtime,
        "device": f"{name}, compute capability {capability}",
        "shapes": str(profiles(model.graph)),
        "precision": PRECISION,
    }
    if setup.cache is None:
        return _built(trt, cuda, model, spec, setup)[0]
    cache = CompiledCache(setup.cache / NAME, setup.say)
    with cache.alone():
        kept = cache.get(key)
        if kept is not None:
            try:
                return TensorRtEngine(trt, cuda, kept, model, spec)
            except EngineError as error:
                setup.say(f"{error}; building it again")
        engine, plan = _built(trt, cuda, model, spec, setup)
        cache.put(key, plan)
        return engine


def _built(trt: Any, cuda: Cuda, model: Model, spec: EngineSpec, setup: Setup) -> tuple[TensorRtEngine, memoryview]:
    with optional.importing("onnx", install=_INSTALL):
        from engines.half import half_graph
    setup.say(f"{NAME}: building a plan of {model.weights.name} for {spec.device}; this takes minutes, once")
    errors: list[str] = []
    log = log_to(trt, errors)
    content = half_graph(model.weights.read())
    plan = memoryview(build(trt, content, model.graph, log=log, errors=errors, say=setup.say))
    engine = TensorRtEngine(trt, cuda, np.frombuffer(plan, np.uint8), model, spec)
    try:
        model.accept(engine)
    except BaseException:
        engine.close()
        raise
    return engine, plan


class TensorRtEngine:
    """An `Engine` on TensorRT, to be wrapped in a `GuardedEngine`; make one with `open_tensorrt`."""

    def __init__(self, trt: Any, cuda: Cuda, plan: Body, model: Model, spec: EngineSpec) -> None:
        """Load ``plan``. Raises `EngineError` if TensorRT rejects it, `WeightsError` if it has other tensors."""
        self._trt, self._cuda, self._spec = trt, cuda, spec
        self._errors: list[str] = []
        self._log = log_to(trt, self._errors)
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise failure("cannot load the plan", self._errors)
        names = [self._engine.get_tensor_name(number) for number in range(self._engine.num_io_tensors)]
        is_input = [self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names]
        inputs = [name for name, taken in zip(names, is_input, strict=True) if taken]
        require_ports(inputs, [name for name in names if name not in inputs], model.graph, model.weights)
        self._outputs = [name for name in names if name not in inputs]
        self._profiles = profiles(model.graph)
        self._ring = Ring(self._program)

    @property
    def spec(self) -> EngineSpec:
        """Capabilities of this engine."""
        return self._spec

    def infer(self, inputs: Tensors) -> Tensors:
        """Return the outputs by name, see `engines.base.Engine`."""
        from engines.cuda import CudaError

        try:
            return self._ring.infer(inputs)
        except CudaError as error:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
            raise EngineError(f"{NAME}: failed on a batch of {shapes}: {error}") from error

    def close(self) -> None:
        """Release GPU resources."""
        self._ring.close()
        del self._engine, self._runtime

    def _program(self, shapes: Shapes) -> _Program:
        given = dict(shapes)
        first = self._spec.graph.inputs[0]
        count, _, *sides = given[first.name]
        size = (count, *(side * first.divisor for side in sides))
        for number, profile in enumerate(self._profiles):
            if profile.takes(size):
                return _Program(self._trt, self._cuda, self._engine, number, given, self._outputs, self._errors)
        most = self._profiles[-1].most
        raise EngineError(
            f"{NAME}: pictures of {size[1]} x {size[2]} are too large; the plan takes up to {most[1]} x {most[2]}",
            advice="Use another engine for them.",
        )


class _Program:
    """A plan's context for inputs of one shape, with its own stream and memory; later batches replay a recorded graph.

    A graph is valid only while its context is unchanged, so every shape has its own context.
    """

    def __init__(
        self,
        trt: Any,
        cuda: Cuda,
        engine: Any,
        profile: int,
        inputs: Mapping[str, tuple[int, ...]],
        outputs: Sequence[str],
        errors: list[str],
    ) -> None:
        self._trt, self._cuda, self._plan, self._errors = trt, cuda, engine, errors
        self._graph: Any | None = None
        self._is_warm = False
        self._stream = cuda.stream()
        self._memory: list[int] = []
        self._pinned: list[Pinned] = []
        self._context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if self._context is None:
            raise failure("cannot make a context", errors)
        self._require(self._context.set_optimization_profile_async(profile, self._stream))
        cuda.wait(self._stream)
        for name, shape in inputs.items():
            self._require(self._context.set_input_shape(name, shape))
        # By name: page-locked memory, and the GPU address it is copied to or from.
        self._inputs = {name: self._tensor(name, shape) for name, shape in inputs.items()}
        self._outputs = {name: self._tensor(name, tuple(self._context.get_tensor_shape(name))) for name in outputs}
        scratch = max(1, self._context.update_device_memory_size_for_shapes())
        self._context.set_device_memory(self._allocated(scratch), scratch)

    def start(self, inputs: Tensors) -> None:
        """Copy ``inputs`` to page-locked memory and start the GPU."""
        for name, (staged, _) in self._inputs.items():
            staged[...] = inputs[name]
        if self._graph is None and self._is_warm:
            self._graph = self._cuda.recorded(self._stream, self._work)
        if self._graph is None:
            self._work()
            self._is_warm = True
        else:
            self._cuda.replay(self._graph, self._stream)

    def finish(self) -> Tensors:
        """Wait for the output and return a copy of it."""
        self._cuda.wait(self._stream)
        return {name: np.array(staged, np.float32) for name, (staged, _) in self._outputs.items()}

    def close(self) -> None:
        """Release the context, the stream and all memory."""
        self._cuda.wait(self._stream)
        del self._context
        self._cuda.release(stream=self._stream, memory=self._memory, pinned=self._pinned, graph=self._graph)

    def _work(self) -> None:
        for staged, address in self._inputs.values():
            self._cuda.upload(address, staged, self._stream)
        self._require(self._context.execute_async_v3(self._stream))
        for staged, address in self._outputs.values():
            self._cuda.download(staged, address, self._stream)

    def _tensor(self, name: str, shape: tuple[int, ...]) -> tuple[Pinned, int]:
        if min(shape) < 1:
            raise failure(f"does not know the shape of {name}", [str(shape)])
        is_half = self._plan.get_tensor_dtype(name) == self._trt.DataType.HALF
        array = self._cuda.pinned(shape, np.float16 if is_half else np.float32)
        self._pinned.append(array)
        address = self._allocated(array.nbytes)
        self._require(self._context.set_tensor_address(name, address))
        return array, address

    def _allocated(self, size: int) -> int:
        self._memory.append(self._cuda.memory(size))
        return self._memory[-1]

    def _require(self, done: bool) -> None:
        if not done:
            raise failure("refuses a batch", self._errors)
