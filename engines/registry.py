"""The engines there are, and how one is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from engines import onnxruntime, openvino, tensorrt, torch
from engines.base import PLAIN, Engine, Setup
from engines.errors import EngineError, MissingDependencyError
from engines.guard import GuardedEngine
from engines.machine import gpu_count
from engines.weights import Weights, load_weights

AUTO = "auto"


@dataclass(frozen=True)
class Entry:
    """An engine that can be asked for by name.

    ``check`` raises `MissingDependencyError` if this machine lacks something that the engine needs, and costs no
    import. ``open`` loads weights and raises `MissingDependencyError`, `EngineError` or `WeightsError`.
    """

    name: str
    description: str
    check: Callable[[], None]
    open: Callable[[Weights, Setup], Engine]


@dataclass(frozen=True)
class EngineChoice:
    """Which engine was opened, why, and which faster ones were passed over: pairs of name and reason."""

    engine: str
    reason: str
    rejected: tuple[tuple[str, str], ...] = ()


_ON_CPU: tuple[Entry, ...] = (
    Entry(openvino.NAME, "Intel's OpenVINO: the fastest on CPUs", openvino.check, openvino.open_openvino),
    Entry(onnxruntime.NAME, "ONNX Runtime: any CPU", onnxruntime.check, onnxruntime.open_onnxruntime),
    Entry(torch.NAME, "PyTorch: on CUDA or any CPU", torch.check, torch.open_torch),
)
_ON_GPU: tuple[Entry, ...] = (
    Entry(tensorrt.NAME, "NVIDIA's TensorRT: the fastest on its GPUs", tensorrt.check, tensorrt.open_tensorrt),
    Entry(torch.NAME, "PyTorch on CUDA", torch.check, partial(torch.open_torch, device="cuda")),
)
ENTRIES: tuple[Entry, ...] = (*_ON_CPU, _ON_GPU[0])


def fastest_first() -> tuple[Entry, ...]:
    """Return what "auto" tries on this machine, in order: engines of the GPU if there is one, then of the CPU.

    Without a GPU those of the GPU are no choice that was passed over, and PyTorch comes last.
    """
    if not gpu_count():
        return _ON_CPU
    on_gpu = {entry.name for entry in _ON_GPU}
    return (*_ON_GPU, *(entry for entry in _ON_CPU if entry.name not in on_gpu))


def open_engine(
    name: str, model: str, *, setup: Setup = PLAIN, extra: Sequence[Entry] = ()
) -> tuple[Engine, EngineChoice]:
    """Open the engine ``name`` with the weights ``model``, a name or a path (see `engines.weights.load_weights`).

    "auto" takes the first of `fastest_first` that works on this machine, tried out on one small picture; those it
    passed over are in the choice. Any other name is strict: that engine or an error. ``extra`` entries are tried
    before our own and hide those of the same name. Raises `WeightsError`, `MissingDependencyError` and `EngineError`.
    """
    ours = fastest_first() if name == AUTO else ENTRIES
    entries = (*extra, *(one for one in ours if one.name not in {new.name for new in extra}))
    if name == AUTO:
        return _first_that_works(entries, load_weights(model), setup)
    entry = _find(name, entries)
    entry.check()
    engine = _open(entry, load_weights(model), setup)
    return engine, EngineChoice(entry.name, f"{_portrait(engine)}, as asked for")


def _find(name: str, entries: Sequence[Entry]) -> Entry:
    for entry in entries:
        if entry.name == name:
            return entry
    names = ", ".join([AUTO, *(entry.name for entry in entries)])
    raise EngineError(f"there is no engine {name!r}", advice=f"Use one of: {names}.")


def _first_that_works(entries: Sequence[Entry], weights: Weights, setup: Setup) -> tuple[Engine, EngineChoice]:
    rejected: list[tuple[str, str]] = []
    for entry in entries:
        try:
            entry.check()
            engine = _open(entry, weights, setup)
        except (EngineError, MissingDependencyError) as error:
            rejected.append((entry.name, str(error)))
            continue
        reason = f"{_portrait(engine)}, the fastest that works here"
        return engine, EngineChoice(entry.name, reason, tuple(rejected))
    told = "; ".join(f"{name}: {reason}" for name, reason in rejected)
    raise EngineError(f"no engine works on this machine ({told})", advice="Install one: pip install autochrome-archive")


def _open(entry: Entry, weights: Weights, setup: Setup) -> Engine:
    engine = GuardedEngine(entry.open(weights, setup))
    try:
        engine.try_out()
    except EngineError:
        engine.close()
        raise
    return engine


def _portrait(engine: Engine) -> str:
    return f"{engine.spec.runtime} with {engine.spec.precision} on {engine.spec.device}"
