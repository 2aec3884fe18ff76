"""All engines, and how one is chosen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engines import onnxruntime, openvino, optional, tensorrt
from engines.base import PLAIN, Engine, Model, Setup
from engines.errors import EngineError, MissingDependencyError
from engines.guard import GuardedEngine, trial
from engines.machine import gpu_count
from engines.providers import CPU, DEVICES

logger = logging.getLogger(__name__)

AUTO = "auto"


@dataclass(frozen=True)
class Entry:
    """An engine that can be requested by name.

    ``check`` raises `MissingDependencyError` if this machine lacks something that the engine needs, without importing
    it. ``open`` loads a model and raises `MissingDependencyError`, `EngineError` or `WeightsError`. ``devices`` are the
    values it accepts for `engines.base.Setup.device`.
    """

    name: str
    description: str
    check: Callable[[], None]
    open: Callable[[Model, Setup], Engine]
    devices: frozenset[str] = frozenset({"cpu"})

    def takes(self, device: str) -> bool:
        """Return whether the engine supports ``device``."""
        return device == AUTO or device in self.devices


@dataclass(frozen=True)
class EngineChoice:
    """The engine that was opened, why, and what was skipped: pairs of a name (engine, device) and a reason."""

    engine: str
    reason: str
    rejected: tuple[tuple[str, str], ...] = ()

    @classmethod
    def joined(cls, choices: Sequence[EngineChoice]) -> EngineChoice:
        """Combine several choices into one, without repetitions."""
        return cls(
            "+".join(dict.fromkeys(one.engine for one in choices)),
            "; ".join(dict.fromkeys(one.reason for one in choices)),
            tuple(dict.fromkeys(pair for one in choices for pair in one.rejected)),
        )


@dataclass(frozen=True)
class Machine:
    """What the order of engines depends on: the number of NVIDIA GPUs, and ONNX Runtime's package."""

    gpus: int
    is_accelerated: bool


def this_machine() -> Machine:
    """Inspect the current machine; imports no runtime."""
    return Machine(gpu_count(), onnxruntime.is_accelerated())


_TENSORRT = Entry(
    tensorrt.NAME,
    "NVIDIA's TensorRT: the fastest on its GPUs",
    tensorrt.check,
    tensorrt.open_tensorrt,
    tensorrt.DEVICES,
)
_OPENVINO = Entry(
    openvino.NAME, "Intel's OpenVINO: the fastest on CPUs", openvino.check, openvino.open_openvino, openvino.DEVICES
)
_ON_GPU = Entry(
    onnxruntime.NAME,
    "ONNX Runtime on the GPU that its package is for",
    onnxruntime.check,
    onnxruntime.open_accelerated,
    DEVICES - {CPU},
)
_ANYWHERE = Entry(
    onnxruntime.NAME, "ONNX Runtime: any GPU or CPU", onnxruntime.check, onnxruntime.open_onnxruntime, DEVICES
)
_ON_CPU = Entry(
    onnxruntime.NAME, "ONNX Runtime: any CPU", onnxruntime.check, onnxruntime.open_reference, frozenset({CPU})
)
ENTRIES: tuple[Entry, ...] = (_OPENVINO, _ANYWHERE, _TENSORRT)


def fastest_first(device: str = AUTO, machine: Machine | None = None) -> tuple[Entry, ...]:
    """Return what "auto" tries on ``machine`` (None: this one) for ``device``: engines on a GPU, then on the CPU.

    For ``device`` "auto", GPU engines are only listed, and can only be reported as skipped, where they may work:
    TensorRT if the NVIDIA driver finds a GPU, ONNX Runtime's accelerators if a package of it for them is installed.
    """
    if device != AUTO:
        every = (_TENSORRT, _ON_GPU, _OPENVINO, _ON_CPU)
        return tuple(entry for entry in every if entry.takes(device))
    machine = machine or this_machine()
    nvidia = (_TENSORRT,) if machine.gpus else ()
    accelerated = (_ON_GPU,) if nvidia or machine.is_accelerated else ()
    return (*nvidia, *accelerated, _OPENVINO, _ON_CPU)


def open_engine(
    name: str, model: Model, *, setup: Setup = PLAIN, extra: Sequence[Entry] = (), machine: Machine | None = None
) -> tuple[Engine, EngineChoice]:
    """Open the engine ``name`` with ``model``.

    "auto" takes the first of `fastest_first` on ``machine`` that works on this one, tested with one small picture;
    those skipped are listed in the choice. Any other name is strict: that engine or an error. ``extra`` entries are
    tried before our own and hide those with the same name. Raises `WeightsError`, `MissingDependencyError` and
    `EngineError`.
    """
    require_device(setup.device)
    ours = fastest_first(setup.device, machine) if name == AUTO else ENTRIES
    entries = (*extra, *(one for one in ours if one.name not in {new.name for new in extra}))
    if name == AUTO:
        return _first_that_works(entries, model, setup)
    entry = _find(name, entries)
    if not entry.takes(setup.device):
        raise EngineError(
            f"{name} does not run on {setup.device!r}", advice=f"Use one of: {', '.join(sorted(entry.devices))}."
        )
    entry.check()
    rejected: list[tuple[str, str]] = []
    engine = _open(entry, model, setup, rejected)
    return engine, EngineChoice(entry.name, f"{_portrait(engine)}, as requested", tuple(rejected))


def require_device(device: str) -> None:
    """Raise `EngineError` unless ``device`` is "auto" or in `engines.providers.DEVICES`; it need not be present."""
    if device != AUTO and device not in DEVICES:
        raise EngineError(
            f"there is no device {device!r}", advice=f"Use one of: {', '.join((AUTO, *sorted(DEVICES)))}."
        )


def _find(name: str, entries: Sequence[Entry]) -> Entry:
    for entry in entries:
        if entry.name == name:
            return entry
    names = ", ".join([AUTO, *(entry.name for entry in entries)])
    raise EngineError(f"there is no engine {name!r}", advice=f"Use one of: {names}.")


def _first_that_works(entries: Sequence[Entry], model: Model, setup: Setup) -> tuple[Engine, EngineChoice]:
    rejected: list[tuple[str, str]] = []
    for entry in entries:
        try:
            entry.check()
            engine = _open(entry, model, setup, rejected)
        except (EngineError, MissingDependencyError) as error:
            logger.info("engine %s not used", entry.name, exc_info=error)
            rejected.append((entry.name, str(error)))
            continue
        reason = f"{_portrait(engine)}, the fastest that works here"
        return engine, EngineChoice(entry.name, reason, tuple(rejected))
    reasons = "; ".join(f"{name}: {reason}" for name, reason in rejected)
    if setup.device == AUTO:
        raise EngineError(f"no engine works on this machine ({reasons})", advice=f"Install one: {optional.install()}")
    raise EngineError(
        f"no engine works on device {setup.device!r} of this machine ({reasons})",
        advice="Install the package for it (docs/engines.md), or use --device auto.",
    )


def _open(entry: Entry, model: Model, setup: Setup, rejected: list[tuple[str, str]]) -> Engine:
    """Return the engine after a test; what it passed over internally is added to ``rejected``."""

    def pass_over(name: str, reason: str) -> None:
        rejected.append((name, reason))
        setup.pass_over(name, reason)

    logger.debug("opening %s for device %s with %s", entry.name, setup.device, model.weights.path)
    engine = GuardedEngine(entry.open(model, replace(setup, pass_over=pass_over)))
    try:
        engine.infer(trial(engine.spec.graph))
    except EngineError:
        engine.close()
        raise
    return engine


def _portrait(engine: Engine) -> str:
    return f"{engine.spec.runtime} with {engine.spec.precision} on {engine.spec.device}"
