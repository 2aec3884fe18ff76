"""Our first contract: lightness in, ab out. The card is required, as it states the sizes."""

from __future__ import annotations

from engines.adapters.base import Adapter
from engines.errors import WeightsError
from engines.signature import Signature
from engines.tensors import F32, GraphSpec, InputSize, Tensors, TensorSpec
from engines.weights import FIRST_CONTRACT, Weights

CONTRACT = FIRST_CONTRACT
INPUT, OUTPUT = "lightness", "ab"
# L* computed in float32 may exceed 0 and 100 by a few rounding errors.
LIGHTNESS = TensorSpec(name=INPUT, channels=1, low=-0.01, high=100.01)
# The shorter sides that our networks are trained and evaluated for.
FILM, PHOTO = 160, 256


class Autochrome1(Adapter):
    """``lightness`` (N, 1, H, W), L* 0..100, to ``ab`` (N, 2, H / stride, W / stride), CIELAB."""

    def prepare(self, lightness: F32, hints: F32 | None) -> Tensors:
        """Return the lightness unchanged."""
        del hints
        return {INPUT: lightness}

    def chroma(self, outputs: Tensors, inputs: Tensors) -> F32:
        """Return ``ab`` unchanged."""
        del inputs
        return outputs[OUTPUT]


def recognise(found: Signature, weights: Weights) -> Adapter | None:
    """Return the adapter for a graph with only ``lightness`` and ``ab``. Raises `WeightsError` without a card."""
    if [one.name for one in found.inputs] != [INPUT] or [one.name for one in found.outputs] != [OUTPUT]:
        return None
    return from_card(weights)


def from_card(weights: Weights) -> Adapter:
    """Return the adapter described by the card. Raises `WeightsError` if the card does not describe one."""
    stride = weights.number("stride")
    return Autochrome1(
        contract=CONTRACT,
        network="Autochrome",
        is_ours=True,
        stride=stride,
        graph=GraphSpec(
            inputs=(LIGHTNESS,),
            outputs=(TensorSpec(name=OUTPUT, channels=2, divisor=stride),),
            size=card_size(weights, stride),
        ),
    )


def card_size(weights: Weights, *divisors: int) -> InputSize:
    """Return the sizes stated by the card. Raises `WeightsError` unless the outputs have whole pixels."""
    multiple = weights.number("multiple")
    for divisor in divisors:
        if multiple % divisor:
            raise WeightsError(
                f"{weights.card_path}: multiple {multiple} is not divisible by stride {divisor}",
                advice="Correct the card: the output must have whole pixels.",
            )
    return InputSize(
        multiple=multiple, film=weights.number("film_size", FILM), photo=weights.number("photo_size", PHOTO)
    )
