"""The engine on TensorRT: all of it on a GPU, its own logic on a fake one, its calls against the real signatures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed")

from engines import tensorrt
from engines.base import Setup
from engines.cuda import Cuda, CudaError
from engines.errors import EngineError, MissingDependencyError
from engines.guard import GuardedEngine
from engines.machine import gpu_count
from engines.onnxruntime import open_reference
from engines.tensorrt_plan import profiles
from engines.tensors import F32, GraphSpec, InputSize, TensorSpec
from tests.engines.fake_gpu import FakeCuda, FakeTensorRT
from tests.engines.opening import ab_of, model_of, open_model
from tests.engines.test_contract import scenes
from tests.engines.two import write_two_model

pytestmark = pytest.mark.slow


def open_fake(tiny: Path, setup: Setup, *, trt: FakeTensorRT | None = None) -> tuple[GuardedEngine, FakeTensorRT]:
    trt = trt or FakeTensorRT(FakeCuda())
    engine = tensorrt._opened(trt, trt.cuda, model_of(tiny), setup)  # type: ignore[arg-type]
    return GuardedEngine(engine), trt


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def setup(tmp_path: Path, said: list[str]) -> Setup:
    return Setup(cache=tmp_path, say=said.append)


def test_all_inputs_and_outputs_of_a_network_go_through(tmp_path: Path, setup: Setup) -> None:
    path = write_two_model(tmp_path)
    engine, _ = open_fake(path, setup)
    reference = open_reference(model_of(path))
    for count in (1, 3, 8, 3, 8):
        hints = np.random.default_rng(count).uniform(0, 1, (count, 3, 16, 24)).astype(np.float32)
        inputs = {"lightness": scenes(count, 64, 96), "hints": hints}
        expected = reference.infer(inputs)
        answer = engine.infer(inputs)
        assert set(answer) == set(expected) == {"ab", "logits", "features"}
        for name in expected:
            np.testing.assert_allclose(answer[name], expected[name], atol=0.1)


@pytest.mark.parametrize("count", [1, 3, 8, 13, 16])
def test_a_batch_of_any_size_comes_back_whole_and_in_order(tiny: Path, setup: Setup, count: int) -> None:
    engine, _ = open_fake(tiny, setup)
    reference = open_reference(model_of(tiny))
    for height, width in ((64, 96), (96, 64), (64, 96), (64, 96)):
        batch = scenes(count, height, width)
        np.testing.assert_allclose(ab_of(engine, batch), ab_of(reference, batch), atol=0.1)


def test_every_shape_is_recorded_once_and_replayed(tiny: Path, setup: Setup) -> None:
    engine, trt = open_fake(tiny, setup)
    before = trt.cuda.replays
    for _ in range(5):
        ab_of(engine, scenes(8, 32, 64))
    assert trt.cuda.replays - before == 4


def test_an_answer_outlives_the_next_batch(tiny: Path, setup: Setup) -> None:
    engine, _ = open_fake(tiny, setup)
    answer = ab_of(engine, scenes(2, 32, 64))
    kept = answer.copy()
    ab_of(engine, 100 - scenes(2, 32, 64))
    np.testing.assert_array_equal(answer, kept)


def test_many_shapes_do_not_fill_the_gpu_and_closing_empties_it(tiny: Path, setup: Setup) -> None:
    engine, trt = open_fake(tiny, setup)
    for width in range(32, 32 * 24, 32):
        ab_of(engine, scenes(1, 32, width % 576 + 32))
        assert len(trt.cuda.streams) <= 16
    engine.close()
    assert not trt.cuda.streams
    assert not trt.cuda.held


def test_a_plan_is_built_once_and_kept(tiny: Path, setup: Setup, said: list[str]) -> None:
    first, trt = open_fake(tiny, setup)
    assert any("building a plan of tiny for Fake GPU" in line for line in said)
    second, other = open_fake(tiny, setup)
    assert (len(trt.built), len(other.built)) == (1, 0)
    assert first.spec == second.spec
    other.profiles = trt.profiles
    np.testing.assert_array_equal(ab_of(first, scenes(3, 32, 32)), ab_of(second, scenes(3, 32, 32)))


@pytest.mark.parametrize("change", ["gpu", "version"])
def test_another_gpu_or_version_gets_a_plan_of_its_own(tiny: Path, setup: Setup, change: str) -> None:
    open_fake(tiny, setup)
    trt = FakeTensorRT(FakeCuda("Other GPU" if change == "gpu" else "Fake GPU"))
    if change == "version":
        trt.__version__ = "11.5"  # type: ignore[misc]
    open_fake(tiny, setup, trt=trt)
    assert len(trt.built) == 1


def test_a_kept_plan_that_does_not_load_is_built_again(tiny: Path, setup: Setup, said: list[str]) -> None:
    _, trt = open_fake(tiny, setup)
    trt.built.clear()
    (path,) = (setup.cache or Path()).rglob("*.compiled")
    path.write_bytes(path.read_bytes()[:-100])
    open_fake(tiny, setup, trt=trt)
    assert len(trt.built) == 1
    assert any("damaged" in line for line in said)


SPOILED: dict[str, Callable[[F32], F32]] = {
    "not a number": lambda answer: np.where(answer > answer.mean(), np.float32(np.nan), answer),
    "everything drifts": lambda answer: answer + np.float32(0.5),
    "one pixel is wrong": lambda answer: np.where(answer == answer.max(), answer + 9, answer).astype(np.float32),
    "saturation is lost": lambda answer: answer * np.float32(0.9),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_plan_that_colours_otherwise_is_refused_and_not_kept(
    tiny: Path, setup: Setup, spoil: Callable[[F32], F32]
) -> None:
    trt = FakeTensorRT(FakeCuda(), spoil)
    with pytest.raises(EngineError, match=r"tensorrt: in f16 on Fake GPU its colours are .* from ONNX Runtime's"):
        open_fake(tiny, setup, trt=trt)
    assert not list((setup.cache or Path()).rglob("*.compiled"))
    assert not trt.cuda.streams


def test_a_build_that_fails_says_what_tensorrt_said(tiny: Path, setup: Setup) -> None:
    trt = FakeTensorRT(FakeCuda())
    trt.fails_to_build = True
    with pytest.raises(EngineError, match="cannot build a plan: out of tactics"):
        open_fake(tiny, setup, trt=trt)


def test_a_gpu_that_fails_in_the_middle_is_the_engines_error(tiny: Path, setup: Setup) -> None:
    engine, trt = open_fake(tiny, setup)
    trt.cuda.fails_at = "wait"
    with pytest.raises((EngineError, CudaError), match="cudaErrorIllegalAddress"):
        ab_of(engine, scenes(2, 32, 32))


def test_pictures_larger_than_the_plan_takes_are_an_error(tiny: Path, setup: Setup) -> None:
    engine, _ = open_fake(tiny, setup)
    with pytest.raises(EngineError, match="too large; the plan takes up to 768 x 768"):
        ab_of(engine, np.full((1, 1, 32, 800), 50, np.float32))


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("multiple", [8, 32, 64, 256])
def test_the_profiles_take_every_shape_that_the_pipeline_sends(multiple: int, square: bool) -> None:
    size = InputSize(multiple=multiple, film=160, photo=300, square=square)
    graph = GraphSpec(inputs=(TensorSpec(name="in", channels=1),), outputs=(), size=size)
    found = profiles(graph)
    for profile, short in zip(found, (size.film, size.photo), strict=True):
        for ratio in (0.1, 0.5, 1, 1.33, 1.78, 4):
            assert profile.takes((8, *size.shape(short, width=ratio, height=1)))
            assert profile.takes((1, *size.shape(short, width=ratio, height=1)))
        assert profile.takes(profile.usual)
    assert found[-1].takes((1, multiple, multiple))


def test_a_fixed_network_has_one_profile() -> None:
    size = InputSize(multiple=32, film=512, photo=512, square=True, fixed=512)
    graph = GraphSpec(inputs=(TensorSpec(name="in", channels=3),), outputs=(), size=size, max_batch=1)
    (profile,) = profiles(graph)
    assert profile.least == profile.usual == profile.most == (1, 512, 512)


def test_tensorrt_without_a_gpu_is_an_error_that_says_so(tiny: Path) -> None:
    if gpu_count():
        pytest.skip("there is a GPU")
    with pytest.raises(MissingDependencyError) as caught:
        open_model("tensorrt", str(tiny))
    assert re.search("not installed|no NVIDIA GPU", str(caught.value))
    assert caught.value.advice


# The calls of our code, as the real packages declare them: names of arguments in order, from the first overload on.
BUILDER_HALF = {
    "Builder.__init__": ["logger"],
    "Builder.create_network": ["flags"],
    "Builder.create_builder_config": [],
    "Builder.create_optimization_profile": [],
    "Builder.build_serialized_network": ["network", "config"],
    "OnnxParser.__init__": ["network", "logger"],
    "OnnxParser.parse": ["model"],
    "OnnxParser.get_error": ["index"],
    "OnnxParser.num_errors": None,
    "ParserError.desc": [],
    "IBuilderConfig.add_optimization_profile": ["profile"],
    "IBuilderConfig.progress_monitor": None,
    "IOptimizationProfile.set_shape": ["input", "min", "opt", "max"],
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": None,
}
RUNTIME_HALF = {
    "ILogger.__init__": [],
    "ILogger.log": ["severity", "msg"],
    "ILogger.Severity.ERROR": None,
    "ILogger.Severity.INTERNAL_ERROR": None,
    "IProgressMonitor.__init__": [],
    "IProgressMonitor.phase_start": ["phase_name", "parent_phase", "num_steps"],
    "IProgressMonitor.step_complete": ["phase_name", "step"],
    "IProgressMonitor.phase_finish": ["phase_name"],
    "Runtime.__init__": ["logger"],
    "Runtime.deserialize_cuda_engine": ["serialized_engine"],
    "ICudaEngine.num_io_tensors": None,
    "ICudaEngine.get_tensor_name": ["index"],
    "ICudaEngine.get_tensor_mode": ["name"],
    "ICudaEngine.get_tensor_dtype": ["name"],
    "DataType.HALF": None,
    "ICudaEngine.create_execution_context": ["strategy"],
    "ExecutionContextAllocationStrategy.USER_MANAGED": None,
    "TensorIOMode.INPUT": None,
    "IExecutionContext.set_optimization_profile_async": ["profile_index", "stream_handle"],
    "IExecutionContext.set_input_shape": ["name", "shape"],
    "IExecutionContext.get_tensor_shape": ["name"],
    "IExecutionContext.set_tensor_address": ["name", "memory"],
    "IExecutionContext.update_device_memory_size_for_shapes": [],
    "IExecutionContext.set_device_memory": ["memory", "size"],
    "IExecutionContext.execute_async_v3": ["stream_handle"],
}


def declared(found: Any) -> list[str]:
    """Return the arguments of a function of pybind11's, read from its first signature."""
    signature = re.search(r"\(self: [^,)]+(?:, )?(.*?)\) -> ", found.__doc__)
    assert signature, found.__doc__
    return re.findall(r"(?:^|, )(\w+): ", signature[1])


@pytest.mark.parametrize(
    ("package", "calls"),
    [("tensorrt_bindings", BUILDER_HALF | RUNTIME_HALF), ("tensorrt_lean_bindings", RUNTIME_HALF)],
)
def test_tensorrt_has_what_we_call(package: str, calls: dict[str, list[str] | None]) -> None:
    bindings = pytest.importorskip(package, reason=f"{package} does not import", exc_type=ImportError)
    for call, arguments in calls.items():
        found: Any = bindings
        for name in call.split("."):
            found = getattr(found, name)
        assert arguments is None or declared(found)[: len(arguments)] == arguments, call


# cuda-python 12 cannot even ask; either way it has looked at the arguments first.
NO_DRIVER = r"cuda\w+: cudaError|libcuda"


def test_cuda_python_takes_what_we_give_it() -> None:
    pytest.importorskip("cuda.bindings.runtime", reason="cuda-python is not installed", exc_type=ImportError)
    if gpu_count():
        pytest.skip("there is a GPU, and the engine's own tests call it")
    cuda = Cuda()
    array = np.zeros((1, 1, 4, 4), np.float32)
    calls: list[Callable[[], object]] = [
        cuda.device,
        cuda.stream,
        lambda: cuda.wait(1),
        lambda: cuda.memory(64),
        lambda: cuda.pinned((1, 1, 4, 4), np.float32),
        lambda: cuda.upload(64, array, 1),
        lambda: cuda.download(array, 64, 1),
        lambda: cuda.recorded(1, lambda: None),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match=NO_DRIVER):
            call()
    for name, arguments in {
        "cudaGraphLaunch": (cuda._runtime.cudaGraphExec_t(0), 1),
        "cudaGraphInstantiate": (cuda._runtime.cudaGraph_t(0), 0),
        "cudaGraphDestroy": (cuda._runtime.cudaGraph_t(0),),
        "cudaGraphExecDestroy": (cuda._runtime.cudaGraphExec_t(0),),
        "cudaFree": (64,),
        "cudaFreeHost": (64,),
        "cudaStreamDestroy": (1,),
    }.items():
        with pytest.raises(RuntimeError, match=NO_DRIVER):
            cuda._call(name, *arguments)


@pytest.mark.gpu
def test_on_a_gpu_a_plan_is_built_kept_and_loaded(tiny: Path, setup: Setup, said: list[str]) -> None:
    pytest.importorskip("tensorrt", reason="TensorRT is not installed", exc_type=ImportError)
    if not gpu_count():
        pytest.skip("there is no NVIDIA GPU")
    built, _ = open_model("tensorrt", str(tiny), setup=setup)
    loaded, _ = open_model("tensorrt", str(tiny), setup=setup)
    assert len([line for line in said if "building a plan" in line]) == 1
    for count in (1, 3, 8, 16, 16, 16):
        batch = scenes(count, 96, 160)
        np.testing.assert_array_equal(ab_of(built, batch), ab_of(loaded, batch))
    built.close()
    loaded.close()
