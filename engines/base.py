"""What every engine is: one call, one close, and its capabilities as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engines.tensors import GraphSpec, Tensors
from engines.weights import Weights


def silent(_: str) -> None:
    """Take a line of progress, and do nothing with it."""


def unrecorded(_name: str, _reason: str) -> None:
    """Take what was passed over, and do nothing with it."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How an engine is to be opened.

    ``device`` names what the runtime is to use, such as ``cpu``, ``cuda`` or ``openvino:gpu``; "auto" leaves it to the
    runtime's own order. ``threads`` is how many CPU threads work on a batch, None as many as the runtime thinks best;
    engines on a GPU take no notice. ``cache`` is a folder for what was compiled, see `engines.cache.cache_folder`;
    None keeps nothing. ``say`` gets what is worth knowing while the engine opens: long work under way, a cache that
    cannot be used. ``pass_over`` gets name and reason of every device or precision that an engine tried in vain before
    the one it uses; `engines.registry` puts these into its choice.
    """

    device: str = "auto"
    threads: int | None = None
    cache: Path | None = None
    say: Callable[[str], None] = silent
    pass_over: Callable[[str, str], None] = unrecorded


PLAIN = Setup()


@dataclass(frozen=True)
class EngineSpec:
    """What an opened engine is and what it runs."""

    name: str
    runtime: str
    device: str
    precision: str
    model: str
    weights_sha256: str
    graph: GraphSpec


class Engine(Protocol):
    """A runtime with weights loaded: named tensors in, named tensors out, whatever they mean.

    The tensor contract, kept by `engines.guard.GuardedEngine`: all inputs of ``spec.graph`` by name, C-contiguous
    float32 of four axes, in the sizes and the range that the graph states, N in 1..``max_batch``. The answer holds all
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
    """What an engine is given to open: weights, what they take and answer, and who judges reduced precision.

    ``accept`` raises `EngineError` unless an engine's answers are those of a float32 reference. ``is_ours`` says that
    the network was trained and measured for this program.
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
