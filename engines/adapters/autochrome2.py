"""Our second contract: lightness and hints in; ab, colour distributions and features out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.adapters.autochrome1 import INPUT, LIGHTNESS, OUTPUT, card_size
from engines.adapters.base import HINT_DIVISOR, Adapter, Evidence
from engines.errors import WeightsError
from engines.signature import Signature
from engines.tensors import F32, GraphSpec, Tensors, TensorSpec
from engines.weights import Weights

CONTRACT = "autochrome-2"
HINTS, LOGITS, FEATURES = "hints", "logits", "features"
_STRIDE, _EVIDENCE_DIVISOR = 4, 8


@dataclass(frozen=True, kw_only=True)
class Autochrome2(Adapter):
    """``lightness`` (N, 1, H, W), L* 0..100, and ``hints`` (N, 3, H / 4, W / 4), a* and b* times mask, mask.

    The outputs are ``ab`` (N, 2, H / 4, W / 4), CIELAB, ``logits`` (N, Q, H / 8, W / 8) over ``centres`` (Q, 2) and
    ``features`` (N, C, H / 8, W / 8). ``temperature``, ``saturation`` and ``knee`` are those that ``ab`` was decoded
    with, as stated by the card.
    """

    centres: F32
    temperature: float | None
    saturation: float
    knee: float | None

    def prepare(self, lightness: F32, hints: F32 | None) -> Tensors:
        """Return lightness and hints unchanged; without hints the mask is 0."""
        if hints is None:
            count, _, height, width = lightness.shape
            hints = np.zeros((count, 3, height // HINT_DIVISOR, width // HINT_DIVISOR), np.float32)
        return {INPUT: lightness, HINTS: hints}

    def chroma(self, outputs: Tensors, inputs: Tensors) -> F32:
        """Return ``ab`` unchanged."""
        del inputs
        return outputs[OUTPUT]

    def evidence(self, outputs: Tensors) -> Evidence:
        """Return logits and features."""
        return Evidence(
            logits=outputs[LOGITS],
            centres=self.centres,
            features=outputs[FEATURES],
            temperature=self.temperature,
            saturation=self.saturation,
            knee=self.knee,
        )


def recognise(found: Signature, weights: Weights) -> Adapter | None:
    """Return the adapter for a graph with our inputs and outputs. Raises `WeightsError` if its card is missing."""
    if {one.name for one in found.inputs} != {INPUT, HINTS}:
        return None
    return from_card(weights)


def from_card(weights: Weights) -> Adapter:
    """Return the adapter described by the card: ``bins``, a list of pairs a*, b*, the sizes, and ``hints``.

    The last tells whether the network was trained with hints; true by default.

    Raises `WeightsError` if the card does not describe one.
    """
    centres = centres_of(weights)
    return Autochrome2(
        contract=CONTRACT,
        network="Autochrome",
        is_ours=True,
        stride=_STRIDE,
        takes_hints=weights.card.get("hints", True) is True,
        centres=centres,
        temperature=_positive(weights, "temperature"),
        saturation=_positive(weights, "saturation") or 1.0,
        knee=_positive(weights, "knee"),
        graph=GraphSpec(
            inputs=(LIGHTNESS, TensorSpec(name=HINTS, channels=3, divisor=HINT_DIVISOR, low=-130, high=130)),
            outputs=(
                TensorSpec(name=OUTPUT, channels=2, divisor=_STRIDE),
                TensorSpec(name=LOGITS, channels=len(centres), divisor=_EVIDENCE_DIVISOR),
                TensorSpec(name=FEATURES, channels=None, divisor=_EVIDENCE_DIVISOR),
            ),
            size=card_size(weights, _STRIDE, _EVIDENCE_DIVISOR),
        ),
    )


def _positive(weights: Weights, key: str) -> float | None:
    stated = weights.card.get(key)
    return float(stated) if isinstance(stated, int | float) and stated > 0 else None


def centres_of(weights: Weights) -> F32:
    """Return the colours (Q, 2) that the logits refer to. Raises `WeightsError` for a card without them."""
    stated = weights.card.get("bins")
    try:
        centres = np.asarray(stated, np.float32)
    except (TypeError, ValueError):
        centres = np.empty(0, np.float32)
    if centres.ndim != 2 or centres.shape[1] != 2 or len(centres) < 2:
        raise WeightsError(
            f"{weights.card_path}: 'bins' is missing or not a list of pairs a*, b*", advice="Complete the card."
        )
    return centres
