"""The engine interface: one call, one close, and its capabilities as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engines.tensors import GraphSpec, Tensors
from engines.weights import Weights


def silent(_: str) -> None:
    """Ignore a line of progress."""


def unrecorded(_name: str, _reason: str) -> None:
    """Ignore what was passed over."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How to open an engine.

    ``device`` is what the runtime should use, such as ``cpu``, ``cuda`` or ``openvino:gpu``; "auto" leaves it to the
    runtime's own order. ``threads`` is the number of CPU threads per batch, None for the runtime's own choice; engines
    on a GPU ignore it. ``cache`` is a folder for compiled models, see `engines.cache.cache_folder`; with None nothing
    is kept. ``say`` receives messages while the engine opens: long work in progress, an unusable cache. ``pass_over``
    receives name and reason of every device or precision that an engine tried without success before the one it uses;
    `engines.registry` adds these to its choice.
    """

    device: str = "auto"
    threads: int | None = None
    cache: Path | None = None
    say: Callable[[str], None] = silent
    pass_over: Callable[[str, str], None] = unrecorded


PLAIN = Setup()


@dataclass(frozen=True)
class EngineSpec:
    """Identity and capabilities of an opened engine."""

    name: str
    runtime: str
    device: str
    precision: str
    model: str
    weights_sha256: str
    graph: GraphSpec


class Engine(Protocol):
    """A runtime with weights loaded: named tensors in, named tensors out, regardless of their meaning.

    The tensor contract, enforced by `engines.guard.GuardedEngine`: all inputs of ``spec.graph`` by name, C-contiguous
    float32 with four axes, in the sizes and the range stated by the graph, N in 1..``max_batch``. The result holds all
    outputs of the graph by name, float32, in their sizes, all finite.
    """

    @property
    def spec(self) -> EngineSpec:
        """Capabilities of this engine."""
        ...

    def infer(self, inputs: Tensors) -> Tensors:
        """Return the outputs by name for the inputs by name. Raises `EngineError`."""
        ...

    def close(self) -> None:
        """Release the runtime; calling it twice is harmless, and `infer` afterwards raises `EngineError`."""
        ...


@dataclass(frozen=True)
class Model:
    """What an engine opens: weights, their inputs and outputs, and the check for reduced precision.

    ``accept`` raises `EngineError` unless an engine's outputs match those of a float32 reference. ``is_ours`` means
    that the network was trained and evaluated for this program.
    """

    weights: Weights
    graph: GraphSpec
    accept: Callable[[Engine], None]
    is_ours: bool = False


def describe(model: Model, *, name: str, runtime: str, device: str, precision: str) -> EngineSpec:
    """Return the capabilities of an engine that runs ``model``."""
    return EngineSpec(
        name=name,
        runtime=runtime,
        device=device,
        precision=precision,
        model=model.weights.name,
        weights_sha256=model.weights.sha256,
        graph=model.graph,
    )
