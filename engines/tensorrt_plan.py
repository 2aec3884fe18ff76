"""TensorRT's side of a plan: built from our ONNX graph in float16, for the shapes that the pipeline sends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engines.errors import EngineError
from engines.ring import LARGEST_PIECE, Shape
from engines.weights import INPUT

NAME = "tensorrt"
PRECISION = "f16"
_SECONDS_BETWEEN_LINES = 10


@dataclass(frozen=True)
class Profile:
    """Shapes (N, 1, H, W) that one optimisation profile of a plan takes: up to ``most``, tuned for ``usual``."""

    least: Shape
    usual: Shape
    most: Shape

    def takes(self, shape: Sequence[int]) -> bool:
        """Return whether ``shape`` lies between the least and the most."""
        bounds = zip(self.least, shape, self.most, strict=True)
        return all(least <= side <= most for least, side, most in bounds)


def profiles(multiple: int) -> tuple[Profile, ...]:
    """Return what a plan is built for, the smallest first: sketches of films, then of photographs.

    Their shorter sides are 160 and 256, their longer ones at most three times that; either may lie or stand.
    """

    def shape(count: int, height: int, width: int) -> Shape:
        return count, 1, *(-(-side // multiple) * multiple for side in (height, width))  # type: ignore[return-value]

    return tuple(
        Profile(shape(1, 1, 1), shape(LARGEST_PIECE, short, usual), shape(LARGEST_PIECE, 3 * short, 3 * short))
        for short, usual in ((160, 224), (256, 384))
    )


def log_to(trt: Any, lines: list[str]) -> Any:
    """Return a logger for TensorRT that appends its errors to ``lines``."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                lines.append(message)

    return Log()


def build(trt: Any, graph: bytes, *, multiple: int, log: Any, errors: list[str], say: Callable[[str], None]) -> Any:
    """Return a plan, bytes as TensorRT's ``IHostMemory``, for the ONNX graph ``graph``, whose types are kept.

    Takes minutes and tells ``say`` how far it is. Raises `EngineError`, with what TensorRT said, if it cannot.
    """
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph):
        said = "; ".join(parser.get_error(number).desc() for number in range(parser.num_errors))
        raise failure("cannot read the weights", [said])
    config = builder.create_builder_config()
    config.progress_monitor = _progress(trt, say)
    for one in profiles(multiple):
        profile = builder.create_optimization_profile()
        profile.set_shape(INPUT, one.least, one.usual, one.most)
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise failure("cannot build a plan", errors)
    return plan


def failure(what: str, said: Sequence[str]) -> EngineError:
    """Return an error that TensorRT ``what``, with the last of what it ``said`` about it."""
    return EngineError(
        f"{NAME}: {what}: {said[-1] if said else 'it gives no reason'}",
        advice="Use --engine auto to go on with another one.",
    )


def _progress(trt: Any, say: Callable[[str], None]) -> Any:
    """Return a monitor that tells ``say`` of the outermost phase under way, every ten seconds at most."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._told = time.monotonic()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            steps = self._steps.get(phase_name)
            if steps and time.monotonic() - self._told >= _SECONDS_BETWEEN_LINES:
                self._told = time.monotonic()
                say(f"{NAME}: {phase_name}, {step + 1} of {steps}")
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
