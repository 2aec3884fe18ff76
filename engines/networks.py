"""Open a network by a model's name: weights, their adapter and an engine; or several of them merged."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.adapters.registry import adapter_for
from engines.base import PLAIN, Setup
from engines.errors import WeightsError
from engines.library import load_weights
from engines.merged import MergedNetwork, joint_sha256
from engines.network import AdaptedNetwork, Network
from engines.parity import model_for
from engines.registry import EngineChoice, Entry, open_engine

logger = logging.getLogger(__name__)

SEPARATOR = "+"
_MOST = 4


def open_network(
    engine: str, model: str, *, setup: Setup = PLAIN, extra: Sequence[Entry] = ()
) -> tuple[Network, EngineChoice]:
    """Open ``model`` on the engine ``engine``, see `engines.registry.open_engine`.

    ``model`` is a name or the path of an ONNX file (`engines.library.load_weights`), or two to four of them joined by
    ``+``, whose predictions are merged (`engines.merged`). Raises `WeightsError`, `MissingDependencyError` and
    `EngineError`.
    """
    members: list[AdaptedNetwork] = []
    choices: list[EngineChoice] = []
    try:
        for one in model_names(model):
            weights = load_weights(one)
            adapter = adapter_for(weights)
            logger.debug(
                "%s: %s, contract %s, sizes %s", weights.path, adapter.network, adapter.contract, adapter.graph.size
            )
            opened, choice = open_engine(engine, model_for(weights, adapter), setup=setup, extra=extra)
            members.append(AdaptedNetwork(opened, adapter, weights))
            choices.append(choice)
    except BaseException:
        for member in members:
            member.close()
        raise
    if len(members) == 1:
        return members[0], choices[0]
    return MergedNetwork(members), EngineChoice.joined(choices)


def model_names(model: str) -> tuple[str, ...]:
    """Return the names or paths in a model string: ``fast+ddcolor`` is two. Raises `WeightsError` for an empty one.

    A path that exists is a single model, whatever its name contains.
    """
    names = (
        tuple(part.strip() for part in model.split(SEPARATOR))
        if SEPARATOR in model and not Path(model).is_file()
        else (model,)
    )
    if not all(names):
        raise WeightsError(f"{model!r}: a model has no name", advice="Write fast, or fast+ddcolor to merge two.")
    if len(names) > _MOST or len(set(names)) < len(names):
        raise WeightsError(
            f"{model!r}: two to {_MOST} different models can be merged", advice="Write them like this: fast+ddcolor."
        )
    return names


def fingerprint(model: str) -> str:
    """Return the `NetworkSpec.fingerprint` for a model string, without opening an engine.

    For merged networks it is the SHA-256 of theirs, see `engines.merged.joint_sha256`. Raises `WeightsError`.
    """
    members = [load_weights(one) for one in model_names(model)]
    return joint_sha256([adapter_for(weights).fingerprint(weights) for weights in members])


def introduction(network: Network) -> str:
    """Return what to expect of a third-party network, for the start of a run; "" for our own.

    It is timed on one photograph: such networks take from a fraction of a second to many.
    """
    spec = network.spec
    if spec.is_ours:
        return ""
    rows, columns = spec.size.shape(spec.size.photo, width=4, height=3)
    film_rows, film_columns = spec.size.shape(spec.size.film, width=4, height=3)
    begin = time.perf_counter()
    network.predict(np.full((1, 1, rows, columns), 50, np.float32))
    seconds = time.perf_counter() - begin
    at_once = "one at a time" if spec.max_batch == 1 else f"up to {spec.max_batch} at once"
    return (
        f"{spec.model}: {spec.network}, {columns} x {rows} pixels for photographs, "
        f"{film_columns} x {film_rows} for films, {at_once}; {seconds:.1f} s a photograph here; licence: {spec.licence}"
    )
