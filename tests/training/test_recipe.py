from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.nightly

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from PIL import Image  # noqa: E402

from engines.library import load_weights  # noqa: E402
from tests.training.conftest import synthetic_photo  # noqa: E402
from training.checkpoint import load_trained  # noqa: E402
from training.file_parts import PART_BYTES  # noqa: E402
from training.recipe import main  # noqa: E402

CONFIG = """
name = "small"
architecture = "unet-plain"
seed = 1
steps = 40
batch = 4
crop = 32
min_scale = 0.6
holdout = 4
degraded_share = 0.5
precision = "auto"
learning_rate = 1e-3
beta1 = 0.9
beta2 = 0.98
weight_decay = 0.0
warmup = 2
cooldown = 20
clip = 1.0
ema = 0.9
checkpoint_every = 1000
evaluate_every = 1000
evaluate_photos = 2
[loss]
classification = 0.0
regression = 1.0
distance = "l2"
"""


@pytest.fixture
def recipe(photo_zip: Path, tmp_path: Path) -> Callable[..., int]:
    (tmp_path / "small.toml").write_text(CONFIG)
    always = ["--config", str(tmp_path / "small.toml"), "--run", str(tmp_path / "run"), "--no-tensorboard"]
    always += ["--photos", str(photo_zip), "--short-side", "64", "--device", "cpu", "--runtimes", "onnxruntime"]
    always += ["--saturation", "1.0", "--size", "64"]
    return lambda *more: main([*always, *more])


def _state(run: Path) -> dict[str, Any]:
    return torch.load(run / "checkpoint.pt", weights_only=True)


def test_slices_lead_from_photographs_to_measured_weights_in_small_files(
    recipe: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    (tmp_path / "set").mkdir()
    Image.fromarray(synthetic_photo(30)).save(tmp_path / "set" / "one.png")
    assert recipe("--minutes", "0") == 0
    assert _state(run)["step"] == 1
    assert "kept=12" in capsys.readouterr().out
    pixels = (run / "photos" / "pixels.u8").stat().st_mtime_ns
    assert not (run / "small.onnx").exists()
    assert recipe("--sets", str(tmp_path / "set"), "--whole") == 0
    assert _state(run)["step"] == 40
    assert (run / "photos" / "pixels.u8").stat().st_mtime_ns == pixels
    assert load_weights(str(run / "small.onnx")).name == "small"
    scores = json.loads((run / "evaluation.json").read_text())["scores"]
    assert [score["system"] for score in scores] == ["small", "grey"]
    card = load_weights(str(run / "small.onnx")).card
    assert card["evaluation"]["sets"]["set"]["ciede2000"] == round(scores[0]["ciede2000"], 2)
    assert card["evaluation"]["weights_sha256"] == card["sha256"]
    assert "CIEDE2000" in (run / "evaluation.md").read_text()
    assert (run / "evaluation.png").exists()
    parts = sorted((run / "parts").iterdir())
    assert max(path.stat().st_size for path in parts) <= PART_BYTES
    for name in ("small-weights.pt", "small.onnx", "checkpoint.pt"):
        joined = b"".join(path.read_bytes() for path in parts if re.fullmatch(rf"{name}\.\d+", path.name))
        assert joined == (run / name).read_bytes()
        (tmp_path / name).write_bytes(joined)
    assert load_trained(tmp_path / "small-weights.pt").step == 40


def test_a_finished_run_is_not_trained_again_and_a_stage_can_be_asked_for_alone(
    recipe: Callable[..., int], tmp_path: Path
) -> None:
    assert recipe("--stage", "train", "--minutes", "9") == 0
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    assert recipe("--stage", "train") == 0
    assert recipe("--stage", "pack") == 0
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before
    assert not (tmp_path / "run" / "small.onnx").exists()


def test_a_run_can_be_brought_to_an_early_end(recipe: Callable[..., int], tmp_path: Path) -> None:
    assert recipe("--stage", "train", "--minutes", "0", "--total-minutes", "60") == 0
    assert _state(tmp_path / "run")["plan"]["steps"] is None
    assert recipe("--stage", "finish", "--minutes", "0.02", "--total-minutes", "60") == 0
    plan = _state(tmp_path / "run")["plan"]
    assert plan["steps"] == plan["cooldown"] + 1


def test_what_is_wrong_is_said_with_its_exit_code(
    recipe: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--run", str(tmp_path / "run"), "--config", str(tmp_path / "small.toml")]
    assert main(arguments) == 9
    assert "no decoded photographs" in capsys.readouterr().err
    assert recipe("--stage", "finish") == 9
    assert "nothing to finish" in capsys.readouterr().err
