"""A network as the pipeline uses it: lightness (and hints) in; chroma and evidence out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from engines.adapters.base import HINT_DIVISOR, Adapter, Evidence
from engines.base import Engine
from engines.errors import EngineError
from engines.tensors import F32, InputSize
from engines.weights import Weights


@dataclass(frozen=True, eq=False)
class Prediction:
    """A network's prediction: ``ab`` (N, 2, H / stride, W / stride), CIELAB, and its evidence, if any."""

    ab: F32
    evidence: Evidence | None = None

    @property
    def features(self) -> F32 | None:
        """The network's features (N, C, h, w), which describe the content at each position; None if it has none."""
        return None if self.evidence is None else self.evidence.features

    def each(self) -> list[Prediction]:
        """Split the batch into predictions for single pictures, each a batch of one."""
        if self.evidence is None:
            return [Prediction(ab[None]) for ab in self.ab]
        evidence = self.evidence
        return [
            Prediction(
                ab[None],
                replace(
                    evidence,
                    logits=evidence.logits[n : n + 1],
                    features=None if evidence.features is None else evidence.features[n : n + 1],
                ),
            )
            for n, ab in enumerate(self.ab)
        ]


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """What a network takes, and everything that a result must say about it.

    ``fingerprint`` distinguishes networks that colour differently, by their weights and by the usage stated in their
    cards (`Adapter.fingerprint`). ``engine`` is the engine's name, ``contract`` that of the adapter
    (`engines.adapters.registry`), ``network`` its usual name; ``is_ours`` is set for those that were trained and
    evaluated for this program. ``size`` gives the size of the model input, ``stride`` the factor by which the chroma is
    smaller.
    """

    model: str
    weights_sha256: str
    fingerprint: str
    licence: str
    contract: str
    network: str = "Autochrome"
    is_ours: bool = True
    engine: str
    runtime: str
    device: str
    precision: str
    size: InputSize
    stride: int
    max_batch: int
    takes_hints: bool


class Network(Protocol):
    """A network ready for use. Any number of threads may use it."""

    @property
    def spec(self) -> NetworkSpec:
        """What it takes, and what it is."""
        ...

    def predict(self, lightness: F32, hints: F32 | None = None) -> Prediction:
        """Return the chroma of a batch.

        ``lightness`` is C-contiguous float32 (N, 1, H, W), CIELAB L* in 0..100, N up to ``spec.max_batch``, H and W as
        in ``spec.size``. ``hints`` are float32 (N, 3, H / 4, W / 4): a* and b* times the mask, then the mask, 0 or 1.
        Raises `EngineError` for anything else, for hints if ``spec.takes_hints`` is False, and for a failing engine.
        """
        ...

    def close(self) -> None:
        """Release the engine; calling it twice is harmless, and `predict` afterwards raises `EngineError`."""
        ...


class AdaptedNetwork:
    """A `Network` with one engine and one adapter; made by `engines.networks.open_network`."""

    def __init__(self, engine: Engine, adapter: Adapter, weights: Weights) -> None:
        """Take ownership of ``engine``, which runs ``weights`` as ``adapter`` specifies."""
        self._engine, self._adapter = engine, adapter
        spec = engine.spec
        self._spec = NetworkSpec(
            model=spec.model,
            weights_sha256=spec.weights_sha256,
            fingerprint=adapter.fingerprint(weights),
            licence=weights.licence,
            contract=adapter.contract,
            network=adapter.network,
            is_ours=adapter.is_ours,
            engine=spec.name,
            runtime=spec.runtime,
            device=spec.device,
            precision=spec.precision,
            size=adapter.graph.size,
            stride=adapter.stride,
            max_batch=adapter.graph.max_batch,
            takes_hints=adapter.takes_hints,
        )

    @property
    def spec(self) -> NetworkSpec:
        """What it takes, and what it is."""
        return self._spec

    def predict(self, lightness: F32, hints: F32 | None = None) -> Prediction:
        """Return the chroma of a batch, see `Network`."""
        _require_planes("lightness", lightness, 1)
        if hints is not None:
            self._require_hints(lightness, hints)
        inputs = self._adapter.prepare(lightness, hints)
        outputs = self._engine.infer(inputs)
        return Prediction(self._adapter.chroma(outputs, inputs), self._adapter.evidence(outputs))

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()

    def _require_hints(self, lightness: F32, hints: F32) -> None:
        if not self._spec.takes_hints:
            raise EngineError(f"{self._spec.model}: this network takes no hints", advice="Use one that accepts hints.")
        _require_planes("hints", hints, 3)
        count, _, height, width = lightness.shape
        expected = (count, 3, height // HINT_DIVISOR, width // HINT_DIVISOR)
        if hints.shape != expected:
            raise EngineError(f"hints must have shape {expected}, not {hints.shape}")


def _require_planes(what: str, planes: F32, channels: int) -> None:
    """Raise `EngineError` for arrays that adapters cannot handle; the engine's guard checks the rest."""
    if not isinstance(planes, np.ndarray) or planes.dtype != np.float32:
        found = getattr(planes, "dtype", type(planes).__name__)
        raise EngineError(f"{what} must be a float32 array, not {found}")
    if planes.ndim != 4 or planes.shape[1] != channels or not planes.size:
        raise EngineError(f"{what} must have shape (N, {channels}, H, W), not {planes.shape}")
