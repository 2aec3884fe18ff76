"""Build TensorRT plans from ONNX graphs in float16, for the shapes that the pipeline sends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from engines.errors import EngineError
from engines.ring import LARGEST_PIECE
from engines.tensors import LONGEST_RATIO, GraphSpec

NAME = "tensorrt"
PRECISION = "f16"
_SECONDS_BETWEEN_LINES = 10
# Aspect ratio of a film or photograph between 4 : 3 and 3 : 2.
_USUAL_RATIO = 1.4

# Count, height and width of model inputs.
Size: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class Profile:
    """Model inputs covered by one optimisation profile of a plan: up to ``most``, tuned for ``usual``."""

    least: Size
    usual: Size
    most: Size

    def takes(self, size: Sequence[int]) -> bool:
        """Return whether ``size`` lies between the minimum and the maximum."""
        bounds = zip(self.least, size, self.most, strict=True)
        return all(least <= side <= most for least, side, most in bounds)


def profiles(graph: GraphSpec) -> tuple[Profile, ...]:
    """Return the profiles a plan is built for, smallest first: model inputs of films, then of photographs.

    The longer side is at most three times the shorter one, in landscape or portrait.
    """
    size, piece = graph.size, min(LARGEST_PIECE, graph.max_batch)
    found = []
    for short in sorted({size.rounded(size.film), size.rounded(size.photo)}):
        rows, columns = size.shape(short, width=_USUAL_RATIO, height=1)
        most = max(size.shape(short, width=LONGEST_RATIO, height=1))
        found.append(Profile((1, size.smallest, size.smallest), (piece, rows, columns), (piece, most, most)))
    return tuple(found)


def log_to(trt: Any, lines: list[str]) -> Any:
    """Return a logger for TensorRT that appends its errors to ``lines``."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                lines.append(message)

    return Log()


def build(
    trt: Any, content: bytes, graph: GraphSpec, *, log: Any, errors: list[str], say: Callable[[str], None]
) -> Any:
    """Return a plan, bytes as TensorRT's ``IHostMemory``, for the ONNX file ``content``, whose types are kept.

    Takes minutes and reports progress to ``say``. Raises `EngineError`, with TensorRT's messages, if it fails.
    """
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(content):
        messages = "; ".join(parser.get_error(number).desc() for number in range(parser.num_errors))
        raise failure("cannot read the weights", [messages])
    config = builder.create_builder_config()
    config.progress_monitor = _progress(trt, say)
    for one in profiles(graph):
        profile = builder.create_optimization_profile()
        for tensor in graph.inputs:
            profile.set_shape(tensor.name, *(tensor.shape(*size) for size in (one.least, one.usual, one.most)))
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise failure("cannot build a plan", errors)
    return plan


def failure(what: str, messages: Sequence[str]) -> EngineError:
    """Return an error saying that TensorRT ``what``, with the last of its ``messages``."""
    return EngineError(
        f"{NAME}: {what}: {messages[-1] if messages else 'it gives no reason'}",
        advice="Use --engine auto to continue with another one.",
    )


def _progress(trt: Any, say: Callable[[str], None]) -> Any:
    """Return a monitor that reports the current outermost phase to ``say``, at most every ten seconds."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._reported = time.monotonic()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            steps = self._steps.get(phase_name)
            if steps and time.monotonic() - self._reported >= _SECONDS_BETWEEN_LINES:
                self._reported = time.monotonic()
                say(f"{NAME}: {phase_name}, {step + 1} of {steps}")
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
