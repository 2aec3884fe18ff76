"""Two networks as one: their mean, by confidence where there is one; and a network of our second contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.adapters.base import Evidence
from engines.errors import EngineError, WeightsError
from engines.merged import resized
from engines.network import Network
from engines.networks import fingerprint, model_names, open_network
from engines.parity import scenes
from engines.tensors import F32
from tests.engines.test_library import write_foreign
from tests.engines.tiny import tiny_model, write_model
from tests.engines.two import CENTRES, FEATURES, write_two_model


def opened(*models: Path, engine: str = "onnxruntime") -> Network:
    return open_network(engine, "+".join(map(str, models)))[0]


def grey(count: int = 1, height: int = 64, width: int = 96) -> F32:
    return scenes(np.random.default_rng(3), count, height, width)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return write_two_model(tmp_path)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return write_model(tmp_path / "other.onnx", tiny_model(seed=4))


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_our_second_contract_takes_hints_and_tells_its_evidence(two: Path, engine: str) -> None:
    pytest.importorskip(engine)
    network = opened(two, engine=engine)
    assert network.spec.takes_hints
    assert (network.spec.contract, network.spec.stride) == ("autochrome-2", 4)
    plain = network.predict(grey(2))
    assert plain.evidence is not None
    assert plain.evidence.features is not None
    assert plain.evidence.logits.shape == (2, len(CENTRES), 8, 12)
    assert plain.evidence.features.shape == (2, FEATURES, 8, 12)
    np.testing.assert_array_equal(plain.evidence.centres, np.float32(CENTRES))
    hints = np.zeros((2, 3, 16, 24), np.float32)
    hints[1, :, 3, 5] = 40, -30, 1
    hinted = network.predict(grey(2), hints)
    np.testing.assert_allclose(hinted.ab[1, :, 3, 5], [40, -30], atol=0.5)
    np.testing.assert_allclose(hinted.ab[0], plain.ab[0], atol=0.01)
    network.close()


@pytest.mark.parametrize("bins", [..., None, [], [[1, 2, 3]], [["a", "b"], ["c", "d"]], 7])
def test_a_card_of_the_second_contract_without_its_colours_is_refused(tmp_path: Path, bins: object) -> None:
    path = write_two_model(tmp_path, bins=bins) if bins is not ... else write_model(
        tmp_path / "two.onnx", tiny_model(), contract="autochrome-2"
    )  # fmt: skip
    with pytest.raises(WeightsError, match=r"two\.json: 'bins'"):
        opened(path)


def test_confidence_is_1_where_one_colour_is_certain_and_0_where_none_is_likelier() -> None:
    logits = np.zeros((1, 5, 1, 3), np.float32)
    logits[0, 2, 0, 1] = 1000
    logits[0, 2, 0, 2] = 2
    certain = Evidence(logits, np.zeros((5, 2), np.float32)).confidence()[0, 0, 0]
    assert certain[0] == pytest.approx(0, abs=1e-6)
    assert certain[1] == pytest.approx(1, abs=1e-6)
    assert 0 < certain[2] < 1


def test_two_networks_without_evidence_are_averaged(tiny: Path, other: Path) -> None:
    first, second, both = opened(tiny), opened(other), opened(tiny, other)
    seen = grey(3, 160, 224)
    expected = (first.predict(seen).ab + second.predict(seen).ab) / 2
    np.testing.assert_allclose(both.predict(seen).ab, expected, atol=1e-3)
    assert np.abs(expected - first.predict(seen).ab).mean() > 1


def test_colours_weigh_by_confidence_where_there_is_one(two: Path, tmp_path: Path) -> None:
    sure = write_two_model(tmp_path, name="sure", seed=8)
    seen = grey(2, 160, 224)
    one, another = (opened(path).predict(seen) for path in (two, sure))
    assert one.evidence is not None
    assert another.evidence is not None
    shares = [resized(found.evidence.confidence(), 40, 56).clip(1e-3) for found in (one, another) if found.evidence]
    expected = (one.ab * shares[0] + another.ab * shares[1]) / (shares[0] + shares[1])
    answer = opened(two, sure).predict(seen)
    np.testing.assert_allclose(answer.ab, expected, atol=1e-3)
    assert answer.evidence is not None


def test_one_that_does_not_say_how_sure_it_is_weighs_as_much_on_average(two: Path, tiny: Path) -> None:
    seen = grey(1, 160, 224)
    one, plain = opened(two).predict(seen), opened(tiny).predict(seen)
    assert one.evidence is not None
    share = resized(one.evidence.confidence(), 40, 56).clip(1e-3)
    expected = (one.ab * share + plain.ab * share.mean()) / (share + share.mean())
    np.testing.assert_allclose(opened(two, tiny).predict(seen).ab, expected, atol=1e-3)


def test_each_sees_the_picture_at_its_own_size(tiny: Path, tmp_path: Path) -> None:
    fixed = write_foreign(tmp_path / "fixed.onnx")
    both = opened(tiny, fixed)
    assert both.spec.size.photo == 256
    assert both.predict(grey(2, 256, 352)).ab.shape == (2, 2, 64, 88)
    assert both.predict(grey(2, 224, 160)).ab.shape == (2, 2, 56, 40)


def test_what_is_merged_is_said(tiny: Path, other: Path, two: Path) -> None:
    network, choice = open_network("onnxruntime", f"{tiny}+{other}")
    assert (network.spec.model, network.spec.contract) == ("tiny+other", "autochrome-1+autochrome-1")
    assert network.spec.fingerprint == fingerprint(f"{tiny}+{other}") != fingerprint(f"{other}+{tiny}")
    assert len(network.spec.weights_sha256) == 64
    assert choice.engine == network.spec.engine == "onnxruntime"
    assert fingerprint(str(tiny)) == opened(tiny).spec.fingerprint
    assert not opened(tiny, two).spec.takes_hints


def test_hints_are_refused_unless_all_take_them(two: Path, tiny: Path, tmp_path: Path) -> None:
    hints = np.zeros((1, 3, 40, 56), np.float32)
    with pytest.raises(EngineError, match="takes no hints"):
        opened(two, tiny).predict(grey(1, 160, 224), hints)
    hints[0, :, 8, 8] = 30, 10, 1
    both = opened(two, write_two_model(tmp_path, name="more", seed=3))
    np.testing.assert_allclose(both.predict(grey(1, 160, 224), hints).ab[0, :, 8, 8], [30, 10], atol=0.5)


def test_closing_closes_all(tiny: Path, other: Path) -> None:
    both = opened(tiny, other)
    both.close()
    both.close()
    with pytest.raises(EngineError, match="closed"):
        both.predict(grey())


@pytest.mark.parametrize("model", ["a+a", "a+b+c+d+e"])
def test_what_cannot_be_merged_is_refused(model: str) -> None:
    with pytest.raises(WeightsError, match="can be merged"):
        model_names(model)


@pytest.mark.parametrize("model", ["", "a+", "+", "a++b"])
def test_a_model_without_a_name_is_refused(model: str) -> None:
    with pytest.raises(WeightsError, match="has no name") as caught:
        model_names(model)
    assert "fast+ddcolor" in caught.value.advice


def test_a_file_with_a_plus_in_its_name_is_one_network(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a+b.onnx", tiny_model())
    assert model_names(str(path)) == (str(path),)
    assert model_names("a + b") == ("a", "b")


def test_a_member_that_cannot_be_opened_leaves_no_other_open(tiny: Path) -> None:
    with pytest.raises(WeightsError, match="no weights named 'sepia'"):
        open_network("onnxruntime", f"{tiny}+sepia")
