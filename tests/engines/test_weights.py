from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import onnx
import pytest

from engines.adapters.registry import adapter_for
from engines.base import PLAIN
from engines.errors import WeightsError
from engines.library import load_weights
from engines.weights import MODELS, known_weights
from tests.engines.opening import model_of, open_model
from tests.engines.tiny import tiny_model, write_model


@pytest.fixture
def own(tiny: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copy(tiny.with_suffix(".json"), tmp_path)
    return Path(shutil.copy(tiny, tmp_path))


def edit_card(path: Path, **changes: object) -> None:
    card_path = path.with_suffix(".json")
    card = {**json.loads(card_path.read_text(encoding="utf-8")), **changes}
    left = {key: value for key, value in card.items() if value is not ...}
    card_path.write_text(json.dumps(left), encoding="utf-8")


def test_weights_carry_what_their_card_says(own: Path) -> None:
    edit_card(own, name="Tiny", multiple=64, stride=2, licence="MIT", note="more")
    weights = load_weights(str(own))
    adapter = adapter_for(weights)
    assert (weights.name, weights.path, adapter.graph.size.multiple, adapter.stride) == ("Tiny", own, 64, 2)
    assert weights.licence == "MIT"
    assert weights.card["note"] == "more"
    assert weights.read() == own.read_bytes()


def test_one_altered_bit_is_refused(own: Path) -> None:
    content = bytearray(own.read_bytes())
    content[len(content) // 2] ^= 1
    own.write_bytes(content)
    with pytest.raises(WeightsError, match=r"tiny\.onnx: SHA-256") as caught:
        load_weights(str(own))
    assert caught.value.advice
    assert caught.value.exit_code == 9


def test_a_truncated_file_is_refused(own: Path) -> None:
    own.write_bytes(own.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="SHA-256"):
        load_weights(str(own))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_file_altered_after_it_was_checked_does_not_run(own: Path, name: str) -> None:
    registry = pytest.importorskip("engines.registry")
    pytest.importorskip(name)
    model = model_of(own)
    own.write_bytes(tiny_model(seed=1).SerializeToString())
    (entry,) = (entry for entry in registry.ENTRIES if entry.name == name)
    with pytest.raises(WeightsError, match="SHA-256"):
        entry.open(model, PLAIN)


def test_weights_without_a_card_are_refused(own: Path) -> None:
    own.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match=r"tiny\.json: the weights have no card"):
        model_of(own)


@pytest.mark.parametrize("key", ["name", "sha256", "multiple", "stride", "licence", "description"])
def test_a_card_that_lacks_a_key_is_refused_by_the_keys_name(own: Path, key: str) -> None:
    edit_card(own, **{key: ...})
    with pytest.raises(WeightsError, match=rf"tiny\.json: '{key}'"):
        model_of(own)


@pytest.mark.parametrize(
    "change", [{"multiple": "32"}, {"multiple": True}, {"stride": 0}, {"stride": 5}, {"stride": 4.0}, {"name": ""}]
)
def test_a_card_with_nonsense_is_refused(own: Path, change: dict[str, object]) -> None:
    edit_card(own, **change)
    with pytest.raises(WeightsError, match=rf"tiny\.json: .*{next(iter(change))}"):
        model_of(own)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe\x00"], ids=["cut short", "a list", "not text"])
def test_a_card_that_is_no_json_object_is_refused(own: Path, content: bytes) -> None:
    own.with_suffix(".json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"tiny\.json"):
        load_weights(str(own))


def test_a_path_to_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"missing\.onnx: there is no such"):
        load_weights(str(tmp_path / "missing.onnx"))


def test_other_formats_are_refused(own: Path) -> None:
    pickle = own.rename(own.with_suffix(".pt"))
    with pytest.raises(WeightsError, match=r"tiny\.pt: weights are ONNX"):
        load_weights(str(pickle))


@pytest.mark.parametrize(
    ("name", "advice"), [("ddcolor.pth", "Export it to ONNX"), ("colorization_release_v2.caffemodel", "ECCV16")]
)
def test_files_of_other_frameworks_are_refused_with_what_to_do(
    name: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(b"weights")
    with pytest.raises(WeightsError, match="weights are ONNX files") as caught:
        load_weights(name)
    assert advice in caught.value.advice


def test_opencv_does_not_read_caffe(tmp_path: Path) -> None:
    """Should it ever again, Zhang's pair of files can be run, and docs/networks.md says something that is not so."""
    if int(cv2.__version__.split(".")[0]) < 5:
        pytest.skip("OpenCV 4 still reads Caffe's files")
    for name in ("a.prototxt", "a.caffemodel"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(cv2.error, match="Caffe importer has been removed"):
        cv2.dnn.readNet(str(tmp_path / "a.caffemodel"), str(tmp_path / "a.prototxt"))


@pytest.mark.parametrize("name", ["networks.onnx", "networks"])
def test_a_folder_is_called_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    with pytest.raises(WeightsError, match=rf"{name}: is a folder, not an ONNX file") as caught:
        load_weights(name)
    assert "ends in .onnx" in caught.value.advice


def test_a_file_without_the_suffix_is_told_from_an_unknown_name(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own.rename("ddcolor")
    with pytest.raises(WeightsError, match="ddcolor: weights are ONNX files") as caught:
        load_weights("ddcolor")
    assert "ending in .onnx" in caught.value.advice


def test_an_unknown_name_lists_the_known_ones() -> None:
    assert "fast" in known_weights()
    with pytest.raises(WeightsError, match="'sepia'") as caught:
        load_weights("sepia")
    assert "fast" in caught.value.advice


def test_a_bare_name_means_shipped_weights() -> None:
    assert load_weights("fast").path == MODELS / "fast.onnx"


def test_a_bare_name_never_means_a_file_here(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own.parent)
    with pytest.raises(WeightsError, match="no weights named"):
        load_weights("tiny")
    assert load_weights("tiny.onnx").path == Path("tiny.onnx")


def test_every_shipped_model_is_what_its_card_says() -> None:
    if not known_weights():
        pytest.skip("no weights in this checkout")
    for name in known_weights():
        assert load_weights(name).name == name


def test_weights_in_a_second_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.onnx"
    onnx.save(tiny_model(), path, save_as_external_data=True, location="split.bin", size_threshold=0)
    write_model(path, onnx.load(path, load_external_data=False))
    with pytest.raises(WeightsError, match=r"split\.onnx: keeps weights in another file"):
        load_weights(str(path))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_graph_with_other_names_is_refused(tmp_path: Path, name: str) -> None:
    pytest.importorskip(name)
    model = tiny_model()
    for node in model.graph.node:
        node.output[:] = ["chroma" if output == "ab" else output for output in node.output]
    model.graph.output[0].name = "chroma"
    path = write_model(tmp_path / "renamed.onnx", model)
    with pytest.raises(WeightsError, match=r"renamed\.onnx: .* returns chroma"):
        open_model(name, str(path))
