"""All contracts, in the order in which they are tried, and known networks that cannot run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engines.adapters import autochrome1, autochrome2, ddcolor, deoldify, eccv16, siggraph17
from engines.adapters.base import Adapter
from engines.errors import WeightsError
from engines.signature import Signature, signature
from engines.weights import Weights


@dataclass(frozen=True)
class Contract:
    """A kind of network: ``recognise`` returns its adapter for a matching graph, or None.

    ``from_card`` is for our own networks, whose cards state everything, so that their graphs need not be read.
    """

    name: str
    recognise: Callable[[Signature, Weights], Adapter | None]
    from_card: Callable[[Weights], Adapter] | None = None


CONTRACTS: tuple[Contract, ...] = (
    Contract(autochrome1.CONTRACT, autochrome1.recognise, autochrome1.from_card),
    Contract(autochrome2.CONTRACT, autochrome2.recognise, autochrome2.from_card),
    Contract(ddcolor.CONTRACT, ddcolor.recognise),
    Contract(deoldify.CONTRACT, deoldify.recognise),
    Contract(siggraph17.CONTRACT, siggraph17.recognise),
    Contract(eccv16.CONTRACT, eccv16.recognise),
)


@dataclass(frozen=True)
class Refusal:
    """A known network that cannot run here, how to recognise it, and what is missing."""

    network: str
    words: tuple[str, ...]
    matches: Callable[[Signature], bool]
    missing: str


REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        "InstColorization",
        ("instcolor", "inst_color", "inst-color"),
        lambda found: len(found.inputs) > 3,
        "it colours objects one by one, by two networks that are fused: the boxes of an object detector and the second "
        "network are missing",
    ),
    Refusal(
        "BigColor",
        ("bigcolor", "big_color", "big-color"),
        lambda found: len(found.inputs) > 1 and any(len(one.shape) < 4 for one in found.inputs),
        "it wants the class of the picture and a random vector: the classifier that goes with it is missing",
    ),
)


def adapter_for(weights: Weights) -> Adapter:
    """Return the adapter for ``weights``: of the contract named by their card, or the first that matches their graph.

    Raises `WeightsError` for a card that names an unknown contract or does not match, and for a graph that nothing here
    can run, which is named if it is known.
    """
    named = weights.contract
    if named is not None:
        return _named(named, weights)
    found = signature(weights)
    for refusal in REFUSALS:
        if refusal.matches(found) or any(word in weights.path.stem.lower() for word in refusal.words):
            raise WeightsError(
                f"{weights.path}: looks like {refusal.network}, which cannot be used: {refusal.missing} ({found})",
                advice=f"Supported kinds: {_names()}.",
            )
    for contract in CONTRACTS:
        adapter = contract.recognise(found, weights)
        if adapter is not None:
            return adapter
    raise WeightsError(f"{weights.path}: is not a known kind of network: {found}", advice=f"Known kinds: {_names()}.")


def _named(name: str, weights: Weights) -> Adapter:
    for contract in CONTRACTS:
        if contract.name == name:
            if contract.from_card is not None:
                return contract.from_card(weights)
            adapter = contract.recognise(signature(weights), weights)
            if adapter is not None:
                return adapter
            raise WeightsError(
                f"{weights.card_path}: says {name!r}, but {signature(weights)}", advice="Correct the card or remove it."
            )
    raise WeightsError(f"{weights.card_path}: names an unknown contract: {name!r}", advice=f"Known: {_names()}.")


def _names() -> str:
    return ", ".join(contract.name for contract in CONTRACTS)
