"""Which device runs a network: asked for, chosen, or refused; never in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from engines.base import Setup
from engines.errors import EngineError
from engines.machine import gpu_count
from engines.onnxruntime import is_accelerated, open_accelerated
from engines.providers import DEVICES, PROVIDERS, candidates
from engines.registry import Machine, fastest_first
from tests.engines.opening import ab_of, model_of, open_model

without_gpu = pytest.mark.skipif(gpu_count() > 0, reason="there is a GPU")


def test_the_table_is_in_order_and_ends_on_the_cpu() -> None:
    kinds = [one.kind for one in PROVIDERS]
    assert kinds.index("cpu") == len(kinds) - 1
    assert candidates("auto")[-1].device == "cpu"
    assert candidates("auto")[0].device == "cuda"
    assert {one.kind for one in candidates("gpu")} == {"gpu"}
    assert [one.name for one in candidates("directml")] == ["DmlExecutionProvider"]


def test_onnx_runtime_knows_every_name_in_the_table() -> None:
    assert {one.name for one in PROVIDERS} - {"ROCMExecutionProvider"} <= set(onnxruntime.get_all_providers())


@without_gpu
@pytest.mark.parametrize("device", ["cuda", "gpu", "npu", "directml", "coreml", "tensorrt"])
def test_a_device_that_is_not_there_is_an_error_never_the_cpu(tiny: Path, device: str) -> None:
    with pytest.raises(EngineError, match=f"works here as {device}") as caught:
        open_model("onnxruntime", tiny, setup=Setup(device=device))
    assert "--device cpu" in caught.value.advice


@without_gpu
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_whose_libraries_do_not_load_is_told_and_passed_over(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime leaves such a provider out without an error: here it is one that is in no package for CPUs."""
    offered = [*onnxruntime.get_available_providers(), "CUDAExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    engine, choice = open_model("onnxruntime", tiny)
    assert engine.spec.precision == "f32"
    ((name, reason),) = choice.rejected
    assert name == "onnxruntime on cuda"
    assert "cuda does not start here: its device is missing, or libraries that it needs" in reason
    with pytest.raises(EngineError, match="cuda"):
        open_accelerated(model_of(tiny), Setup())


def test_a_missing_library_of_a_provider_is_named_with_what_to_do(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words are those of ``onnxruntime-migraphx`` 1.27.1, which does not skip itself as others do."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    said = (
        "/src/provider_bridge_ort.cc:1988 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() "
        "[ONNXRuntimeError] : 1 : FAIL : Failed to load library libonnxruntime_providers_migraphx.so with error: "
        "libmigraphx_c.so.3: cannot open shared object file: No such file or directory\n"
    )

    def refuse(*_words: object, **_options: object) -> None:
        raise state.Fail(said)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["MIGraphXExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(EngineError, match=r"libraries that migraphx needs do not load: Failed .* libmigraphx_c\.so\.3"):
        open_model("onnxruntime", tiny, setup=Setup(device="migraphx"))


@pytest.mark.parametrize("name", ["auto", "onnxruntime", "openvino", "tensorrt"])
def test_an_unknown_device_lists_the_known_ones(tiny: Path, name: str) -> None:
    with pytest.raises(EngineError, match="no device 'abacus'") as caught:
        open_model(name, tiny, setup=Setup(device="abacus"))
    assert all(device in caught.value.advice for device in ("auto", "cpu", "gpu", "cuda"))


@pytest.mark.parametrize(("name", "device"), [("openvino", "cuda"), ("tensorrt", "cpu"), ("tensorrt", "directml")])
def test_an_engine_is_not_asked_for_devices_of_others(tiny: Path, name: str, device: str) -> None:
    with pytest.raises(EngineError, match=f"{name} does not run on '{device}'"):
        open_model(name, tiny, setup=Setup(device=device))


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["auto", "onnxruntime", "openvino"])
def test_the_cpu_can_be_asked_for(tiny: Path, name: str) -> None:
    pytest.importorskip("openvino")
    engine, choice = open_model(name, tiny, setup=Setup(device="cpu"))
    assert choice.rejected == ()
    assert ab_of(engine, np.full((1, 1, 32, 32), 50, np.float32)).shape == (1, 2, 8, 8)
    engine.close()


def test_auto_asks_only_engines_that_have_the_device() -> None:
    assert [entry.name for entry in fastest_first("cpu")] == ["openvino", "onnxruntime"]
    assert [entry.name for entry in fastest_first("gpu")] == ["tensorrt", "onnxruntime", "openvino"]
    assert [entry.name for entry in fastest_first("cuda")] == ["tensorrt", "onnxruntime"]
    assert [entry.name for entry in fastest_first("directml")] == ["onnxruntime"]
    assert [entry.name for entry in fastest_first("npu")] == ["onnxruntime", "openvino"]
    assert all(fastest_first(device) for device in DEVICES)


def test_a_package_for_an_accelerator_puts_it_before_the_cpu() -> None:
    assert not is_accelerated()
    names = [entry.name for entry in fastest_first(machine=Machine(gpus=0, is_accelerated=True))]
    assert names == ["onnxruntime", "openvino", "onnxruntime"]


@without_gpu
def test_auto_without_the_device_tells_every_reason_and_what_to_do(tiny: Path) -> None:
    with pytest.raises(EngineError, match="no engine works on device 'gpu'") as caught:
        open_model("auto", tiny, setup=Setup(device="gpu"))
    assert all(name in str(caught.value) for name in ("tensorrt:", "onnxruntime:", "openvino:"))
    assert "--device auto" in caught.value.advice


@pytest.mark.parametrize("device", ["gpu", "npu"])
def test_openvino_without_that_device_says_so(tiny: Path, device: str) -> None:
    openvino = pytest.importorskip("openvino")
    if device.upper() in openvino.Core().available_devices:
        pytest.skip(f"there is such a {device}")
    with pytest.raises(EngineError, match=f"no {device.upper()} that it can use"):
        open_model("openvino", tiny, setup=Setup(device=device))


@pytest.mark.gpu
@pytest.mark.parametrize("device", sorted({one.device for one in PROVIDERS if one.kind != "cpu"}))
def test_every_provider_that_is_here_colours_as_the_cpu_does(tiny: Path, device: str) -> None:
    """Opening is the test: what does not colour alike is refused. Run by ``pytest -m gpu`` on each kind of machine."""
    if not {one.name for one in candidates(device)} & set(onnxruntime.get_available_providers()):
        pytest.skip(f"ONNX Runtime's package here has no {device}")
    for name in (str(tiny), "fast"):
        engine, _ = open_model("onnxruntime", name, setup=Setup(device=device))
        assert engine.spec.device == device
        engine.close()


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["gpu", "npu"])
def test_openvino_colours_on_a_gpu_or_npu_that_is_here_as_the_cpu_does(tiny: Path, device: str) -> None:
    """As above, for the engine ``openvino``: Intel's devices need no package of ONNX Runtime."""
    openvino = pytest.importorskip("openvino")
    if device.upper() not in {one.partition(".")[0] for one in openvino.Core().available_devices}:
        pytest.skip(f"OpenVINO finds no {device}")
    for name in (str(tiny), "fast"):
        engine, _ = open_model("openvino", name, setup=Setup(device=device))
        assert engine.spec.precision == "f16"
        engine.close()
