"""The tensor contract, kept on both sides of every engine."""

from __future__ import annotations

import threading

import numpy as np

from engines.base import F32, Engine, EngineSpec, checked
from engines.errors import EngineError
from engines.weights import Weights

MAX_BATCH = 16
# L* computed in float32 may miss 0 and 100 by a few rounding errors.
_LOWEST, _HIGHEST = -0.01, 100.01


def describe(weights: Weights, *, name: str, runtime: str, device: str, precision: str) -> EngineSpec:
    """Return the capabilities of an engine that runs ``weights``."""
    return EngineSpec(
        name=name,
        runtime=runtime,
        device=device,
        precision=precision,
        model=weights.name,
        weights_sha256=weights.sha256,
        max_batch=MAX_BATCH,
        multiple=weights.multiple,
        stride=weights.stride,
    )


class GuardedEngine:
    """An `Engine` around an engine: checks what goes in and what comes out, and is closed once.

    May be called from several threads; the calls take turns.
    """

    def __init__(self, engine: Engine) -> None:
        """Take over ``engine``: it is called by one thread at a time, closed once and not called after that."""
        self._engine = engine
        self._spec = engine.spec
        self._closed = False
        self._turn = threading.Lock()

    @property
    def spec(self) -> EngineSpec:
        """Capabilities of this engine."""
        return self._spec

    def infer(self, lightness: F32) -> F32:
        """Return a* and b* for a batch of L*, see `engines.base.Engine`.

        Raises `EngineError` for input outside the contract, a failing runtime, an answer outside the contract
        and a closed engine.
        """
        with self._turn:
            if self._closed:
                raise EngineError(f"{self._spec.name}: asked for colour after it was closed")
            _check_input(lightness, self._spec)
            return checked(self._engine.infer(lightness), lightness, self._spec)

    def close(self) -> None:
        """Release the runtime, after a call that is under way; calling it twice is harmless."""
        with self._turn:
            if not self._closed:
                self._closed = True
                self._engine.close()

    def try_out(self) -> None:
        """Colour one grey picture of the smallest size; raises `EngineError` if this engine does not work."""
        self.infer(np.full((1, 1, self._spec.multiple, self._spec.multiple), 50, dtype=np.float32))


def _check_input(lightness: F32, spec: EngineSpec) -> None:
    if not isinstance(lightness, np.ndarray) or lightness.dtype != np.float32:
        found = getattr(lightness, "dtype", type(lightness).__name__)
        raise EngineError(f"{spec.name}: lightness must be a float32 array, not {found}")
    shape = lightness.shape
    if lightness.ndim != 4 or shape[1] != 1:
        raise EngineError(f"{spec.name}: lightness must have shape (N, 1, H, W), not {shape}")
    if not 1 <= shape[0] <= spec.max_batch:
        raise EngineError(f"{spec.name}: a batch holds 1 to {spec.max_batch} pictures, not {shape[0]}")
    if any(side < 1 or side % spec.multiple for side in shape[2:]):
        raise EngineError(
            f"{spec.name}: height and width must be multiples of {spec.multiple}, not {shape[2]} x {shape[3]}"
        )
    if not lightness.flags.c_contiguous:
        raise EngineError(f"{spec.name}: lightness must be C-contiguous")
    # Written so that a NaN, which is neither above nor below anything, is refused too.
    if not (lightness.min() >= _LOWEST and lightness.max() <= _HIGHEST):
        raise EngineError(f"{spec.name}: lightness must lie in 0..100, not in {lightness.min():g}..{lightness.max():g}")
