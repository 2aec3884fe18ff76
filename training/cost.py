"""The cost of a model: parameters, arithmetic, and time on this machine."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.adapters.registry import adapter_for
from engines.library import load_weights
from engines.machine import cpu_name, usable_cores
from engines.network import Network
from engines.networks import model_names

CHECKPOINT_SUFFIX = ".pt"
SIDE = 256

_WARM_UP = 3
_RUNS = 25
_LONGEST_SECONDS = 5.0


@dataclass(frozen=True)
class Cost:
    """The cost of a model for one picture of 256 x 256 pixels (slightly more if its multiple does not divide 256).

    ``flops`` counts a multiplication and an addition as two, in convolutions and matrix products only. ``milliseconds``
    is the median time of a call of the engine used for the measurement, on ``machine``. None: unknown; the report's
    notes say why.
    """

    parameters: int | None
    flops: int | None
    milliseconds: float
    machine: str


def measure_cost(model: str, network: Network) -> tuple[Cost, tuple[str, ...]]:
    """Return the cost of ``model``, a checkpoint or exported weights opened as ``network``, and notes on unknowns.

    Parameters are those of the trained network: a checkpoint's own, or the number in the card of exported weights.
    """
    checkpoint = Path(model).suffix == CHECKPOINT_SUFFIX
    parameters = _trained_parameters(Path(model)) if checkpoint else _card_parameters(model)
    notes = () if parameters is not None else (f"Parameters of {model}: its card does not say.",)
    flops, reason = _count_flops(network if checkpoint else None, model)
    if reason:
        notes = (*notes, f"FLOPs of {model} were not counted: {reason}")
    return Cost(parameters, flops, median_milliseconds(network), machine()), notes


def machine() -> str:
    """Return this machine's processor and how many of its cores this process may use."""
    return f"{cpu_name()}, {usable_cores()} CPU cores"


def median_milliseconds(network: Network) -> float:
    """Return the median time of a call of ``network`` on one picture, over 25 calls or 5 seconds."""
    picture = _picture(network)
    for _ in range(_WARM_UP):
        network.predict(picture)
    times: list[float] = []
    while len(times) < _RUNS and sum(times) < _LONGEST_SECONDS:
        begin = time.perf_counter()
        network.predict(picture)
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


def _picture(network: Network) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    side = network.spec.size.rounded(SIDE)
    return np.random.default_rng(0).uniform(0, 100, (1, 1, side, side)).astype(np.float32)


def _card_parameters(model: str) -> int | None:
    stated = [load_weights(name).card.get("parameters") for name in model_names(model)]
    known = [one for one in stated if isinstance(one, int)]
    return sum(known) if len(known) == len(stated) else None


def _trained_parameters(path: Path) -> int:
    from training.checkpoint import load_trained

    return sum(parameter.numel() for parameter in load_trained(path).model.parameters())


def _count_flops(network: Network | None, model: str) -> tuple[int | None, str]:
    """Return the FLOPs of a torch ``network`` or, if None, of exported weights; or why they are unknown."""
    try:
        if network is None:
            return _exported_flops(model), ""
        from torch.utils.flop_counter import FlopCounterMode
    except ModuleNotFoundError as error:
        return None, f"it needs the Python package {error.name}."
    except ValueError as error:
        return None, str(error)
    with FlopCounterMode(display=False) as counter:
        network.predict(_picture(network))
    return int(counter.get_total_flops()), ""


def _exported_flops(model: str) -> int:
    from training.graph_flops import graph_flops

    names = model_names(model)
    total = 0
    for name in names:
        weights = load_weights(name)
        graph = adapter_for(weights).graph
        side = graph.size.rounded(SIDE)
        total += graph_flops(weights.read(), {one.name: one.shape(1, side, side) for one in graph.inputs})
    return total
