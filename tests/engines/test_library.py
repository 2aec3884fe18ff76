"""Networks that the user adds are kept with a card, found by name, and never in the way of those that come with us."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.errors import WeightsError
from engines.library import add_model, list_models, load_weights
from engines.networks import open_network
from engines.weights import known_weights


def write_foreign(
    path: Path, *, names: tuple[str, str] = ("input", "output"), answers: int = 2, count: int = 1
) -> Path:
    """Write a network of DDColor's contract, of one layer, for ``count`` pictures at once."""
    weight = np.random.default_rng(0).normal(0, 30, (answers, 3, 1, 1)).astype(np.float32)
    taken, answered = names
    graph = helper.make_graph(
        [helper.make_node("Conv", [taken, "weight"], [answered])],
        "foreign",
        [helper.make_tensor_value_info(taken, TensorProto.FLOAT, [count, 3, 64, 64])],
        [helper.make_tensor_value_info(answered, TensorProto.FLOAT, [count, answers, 64, 64])],
        [numpy_helper.from_array(weight, "weight")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    return write_foreign(tmp_path / "ddcolor-tiny.onnx")


def test_an_added_network_is_found_by_name_and_colours(library: Path, foreign: Path) -> None:
    content = foreign.read_bytes()
    added = add_model(foreign, name="dd", licence="Apache-2.0, says its page")
    foreign.unlink()
    assert (added.name, added.contract, added.network, added.is_added) == ("dd", "ddcolor", "DDColor", True)
    network, _ = open_network("onnxruntime", "dd")
    assert (network.spec.model, network.spec.licence) == ("dd", "Apache-2.0, says its page")
    assert network.predict(np.full((1, 1, 64, 64), 50, np.float32)).ab.shape == (1, 2, 16, 16)
    network.close()
    assert load_weights("dd").path == library / "dd.onnx"
    assert load_weights("dd").read() == content


def test_what_is_not_said_is_not_stated(library: Path, foreign: Path) -> None:
    added = add_model(foreign)
    assert (added.name, added.licence) == ("ddcolor-tiny", "not stated")
    card = json.loads((library / "ddcolor-tiny.json").read_text(encoding="utf-8"))
    assert card["contract"] == "ddcolor"
    assert card["graph"]["inputs"] == [{"name": "input", "shape": [1, 3, 64, 64], "type": "float32"}]


def test_a_network_of_ours_can_be_added_with_its_card(library: Path, tiny: Path) -> None:
    assert add_model(tiny, name="mine").contract == "autochrome-1"
    assert load_weights("mine").card["multiple"] == 32


def test_all_networks_are_listed(library: Path, foreign: Path) -> None:
    add_model(foreign, name="dd")
    listed = list_models()
    assert [one.name for one in listed] == [*known_weights(), "dd"]
    assert [one.is_added for one in listed] == [*(False for _ in known_weights()), True]
    assert all(one.sha256 and one.licence and not one.problem for one in listed)


def test_a_damaged_network_is_listed_with_what_is_wrong(library: Path, foreign: Path) -> None:
    add_model(foreign, name="dd")
    (library / "dd.onnx").write_bytes(foreign.read_bytes()[:-1])
    assert "SHA-256" in list_models()[-1].problem


@pytest.mark.parametrize("name", ["", "..", "a/b", "a+b", "auto", "c:d", " . "])
def test_a_name_that_no_file_can_have_is_refused(library: Path, foreign: Path, name: str) -> None:
    if not name:
        foreign = foreign.rename(foreign.with_name("a+b.onnx"))
    with pytest.raises(WeightsError, match="cannot be the name"):
        add_model(foreign, name=name)
    assert not library.exists()


@pytest.mark.parametrize("name", ["fast", "FAST", "dd", "Dd"])
def test_a_name_that_is_taken_is_refused(library: Path, foreign: Path, name: str) -> None:
    add_model(foreign, name="dd")
    before = (library / "dd.onnx").read_bytes()
    with pytest.raises(WeightsError, match="already"):
        add_model(write_foreign(foreign.with_name("other.onnx"), names=("x", "y")), name=name)
    assert (library / "dd.onnx").read_bytes() == before


def test_a_network_that_cannot_run_is_not_kept(library: Path, tmp_path: Path) -> None:
    odd = write_foreign(tmp_path / "odd.onnx", answers=7)
    with pytest.raises(WeightsError, match="is not a known kind of network"):
        add_model(odd)
    assert not library.exists()


def test_a_network_for_two_pictures_at_once_is_refused_with_what_to_do(library: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"two\.onnx: was exported for exactly 2 pictures at once") as caught:
        add_model(write_foreign(tmp_path / "two.onnx", count=2))
    assert caught.value.advice == "Export it for one picture, or for any number."


def test_a_network_may_have_any_path(library: Path, tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "mein Netz, ü 漢字.onnx")
    assert load_weights(str(path)).name == "mein Netz, ü 漢字"
    assert add_model(path).name == "mein Netz, ü 漢字"
    network, _ = open_network("onnxruntime", "mein Netz, ü 漢字")
    network.close()


def test_an_altered_file_is_not_kept(library: Path, tiny: Path, tmp_path: Path) -> None:
    shutil.copy(tiny.with_suffix(".json"), tmp_path / "tiny.json")
    (tmp_path / "tiny.onnx").write_bytes(tiny.read_bytes() + b"x")
    with pytest.raises(WeightsError, match="SHA-256"):
        add_model(tmp_path / "tiny.onnx")


def test_a_card_that_says_another_contract_is_refused(library: Path, foreign: Path) -> None:
    add_model(foreign, name="dd")
    path = library / "dd.json"
    for contract, said in (
        ("deoldify", "says 'deoldify', but it takes input"),
        ("abacus", "names an unknown contract"),
    ):
        path.write_text(json.dumps({**json.loads(path.read_text()), "contract": contract}))
        with pytest.raises(WeightsError, match=said):
            open_network("onnxruntime", "dd")


@pytest.mark.parametrize("graph", [{}, {"inputs": 3, "outputs": []}, {"inputs": [{"name": "x"}], "outputs": []}, "no"])
def test_a_card_whose_graph_is_nonsense_is_refused(library: Path, foreign: Path, graph: object) -> None:
    add_model(foreign, name="dd")
    path = library / "dd.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "graph": graph}))
    with pytest.raises(WeightsError, match=r"dd\.json: 'graph'"):
        open_network("onnxruntime", "dd")


def test_a_card_that_lies_about_the_graph_is_found_when_opening(library: Path, foreign: Path) -> None:
    add_model(foreign, name="dd")
    path = library / "dd.json"
    path.write_text(path.read_text().replace('"input"', '"picture"'))
    with pytest.raises(WeightsError, match="takes input and returns output, not picture"):
        open_network("onnxruntime", "dd")
