"""Shortcuts for opening things in tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.adapters.autochrome1 import INPUT, OUTPUT
from engines.adapters.registry import adapter_for
from engines.base import PLAIN, Engine, Model, Setup
from engines.library import load_weights
from engines.parity import model_for
from engines.registry import EngineChoice, Entry, Machine, open_engine
from engines.tensors import F32


def model_of(name_or_path: str | Path) -> Model:
    """Return what engines are given to open."""
    weights = load_weights(str(name_or_path))
    return model_for(weights, adapter_for(weights))


def open_model(
    engine: str,
    name_or_path: str | Path,
    *,
    setup: Setup = PLAIN,
    extra: Sequence[Entry] = (),
    machine: Machine | None = None,
) -> tuple[Engine, EngineChoice]:
    """Open an engine by name with weights by name or path."""
    return open_engine(engine, model_of(name_or_path), setup=setup, extra=extra, machine=machine)


def inputs_of(engine: Engine, lightness: F32) -> dict[str, F32]:
    """Return ``lightness`` as inputs of an engine with our weights, with empty hints if it takes any."""
    count, *_, height, width = np.shape(lightness)
    empty = {
        one.name: np.zeros((count, one.channels or 1, height // one.divisor, width // one.divisor), np.float32)
        for one in engine.spec.graph.inputs
    }
    return {**empty, INPUT: lightness}


def ab_of(engine: Engine, lightness: F32) -> F32:
    """Return the output of an engine with our weights, without hints."""
    return engine.infer(inputs_of(engine, lightness))[OUTPUT]
