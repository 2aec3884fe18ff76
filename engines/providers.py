"""The ONNX Runtime execution providers that we use, fastest first, in a single table; nothing else knows their names.

An installed package of ONNX Runtime offers some of them. Which of these have run where is in docs/engines.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CPU, GPU, NPU = "cpu", "gpu", "npu"


@dataclass(frozen=True, kw_only=True)
class Provider:
    """An execution provider: ``name`` is ONNX Runtime's, ``device`` ours.

    ``precision`` is its precision of computation. ``on_request`` providers come with packages installed for other
    reasons, and are used only if their device is requested. ``cache_option`` is the option for the folder of compiled
    models; ``keeps_patterns`` is False if memory patterns must be disabled; ``needs_cuda`` means that it needs NVIDIA's
    libraries, which may be in Python packages.
    """

    name: str
    device: str
    kind: str
    precision: str
    options: Mapping[str, str] = field(default_factory=dict)
    on_request: bool = False
    cache_option: str | None = None
    keeps_patterns: bool = True
    needs_cuda: bool = False


PROVIDERS: tuple[Provider, ...] = (
    Provider(
        name="TensorrtExecutionProvider",
        device="tensorrt",
        kind=GPU,
        precision="f16",
        options={"trt_fp16_enable": "1", "trt_engine_cache_enable": "1", "trt_timing_cache_enable": "1"},
        cache_option="trt_engine_cache_path",
        # Our own TensorRT engine keeps verified plans; this provider builds a plan for every new shape.
        on_request=True,
        needs_cuda=True,
    ),
    # TF32 keeps 10 bits of each factor, as float16 does, with the range of float32.
    Provider(
        name="CUDAExecutionProvider",
        device="cuda",
        kind=GPU,
        precision="tf32",
        options={"use_tf32": "1", "cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"},
        needs_cuda=True,
    ),
    Provider(name="MIGraphXExecutionProvider", device="migraphx", kind=GPU, precision="f32"),
    Provider(name="ROCMExecutionProvider", device="rocm", kind=GPU, precision="f32"),
    Provider(name="DmlExecutionProvider", device="directml", kind=GPU, precision="f32", keeps_patterns=False),
    Provider(
        name="CoreMLExecutionProvider",
        device="coreml",
        kind=GPU,
        precision="f16",
        options={"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"},
        cache_option="ModelCacheDirectory",
        on_request=True,
    ),
    Provider(
        name="OpenVINOExecutionProvider",
        device="openvino-gpu",
        kind=GPU,
        precision="f16",
        options={"device_type": "GPU"},
        cache_option="cache_dir",
        on_request=True,
    ),
    Provider(
        name="OpenVINOExecutionProvider",
        device="openvino-npu",
        kind=NPU,
        precision="f16",
        options={"device_type": "NPU"},
        cache_option="cache_dir",
        on_request=True,
    ),
    Provider(name="CPUExecutionProvider", device=CPU, kind=CPU, precision="f32"),
)
# Packages of ONNX Runtime that are only installed for the sake of an accelerator.
ACCELERATED_PACKAGES = (
    "onnxruntime-gpu",
    "onnxruntime-migraphx",
    "onnxruntime-rocm",
    "onnxruntime-directml",
)
DEVICES = frozenset(one.device for one in PROVIDERS) | {one.kind for one in PROVIDERS}


def candidates(device: str) -> tuple[Provider, ...]:
    """Return the providers to try for a device, in order: by its own name, its kind, or "auto"."""
    if device == "auto":
        return tuple(one for one in PROVIDERS if not one.on_request)
    return tuple(one for one in PROVIDERS if device in (one.device, one.kind))
