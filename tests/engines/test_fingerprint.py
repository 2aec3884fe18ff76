"""What makes a network another one: its weights, and what its card says of how to use them."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from engines.adapters.base import Adapter
from engines.adapters.registry import CONTRACTS, adapter_for
from engines.library import load_weights
from engines.networks import fingerprint, open_network
from engines.weights import Weights
from tests.engines.tiny import write_tiny_model
from tests.engines.two import write_two_model

CHANGES: dict[str, object] = {
    "bins": [[0.0, 0.0], [5.0, 5.0]], "temperature": 0.9, "saturation": 1.1, "knee": 20.0, "multiple": 64,
    "hints": False, "film_size": 192, "photo_size": 320, "activations": {"layer": [0, 1]},
}  # fmt: skip
# It says where the network is from, what it measured, and how training goes on with it.
ONLY_TOLD = {
    "name", "sha256", "licence", "description", "architecture", "parameters", "training", "evaluation", "parity",
    "scalars", "adaptation", "stride",
}  # fmt: skip


def of(weights: Weights) -> str:
    return adapter_for(weights).fingerprint(weights)


@pytest.fixture(scope="module")
def shipped() -> Weights:
    return load_weights("fast")


@pytest.mark.few(6)
@pytest.mark.parametrize("key", CHANGES)
def test_what_a_card_says_of_colours_makes_another_network(shipped: Weights, key: str) -> None:
    changed = replace(shipped, card={**shipped.card, key: CHANGES[key]})
    assert of(changed) != of(shipped) == of(replace(shipped))


def test_what_a_card_only_tells_does_not(shipped: Weights) -> None:
    told = replace(shipped, card={key: value for key, value in shipped.card.items() if key not in ONLY_TOLD})
    assert of(told) == of(shipped)
    assert set(shipped.card) <= {*CHANGES, *ONLY_TOLD, "contract"}, "say here whether it decides the colours"


@pytest.mark.parametrize("kind", Adapter.__subclasses__(), ids=lambda kind: kind.__name__)
def test_an_adapter_holds_nothing_that_its_fingerprint_does_not_see(kind: type[Adapter]) -> None:
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert set(inspect.get_annotations(kind)) <= {field.name for field in fields(kind)}, "@dataclass is missing"
    assert is_made_by_dataclass(kind), "it has an __init__ of its own"


def is_made_by_dataclass(kind: type[Adapter]) -> bool:
    """Whether its instances hold its fields alone."""
    names = [field.name for field in fields(kind) if field.init]
    return list(inspect.signature(kind).parameters) == names and not hasattr(kind, "__post_init__")


def test_every_contract_has_its_adapter() -> None:
    modules = {kind.__module__.rpartition(".")[2] for kind in Adapter.__subclasses__()}
    assert {contract.recognise.__module__.rpartition(".")[2] for contract in CONTRACTS} == modules


def test_of_several_networks_each_one_s_card_counts(tmp_path: Path) -> None:
    both = f"{write_tiny_model(tmp_path)}+{(two := write_two_model(tmp_path, temperature=0.5))}"
    network, _ = open_network("onnxruntime", both)
    network.close()
    before = fingerprint(both)
    assert network.spec.fingerprint == before != network.spec.weights_sha256
    card = two.with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), "temperature": 0.3}))
    assert fingerprint(both) != before
