from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.nightly

torch = pytest.importorskip("torch", reason="torch is not installed")
onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from PIL import Image  # noqa: E402

from engines.base import Engine  # noqa: E402
from engines.decoding import compressed  # noqa: E402
from engines.errors import WeightsError  # noqa: E402
from engines.library import load_weights  # noqa: E402
from engines.onnxruntime import open_reference  # noqa: E402
from engines.openvino import open_openvino  # noqa: E402
from tests.engines.opening import ab_of, model_of  # noqa: E402
from tests.training.conftest import synthetic_photo  # noqa: E402
from tests.training.tiny import CONFIG, LATENT  # noqa: E402
from training.average import average  # noqa: E402
from training.calibrate import CalibrationError, calibrate  # noqa: E402
from training.checkpoint import GAINS, CheckpointEngine, Decoding, Generator, keep_weights, load_trained  # noqa: E402
from training.compare import ModelSettings, compare_command  # noqa: E402
from training.data import PhotoCache  # noqa: E402
from training.export import Exported, ExportError, add_scores, check_parity, export_command  # noqa: E402
from training.onnx_graph import graph_of, to_onnx  # noqa: E402
from training.scores import as_card  # noqa: E402
from training.train import train  # noqa: E402
from training.train_options import TrainOptions  # noqa: E402

SIMPLE = {"Add", "Cast", "Concat", "Conv", "Div", "Gemm", "MatMul", "MaxPool", "ReduceMean", "Relu", "Resize"}
SIMPLE |= {"Softmax", "Sub", "Transpose", "Unsqueeze"}


PLAIN = TrainOptions(tensorboard=False)


@pytest.fixture(scope="module")
def checkpoint(photo_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(CONFIG, photos=photo_cache, run=tmp_path_factory.mktemp("run"), options=PLAIN)


@pytest.fixture(scope="module")
def regressor(photo_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(LATENT, photos=photo_cache, run=tmp_path_factory.mktemp("regressor"), options=PLAIN)


@pytest.fixture(scope="module")
def exported(checkpoint: Path, photo_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    output = tmp_path_factory.mktemp("models") / "tiny.onnx"
    return export_command(
        checkpoint, output, licence="CC0-1.0", calibration_photos=2, calibration_size=64, cf_share=0.0
    )


def _settings(exported: Exported) -> dict[str, float]:
    return {"temperature": exported.card["temperature"], "saturation": exported.card["saturation"]}


@pytest.mark.parametrize("open_runtime", [open_reference, partial(open_openvino, precision="f32")], ids=["ort", "ov"])
def test_every_runtime_answers_as_the_trained_network_at_every_shape(
    exported: Exported, checkpoint: Path, open_runtime: Callable[..., Engine]
) -> None:
    trained = CheckpointEngine(checkpoint, **_settings(exported))
    engine = open_runtime(model_of(exported.path))
    for shape in ((1, 1, 32, 32), (3, 1, 64, 96), (2, 1, 160, 32)):
        lightness = np.random.default_rng(0).uniform(0, 100, shape).astype(np.float32)
        expected = trained.predict(lightness).ab
        assert np.abs(expected).mean() > 1
        assert np.abs(ab_of(engine, lightness) - expected).mean() < 0.05
    engine.close()


def test_the_card_is_complete_and_true(exported: Exported, checkpoint: Path, photo_cache: Path) -> None:
    card = json.loads(exported.card_path.read_text(encoding="utf-8"))
    assert card == exported.card
    assert card["sha256"] == hashlib.sha256(exported.path.read_bytes()).hexdigest()
    assert (card["name"], card["licence"], card["multiple"], card["stride"]) == ("tiny", "CC0-1.0", 32, 4)
    assert card["training"]["config"] == json.loads(json.dumps(dataclasses.asdict(CONFIG)))
    assert card["training"]["samples"] == CONFIG.steps * CONFIG.batch
    assert card["training"]["photographs"] == len(PhotoCache(photo_cache)) - CONFIG.holdout
    assert card["training"]["checkpoint_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert load_weights(str(exported.path)).name == "tiny"


def test_the_graph_is_simple_and_keeps_half_precision_weights(exported: Exported) -> None:
    graph = onnx.load(exported.path).graph
    assert set(Counter(node.op_type for node in graph.node)) <= SIMPLE
    types = {onnx.TensorProto.DataType.Name(weight.data_type): 0 for weight in graph.initializer}
    for weight in graph.initializer:
        types[onnx.TensorProto.DataType.Name(weight.data_type)] += int(np.prod(weight.dims))
    assert types["FLOAT16"] > 100 * types["FLOAT"]
    assert exported.path.stat().st_size < 2.1 * exported.card["parameters"]


def test_the_file_says_nothing_about_the_machine_it_was_made_on(exported: Exported) -> None:
    content = exported.path.read_bytes()
    for trace in (b".py", str(Path.cwd()).encode(), b"pkg.torch", b"site-packages"):
        assert trace not in content


def test_the_graph_of_one_checkpoint_is_the_same_every_time(exported: Exported, checkpoint: Path) -> None:
    generator = Generator(load_trained(checkpoint), Decoding(**_settings(exported))).eval()
    again = to_onnx(generator, graph_of(generator, multiple=32, stride=4))
    assert again == exported.path.read_bytes()


def test_a_graph_that_answers_otherwise_is_not_let_through(exported: Exported, checkpoint: Path) -> None:
    bolder = Generator(load_trained(checkpoint), Decoding(1.0, saturation=9.0)).eval()
    with pytest.raises(ExportError, match="differs from torch"):
        check_parity(exported.path, bolder, None)


def test_adaptation_raises_pale_pictures_and_lowers_vivid_ones_within_bounds(checkpoint: Path) -> None:
    generator = Generator(load_trained(checkpoint), Decoding(1.0, saturation=1.5, adaptation=0.5))
    pale, middle, vivid, grey = (torch.full((1, 2, 4, 6), chroma / 2**0.5) for chroma in (7.5, 15.0, 24.0, 0.0))
    assert torch.allclose(generator.adapted(pale), pale * 2**0.5, rtol=1e-3)
    assert torch.allclose(generator.adapted(middle), middle, rtol=1e-3)
    assert torch.allclose(generator.adapted(vivid), vivid * 0.625**0.5, rtol=1e-3)
    assert torch.equal(generator.adapted(grey), grey)
    # Every picture of a batch has its own factor.
    both = generator.adapted(torch.cat([pale, vivid]))
    assert torch.equal(both, torch.cat([generator.adapted(pale), generator.adapted(vivid)]))
    assert torch.allclose(generator.adapted(middle / 100), middle / 100 * GAINS[1])


def test_chroma_above_the_knee_is_compressed_in_the_graph_as_beside_it(checkpoint: Path) -> None:
    generator = Generator(load_trained(checkpoint), Decoding(1.0, knee=28.0))
    angles = np.radians(np.arange(0, 360, 15))
    hues = np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32)
    for before, after in ((0, 0), (20, 20), (28, 28), (48, 36)):
        inside = generator.compressed(torch.from_numpy(hues.T[None, :, None] * before))
        assert np.allclose(inside.numpy()[0, :, 0].T, hues * after, atol=1e-3)
        assert np.allclose(compressed(hues * before, 28.0), hues * after, atol=1e-4)
    assert np.array_equal(compressed(hues * 48, None), hues * 48)


def test_an_adapted_network_answers_alike_in_every_runtime(checkpoint: Path, photo_cache: Path, tmp_path: Path) -> None:
    settings = {"temperature": 1.0, "saturation": 1.5, "adaptation": 0.3, "knee": 5.0}
    done = export_command(checkpoint, tmp_path / "x.onnx", **settings, photos=photo_cache)  # type: ignore[arg-type]  # all are float
    assert done.card.items() >= settings.items()
    assert {one.runtime.split()[0] for one in done.parity} == {"ONNX", "OpenVINO"}


def test_the_mean_of_two_networks_lies_between_them(checkpoint: Path, regressor: Path, tmp_path: Path) -> None:
    state = torch.load(checkpoint, weights_only=True)
    before = state["ema"]["head.weight"].clone()
    state["ema"]["head.weight"] += 1
    torch.save(state, tmp_path / "other.pt")
    average(checkpoint, tmp_path / "other.pt", tmp_path / "mean.pt", share=0.25)
    assert torch.allclose(load_trained(tmp_path / "mean.pt").model.get_parameter("head.weight"), before + 0.25)
    with pytest.raises(WeightsError, match=r"but .* is"):
        average(checkpoint, regressor, tmp_path / "mean.pt", share=0.5)


def test_a_failed_export_leaves_nothing_behind(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="temperature and saturation"):
        export_command(checkpoint, tmp_path / "models" / "tiny.onnx", temperature=0.5)
    with pytest.raises(CalibrationError, match="colourfulness reaches"):
        export_command(checkpoint, tmp_path / "models" / "tiny.onnx", calibration_size=32, cf_share=9.0)
    with pytest.raises(ExportError, match=r"\.onnx"):
        export_command(checkpoint, tmp_path / "tiny.bin", temperature=1.0, saturation=1.0)
    assert not list(tmp_path.rglob("*"))


def test_an_export_whose_photographs_are_gone_asks_for_them(checkpoint: Path, tmp_path: Path) -> None:
    state = torch.load(checkpoint, weights_only=True)
    state["made_from"]["photographs"]["folder"] = str(tmp_path / "gone")
    torch.save(state, tmp_path / "moved.pt")
    with pytest.raises(ExportError, match="temperature and saturation unknown"):
        export_command(tmp_path / "moved.pt", tmp_path / "tiny.onnx")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "wrong.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"wrong\.pt"):
        load_trained(tmp_path / "wrong.pt")


def test_calibration_takes_the_least_error_that_is_colourful_enough(checkpoint: Path, photo_cache: Path) -> None:
    trained, photos = load_trained(checkpoint), PhotoCache(photo_cache)
    grid = {"temperatures": (0.5, 1.0), "saturations": (0.5, 1.0, 4.0)}
    free = calibrate(trained, photos, count=3, size=64, cf_share=0.0, **grid)
    assert len(free.points) == 6
    assert free.chosen.ciede2000 == min(point.ciede2000 for point in free.points)
    least = sorted(point.cf for point in free.points)[3] / free.cf_truth
    bold = calibrate(trained, photos, count=3, size=64, cf_share=least, **grid)
    enough = [point for point in bold.points if point.cf >= least * bold.cf_truth]
    assert 0 < len(enough) < 6
    assert bold.chosen.ciede2000 == min(point.ciede2000 for point in enough)
    assert len(bold.as_markdown().splitlines()) == 4


def test_calibration_never_looks_at_photographs_trained_on(checkpoint: Path, photo_cache: Path) -> None:
    with pytest.raises(CalibrationError, match="1 to 4"):
        calibrate(load_trained(checkpoint), PhotoCache(photo_cache), count=5, size=64, cf_share=0.5)


def test_colours_that_stay_too_pale_are_an_error(checkpoint: Path, photo_cache: Path) -> None:
    with pytest.raises(CalibrationError, match="at most"):
        calibrate(
            load_trained(checkpoint), PhotoCache(photo_cache), count=1, size=64, cf_share=0.95, saturations=(0.01,)
        )


def test_a_calibrated_export_says_how_it_was_calibrated(exported: Exported) -> None:
    assert exported.calibration is not None
    chosen = exported.calibration.chosen
    assert _settings(exported) == {"temperature": chosen.temperature, "saturation": chosen.saturation}
    assert exported.card["calibration"]["photographs"] == 2


def test_model_and_checkpoint_are_measured_alike(exported: Exported, checkpoint: Path, tmp_path: Path) -> None:
    for number in range(2):
        Image.fromarray(synthetic_photo(20 + number)).save(tmp_path / f"{number}.png")
    small = ModelSettings(size=64, engine="onnxruntime")
    shipped = compare_command([str(exported.path)], [tmp_path], settings=small, rivals=True).report
    decoding = ModelSettings(size=64, **_settings(exported))
    trained = compare_command([str(checkpoint)], [tmp_path], settings=decoding).report
    assert [score.system for score in shipped.scores] == ["tiny", "grey"]
    assert shipped.models[0].weights_sha256 == exported.card["sha256"]
    assert shipped.notes == ("LPIPS was left out: no weights were given.",)
    assert trained.scores[0].ciede2000 == pytest.approx(shipped.scores[0].ciede2000, abs=0.02)
    assert trained.scores[0].cf == pytest.approx(shipped.scores[0].cf, abs=0.2)
    assert trained.models[0].cost.parameters == shipped.models[0].cost.parameters == exported.card["parameters"]
    assert trained.models[0].cost.flops == pytest.approx(shipped.models[0].cost.flops, rel=0.01)
    assert as_card(shipped)["weights_sha256"] == exported.card["sha256"]


def test_scores_of_the_same_export_go_into_its_card(exported: Exported, checkpoint: Path, tmp_path: Path) -> None:
    assert exported.card["evaluation"] == {}
    Image.fromarray(synthetic_photo(20)).save(tmp_path / "photo.png")
    small = ModelSettings(size=64, engine="onnxruntime")
    measured = compare_command([str(exported.path)], [tmp_path], settings=small, rivals=True).report
    report, output = tmp_path / "report.json", tmp_path / "models" / "again.onnx"
    report.write_text(measured.as_json(), encoding="utf-8")
    export = partial(export_command, checkpoint, output, evaluation=report, runtimes=["onnxruntime"])
    with pytest.raises(ExportError, match=r"report\.json: what it measured is not this export"):
        export(temperature=1.5, saturation=1.5)
    assert not output.parent.exists()
    again = export(**_settings(exported))
    assert again.card["evaluation"] == as_card(measured)
    assert json.loads(again.card_path.read_text(encoding="utf-8")) == again.card


def test_a_measured_file_takes_its_own_scores_into_its_card_and_no_others(exported: Exported, tmp_path: Path) -> None:
    for path in (exported.path, exported.card_path):
        shutil.copy(path, tmp_path)
    Image.fromarray(synthetic_photo(20)).save(tmp_path / "photo.png")
    path, report = tmp_path / exported.path.name, tmp_path / "report.json"
    measured = compare_command([str(path)], [tmp_path], settings=ModelSettings(size=64, engine="onnxruntime")).report
    report.write_text(measured.as_json(), encoding="utf-8")
    add_scores(path, report)
    assert load_weights(str(path)).card == {**exported.card, "evaluation": as_card(measured)}
    report.write_text(measured.as_json().replace(str(exported.card["sha256"]), "0" * 64), encoding="utf-8")
    with pytest.raises(ExportError, match="what it measured is not this export"):
        add_scores(path, report)
    assert load_weights(str(path)).card == {**exported.card, "evaluation": as_card(measured)}


def test_a_network_that_answers_with_ab_is_exported_at_full_size(
    regressor: Path, photo_cache: Path, tmp_path: Path
) -> None:
    done = export_command(regressor, tmp_path / "ab.onnx", saturation=1.5, photos=photo_cache)
    assert (done.card["multiple"], done.card["stride"], done.card["temperature"]) == (2, 1, None)
    assert [one.runtime.split()[0] for one in done.parity] == ["ONNX", "OpenVINO"]
    lightness = np.random.default_rng(0).uniform(0, 100, (2, 1, 48, 80)).astype(np.float32)
    bold, plain = (CheckpointEngine(regressor, temperature=0.4, saturation=s).predict(lightness).ab for s in (1.5, 1.0))
    np.testing.assert_allclose(bold, 1.5 * plain, atol=1e-4)
    engine = open_reference(model_of(done.path))
    assert ab_of(engine, lightness).shape == (2, 2, 48, 80)
    assert np.abs(ab_of(engine, lightness) - bold).mean() < 0.05
    engine.close()


def test_only_the_saturation_of_such_a_network_is_calibrated(regressor: Path, photo_cache: Path) -> None:
    found = calibrate(load_trained(regressor), PhotoCache(photo_cache), count=2, size=64, cf_share=0.0)
    assert {point.temperature for point in found.points} == {None}
    assert len(found.as_markdown().splitlines()) == 3


def test_a_temperature_where_there_is_none_to_choose_is_refused(regressor: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="it has no temperature"):
        export_command(regressor, tmp_path / "ab.onnx", temperature=0.4, saturation=1.0)


def test_the_card_names_only_the_runtimes_that_were_asked(checkpoint: Path, tmp_path: Path) -> None:
    done = export_command(checkpoint, tmp_path / "x.onnx", temperature=0.4, saturation=1.0, runtimes=["onnxruntime"])
    assert len(done.card["parity"]) == 1


def test_weights_kept_alone_colour_as_the_checkpoint_and_are_much_smaller(checkpoint: Path, tmp_path: Path) -> None:
    kept = keep_weights(checkpoint, tmp_path / "weights.pt")
    assert kept.stat().st_size < checkpoint.stat().st_size / 7
    lightness = np.random.default_rng(0).uniform(0, 100, (1, 1, 64, 64)).astype(np.float32)
    whole, half = (
        CheckpointEngine(path, temperature=1.0, saturation=1.0).predict(lightness).ab for path in (checkpoint, kept)
    )
    assert np.abs(whole - half).mean() < 0.05
    assert load_trained(kept).config == CONFIG
