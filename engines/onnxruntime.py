"""ONNX Runtime: on the CPU wherever Python runs, and on the accelerator that its installed package supports."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from engines import optional
from engines.base import PLAIN, EngineSpec, Model, Setup, describe
from engines.errors import EngineError
from engines.machine import cpu_name
from engines.providers import ACCELERATED_PACKAGES, CPU, PROVIDERS, Provider, candidates
from engines.signature import failures, reason, require_ports
from engines.tensors import Tensors

logger = logging.getLogger(__name__)

NAME = "onnxruntime"
_ERRORS_ONLY = 3
# It crashes ONNX Runtime 1.32, with the process, in DDColor with float16 inside. In float32 it gains a tenth in speed.
_FATAL = ["NchwcTransformer"]


def check() -> None:
    """Raise `MissingDependencyError` if ONNX Runtime is not installed."""
    optional.require("onnxruntime", install=optional.install())


def is_accelerated() -> bool:
    """Return whether a package of ONNX Runtime for an accelerator is installed; imports nothing."""
    installed = {(one.name or "").lower().replace("_", "-") for one in metadata.distributions()}
    return not installed.isdisjoint(ACCELERATED_PACKAGES)


def open_onnxruntime(model: Model, setup: Setup = PLAIN) -> OnnxRuntimeEngine:
    """Load ``model`` on the first provider for ``setup.device`` that works (`engines.providers`).

    ``setup.pass_over`` receives those that do not. Raises `MissingDependencyError` if ONNX Runtime does not import,
    `EngineError` if no provider accepts the graph or its colours differ from the CPU's (`Model.accept`), `WeightsError`
    for altered weights.
    """
    return _first_of(candidates(setup.device), model, setup)


def open_accelerated(model: Model, setup: Setup = PLAIN) -> OnnxRuntimeEngine:
    """Load ``model`` on an accelerator, or raise as `open_onnxruntime` does; never on the CPU."""
    return _first_of([one for one in candidates(setup.device) if one.kind != CPU], model, setup)


def open_reference(model: Model, setup: Setup = PLAIN) -> OnnxRuntimeEngine:
    """Load ``model`` on the CPU in float32: the reference for all other engines."""
    return _open(PROVIDERS[-1], model, setup)


def _first_of(wanted: Sequence[Provider], model: Model, setup: Setup) -> OnnxRuntimeEngine:
    onnxruntime = optional.onnxruntime()
    offered = set(onnxruntime.get_available_providers())
    logger.debug("providers of this package: %s; wanted: %s", sorted(offered), [one.name for one in wanted])
    refused: list[str] = []
    for provider in (one for one in wanted if one.name in offered):
        try:
            return _open(provider, model, setup)
        except EngineError as error:
            if provider is wanted[-1] and not refused:
                raise
            refused.append(f"{provider.device}: {error}")
            setup.pass_over(f"{NAME} on {provider.device}", str(error))
    raise EngineError(
        f"{NAME}: nothing that its package offers ({', '.join(sorted(offered))}) works here as {setup.device}"
        + "".join(f"; {one}" for one in refused),
        advice="Install the package of ONNX Runtime for this accelerator, or use --device cpu.",
    )


def _open(provider: Provider, model: Model, setup: Setup) -> OnnxRuntimeEngine:
    onnxruntime = optional.onnxruntime()
    content = model.weights.read()
    if provider.needs_cuda:
        _load_cuda(onnxruntime, setup)
    try:
        session = onnxruntime.InferenceSession(
            content,
            _options(onnxruntime, provider, setup),
            providers=[(provider.name, _settings(provider, setup))],
            disabled_optimizers=None if model.is_ours else _FATAL,
            # Otherwise it falls back to the CPU on its own, now or in the middle of a film, and prints a line about it.
            enable_fallback=0,
        )
    except failures() as error:
        # Others are skipped without an error, see below.
        if "Failed to load library" in str(error):
            raise _absent(f"the libraries that {provider.device} needs do not load: {reason(error)}") from error
        raise EngineError(
            f"{NAME}: cannot open {model.weights.path} on {provider.device}: {reason(error)}",
            advice="Export the weights again, or use another --device.",
        ) from error
    # ONNX Runtime skips a provider without its libraries or its device, and uses the CPU instead.
    if session.get_providers()[0] != provider.name:
        raise _absent(f"{provider.device} does not start here: its device is missing, or libraries that it needs")
    inputs, outputs = ([one.name for one in side] for side in (session.get_inputs(), session.get_outputs()))
    require_ports(inputs, outputs, model.graph, model.weights)
    runtime = f"ONNX Runtime {onnxruntime.__version__}"
    device = cpu_name() if provider.kind == CPU else provider.device
    spec = describe(model, name=NAME, runtime=runtime, device=device, precision=provider.precision)
    engine = OnnxRuntimeEngine(session, spec)
    if provider.kind != CPU:
        model.accept(engine)
    return engine


def _absent(what: str) -> EngineError:
    return EngineError(
        f"{NAME}: {what}",
        advice="Install the driver and the libraries of its maker (docs/engines.md), or use --device cpu.",
    )


def _load_cuda(onnxruntime: Any, setup: Setup) -> None:
    """Load NVIDIA's libraries from Python packages, where pip installs them and no loader looks."""
    # Problems are printed, possibly into a document on standard output.
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        onnxruntime.preload_dlls()
    for line in printed.getvalue().splitlines():
        setup.say(f"{NAME}: {line}")


def _options(onnxruntime: Any, provider: Provider, setup: Setup) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    if setup.threads is not None:
        options.intra_op_num_threads = setup.threads
    # Waiting threads must leave the cores to the decoder and the encoder instead of spinning.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without the arena, memory is that of the current batch, not of the largest one so far (675 against 1030 MB for 16
    # pictures of 448 x 256), at the same speed.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = provider.keeps_patterns
    return options


def _settings(provider: Provider, setup: Setup) -> dict[str, str]:
    settings = dict(provider.options)
    if provider.cache_option is not None and setup.cache is not None:
        folder = Path(setup.cache, NAME, provider.device)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            setup.say(f"{folder}: compiled models cannot be kept ({error.strerror})")
        else:
            settings[provider.cache_option] = str(folder)
    return settings


class OnnxRuntimeEngine:
    """An `Engine` on ONNX Runtime, to be wrapped in a `GuardedEngine`; make one with `open_onnxruntime`."""

    def __init__(self, session: Any, spec: EngineSpec) -> None:
        """Use an open ONNX Runtime session."""
        self._session = session
        self._spec = spec
        self._half = {one.name for one in spec.graph.inputs if one.half}
        self._outputs = [one.name for one in spec.graph.outputs]
        self._failures = failures()

    @property
    def spec(self) -> EngineSpec:
        """Capabilities of this engine."""
        return self._spec

    def infer(self, inputs: Tensors) -> Tensors:
        """Return the outputs by name, see `engines.base.Engine`."""
        feeds = {name: array.astype(np.float16) if name in self._half else array for name, array in inputs.items()}
        try:
            outputs = self._session.run(self._outputs, feeds)
        except self._failures as error:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
            raise EngineError(f"{NAME}: failed on a batch of {shapes}: {error}") from error
        return {name: np.asarray(one, np.float32) for name, one in zip(self._outputs, outputs, strict=True)}

    def close(self) -> None:
        """Release the session."""
        del self._session
