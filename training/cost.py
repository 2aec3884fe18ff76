"""What a model costs: parameters, arithmetic, and time on this machine."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.base import Engine
from engines.errors import AutochromeError
from engines.machine import cpu_name, usable_cores
from engines.registry import open_engine
from engines.weights import load_weights

CHECKPOINT_SUFFIX = ".pt"
SIDE = 256

_WARM_UP = 3
_RUNS = 25
_LONGEST_SECONDS = 5.0


@dataclass(frozen=True)
class Cost:
    """What a model costs for one picture of 256 x 256 pixels (a little more if its multiple does not divide 256).

    ``flops`` counts a multiplication and an addition as two, of convolutions and matrix products only.
    ``milliseconds`` is the median time of a call of the engine that was measured with, on ``machine``. None: unknown,
    and the report's notes say why.
    """

    parameters: int | None
    flops: int | None
    milliseconds: float
    machine: str


def measure_cost(model: str, engine: Engine) -> tuple[Cost, tuple[str, ...]]:
    """Return the cost of ``model``, a checkpoint or exported weights opened as ``engine``, and notes on unknowns.

    Parameters are the trained network's: a checkpoint's own, or what the card of exported weights says.
    """
    checkpoint = Path(model).suffix == CHECKPOINT_SUFFIX
    parameters = _trained_parameters(Path(model)) if checkpoint else _card_parameters(model)
    notes = () if parameters is not None else (f"Parameters of {model}: its card does not say.",)
    flops, reason = _count_flops(engine if checkpoint else None, model)
    if reason:
        notes = (*notes, f"FLOPs of {model} were not counted: {reason}")
    return Cost(parameters, flops, median_milliseconds(engine), machine()), notes


def machine() -> str:
    """Return this machine's processor and how many of its cores this process may use."""
    return f"{cpu_name()}, {usable_cores()} CPU cores"


def median_milliseconds(engine: Engine) -> float:
    """Return the median time of a call of ``engine`` on one picture, of 25 calls or of those of 5 seconds."""
    picture = _picture(engine)
    for _ in range(_WARM_UP):
        engine.infer(picture)
    times: list[float] = []
    while len(times) < _RUNS and sum(times) < _LONGEST_SECONDS:
        begin = time.perf_counter()
        engine.infer(picture)
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


def _picture(engine: Engine) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    multiple = engine.spec.multiple
    side = -(-SIDE // multiple) * multiple
    return np.random.default_rng(0).uniform(0, 100, (1, 1, side, side)).astype(np.float32)


def _card_parameters(model: str) -> int | None:
    stated = load_weights(model).card.get("parameters")
    return stated if isinstance(stated, int) else None


def _trained_parameters(path: Path) -> int:
    from training.checkpoint import load_trained

    return sum(parameter.numel() for parameter in load_trained(path).model.parameters())


def _count_flops(engine: Engine | None, model: str) -> tuple[int | None, str]:
    """Return the FLOPs of a torch ``engine`` or, without one, of exported weights in torch; or why there are none."""
    try:
        from torch.utils.flop_counter import FlopCounterMode
    except ModuleNotFoundError as error:
        return None, f"it needs the Python package {error.name}."
    try:
        counted = engine or open_engine("torch", model)[0]
    except AutochromeError as error:
        return None, str(error)
    try:
        with FlopCounterMode(display=False) as counter:
            counted.infer(_picture(counted))
    finally:
        if engine is None:
            counted.close()
    return int(counter.get_total_flops()), ""
