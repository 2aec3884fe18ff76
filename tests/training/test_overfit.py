from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytestmark = pytest.mark.nightly

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")

from tests.training.tiny import CONFIG  # noqa: E402
from training.config import ConfigError  # noqa: E402
from training.data import PhotoCache  # noqa: E402
from training.export import ExportError, export_command  # noqa: E402
from training.overfit import overfit  # noqa: E402
from training.photo_files import PhotosError  # noqa: E402
from training.runlog import Progress  # noqa: E402
from training.train import CHECKPOINT  # noqa: E402
from training.train_options import TrainOptions  # noqa: E402

PLAIN = TrainOptions(tensorboard=False, device="cpu")


def test_a_network_learns_a_handful_by_heart_and_one_that_does_not_learn_is_told_apart(
    photo_cache: Path, tmp_path: Path
) -> None:
    photos = PhotoCache(photo_cache)
    watched: list[Progress] = []
    config = dataclasses.replace(CONFIG, batch=64, learning_rate=3e-3, encoder_learning_rate=3e-3, warmup=5)
    done = overfit(
        config, photos=photos, run=tmp_path / "learns", count=3, steps=120, options=PLAIN, watch=watched.append
    )
    assert (done.photographs, done.steps) == (3, 120)
    assert done.learnt, f"{done.reached} is not half of {done.grey}"
    assert done.sheet.is_file()
    assert watched[-1].step == watched[-1].steps == 120
    with pytest.raises(ExportError, match="a check with --overfit"):
        export_command(tmp_path / "learns" / CHECKPOINT, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()
    still = dataclasses.replace(config, learning_rate=0.0, encoder_learning_rate=0.0)
    assert not overfit(still, photos=photos, run=tmp_path / "still", count=3, steps=2, options=PLAIN).learnt
    with pytest.raises(ConfigError, match="holds a run already"):
        overfit(still, photos=photos, run=tmp_path / "still", count=3, steps=2, options=PLAIN)


def test_too_few_photographs_are_an_error(photo_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="12 photographs are too few to overfit 13"):
        overfit(CONFIG, photos=PhotoCache(photo_cache), run=tmp_path / "run", count=13)
    assert not (tmp_path / "run").exists()
