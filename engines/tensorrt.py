"""NVIDIA's TensorRT, 10 and 11: a plan built once for this GPU, kept on disk, run in float16 without PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engines import optional
from engines.base import F32, PLAIN, EngineSpec, Setup
from engines.cache import Body, CompiledCache
from engines.errors import EngineError, MissingDependencyError
from engines.guard import describe
from engines.machine import gpu_count
from engines.parity import require_parity
from engines.ring import Ring, Shape
from engines.tensorrt_plan import NAME as NAME
from engines.tensorrt_plan import PRECISION, build, failure, log_to, profiles
from engines.weights import INPUT, OUTPUT, Weights, require_contract

if TYPE_CHECKING:
    from engines.cuda import Cuda

_INSTALL = "pip install autochrome-archive[tensorrt]"


def check() -> None:
    """Raise `MissingDependencyError` if TensorRT, cuda-python, onnx or an NVIDIA GPU with its driver is not there."""
    for package in ("tensorrt", "cuda", "onnx"):
        optional.require(package, install=_INSTALL)
    # TensorRT without a GPU does not fail but crash.
    if not gpu_count():
        raise MissingDependencyError(f"{NAME}: there is no NVIDIA GPU that can be used", advice="Check nvidia-smi.")


def open_tensorrt(weights: Weights, setup: Setup = PLAIN) -> TensorRtEngine:
    """Load the plan of ``weights`` for this GPU, or build it, which takes minutes, and believe it only after a trial.

    A plan is kept in ``setup.cache`` once its colours were those of ONNX Runtime (`engines.parity`). Raises
    `MissingDependencyError` if something is not installed or does not import, `EngineError` if TensorRT cannot build
    or load the plan or its colours drift, `WeightsError` for altered weights.
    """
    check()
    with optional.importing("tensorrt", install=_INSTALL):
        import tensorrt

        from engines.cuda import Cuda, CudaError

        cuda = Cuda()
    try:
        return _opened(tensorrt, cuda, weights, setup)
    except CudaError as error:
        raise failure("cannot use the GPU", [str(error)]) from error


def _opened(trt: Any, cuda: Cuda, weights: Weights, setup: Setup) -> TensorRtEngine:
    name, capability = cuda.device()
    spec = describe(weights, name=NAME, runtime=f"TensorRT {trt.__version__}", device=name, precision=PRECISION)
    key = {
        "weights": weights.sha256,
        "runtime": spec.runtime,
        "device": f"{name}, compute capability {capability}",
        "shapes": str(profiles(weights.multiple)),
        "precision": PRECISION,
    }
    if setup.cache is None:
        return _built(trt, cuda, weights, spec, setup)[0]
    cache = CompiledCache(setup.cache / NAME, setup.say)
    with cache.alone():
        kept = cache.get(key)
        if kept is not None:
            try:
                return TensorRtEngine(trt, cuda, kept, weights, spec)
            except EngineError as error:
                setup.say(f"{error}; building it again")
        engine, plan = _built(trt, cuda, weights, spec, setup)
        cache.put(key, plan)
        return engine


def _built(trt: Any, cuda: Cuda, weights: Weights, spec: EngineSpec, setup: Setup) -> tuple[TensorRtEngine, memoryview]:
    with optional.importing("onnx", install=_INSTALL):
        from engines.half import half_graph
    setup.say(f"{NAME}: building a plan of {weights.name} for {spec.device}; this takes minutes, once")
    errors: list[str] = []
    log = log_to(trt, errors)
    graph = half_graph(weights.read())
    plan = memoryview(build(trt, graph, multiple=weights.multiple, log=log, errors=errors, say=setup.say))
    engine = TensorRtEngine(trt, cuda, np.frombuffer(plan, np.uint8), weights, spec)
    try:
        require_parity(engine, weights)
    except BaseException:
        engine.close()
        raise
    return engine, plan


class TensorRtEngine:
    """An `Engine` on TensorRT, for a `GuardedEngine` to hold; make one with `open_tensorrt`."""

    def __init__(self, trt: Any, cuda: Cuda, plan: Body, weights: Weights, spec: EngineSpec) -> None:
        """Load ``plan``. Raises `EngineError` if TensorRT refuses it, `WeightsError` if it has other tensors."""
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
        require_contract(inputs, [name for name in names if name not in inputs], weights)
        self._profiles = profiles(weights.multiple)
        self._ring = Ring(self._program)

    @property
    def spec(self) -> EngineSpec:
        """Capabilities of this engine."""
        return self._spec

    def infer(self, lightness: F32) -> F32:
        """Return a* and b* for a batch of L*, see `engines.base.Engine`."""
        from engines.cuda import CudaError

        try:
            return self._ring.infer(lightness)
        except CudaError as error:
            raise EngineError(f"{NAME}: failed on a batch of shape {lightness.shape}: {error}") from error

    def close(self) -> None:
        """Release what is on the GPU."""
        self._ring.close()
        del self._engine, self._runtime

    def _program(self, shape: Shape) -> _Program:
        for number, profile in enumerate(self._profiles):
            if profile.takes(shape):
                return _Program(self._trt, self._cuda, self._engine, number, shape, self._errors)
        most = self._profiles[-1].most
        raise EngineError(
            f"{NAME}: pictures of {shape[2]} x {shape[3]} are too large; the plan takes up to {most[2]} x {most[3]}",
            advice="Use another engine for them.",
        )


class _Program:
    """A plan's context for one shape, with its own stream and memory; from the second batch on a recorded graph.

    A graph holds only as long as its context is not changed, so every shape has a context of its own.
    """

    def __init__(self, trt: Any, cuda: Cuda, engine: Any, profile: int, shape: Shape, errors: list[str]) -> None:
        self._cuda, self._errors = cuda, errors
        self._graph: Any | None = None
        self._is_warm = False
        self._stream = cuda.stream()
        self._memory: list[int] = []
        self._pinned: list[F32] = []
        self._context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if self._context is None:
            raise failure("cannot make a context", errors)
        self._require(self._context.set_optimization_profile_async(profile, self._stream))
        cuda.wait(self._stream)
        self._require(self._context.set_input_shape(INPUT, shape))
        self._source = self._tensor(INPUT, shape)
        self._answer = self._tensor(OUTPUT, tuple(self._context.get_tensor_shape(OUTPUT)))
        scratch = max(1, self._context.update_device_memory_size_for_shapes())
        self._context.set_device_memory(self._allocated(scratch), scratch)

    def start(self, lightness: F32) -> None:
        """Copy ``lightness`` to where the GPU fetches it, and set the GPU to work."""
        self._source[...] = lightness
        if self._graph is None and self._is_warm:
            self._graph = self._cuda.recorded(self._stream, self._work)
        if self._graph is None:
            self._work()
            self._is_warm = True
        else:
            self._cuda.replay(self._graph, self._stream)

    def finish(self) -> F32:
        """Wait for the answer and return a copy of it."""
        self._cuda.wait(self._stream)
        return self._answer.copy()

    def close(self) -> None:
        """Release the context, the stream and all memory."""
        self._cuda.wait(self._stream)
        del self._context
        self._cuda.release(stream=self._stream, memory=self._memory, pinned=self._pinned, graph=self._graph)

    def _work(self) -> None:
        into, out = self._memory[:2]
        self._cuda.upload(into, self._source, self._stream)
        self._require(self._context.execute_async_v3(self._stream))
        self._cuda.download(self._answer, out, self._stream)

    def _tensor(self, name: str, shape: tuple[int, ...]) -> F32:
        if min(shape) < 1:
            raise failure(f"does not know the shape of {name}", [str(shape)])
        array = self._cuda.pinned(shape)
        self._pinned.append(array)
        self._require(self._context.set_tensor_address(name, self._allocated(array.nbytes)))
        return array

    def _allocated(self, size: int) -> int:
        self._memory.append(self._cuda.memory(size))
        return self._memory[-1]

    def _require(self, done: bool) -> None:
        if not done:
            raise failure("refuses a batch", self._errors)
