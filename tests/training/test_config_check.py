"""Whatever does not fit is refused with its reason, and before any photograph is decoded."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from safetensors.torch import save_file  # noqa: E402

from engines.errors import WeightsError  # noqa: E402
from tests.commands import colorize  # noqa: E402
from tests.training.conftest import png, synthetic_photo  # noqa: E402
from tests.training.tiny import COHERENT, CONFIG, GAN, LATENT, REGRESSION, as_toml  # noqa: E402
from training.architectures import ARCHITECTURES  # noqa: E402
from training.architectures.encoders import ColourResNet18Encoder, VGG16Encoder  # noqa: E402
from training.backbone import convert_backbone  # noqa: E402
from training.checkpoint import load_trained  # noqa: E402
from training.config import AdversaryConfig, ConfigError, TrainConfig, config_text  # noqa: E402
from training.config_check import check_config, check_weights  # noqa: E402
from training.data import build_cache  # noqa: E402
from training.files import WriteError  # noqa: E402
from training.train import train  # noqa: E402

JUDGED = dataclasses.replace(
    REGRESSION,
    adversary=AdversaryConfig(objective="vanilla", weight=0.3, learning_rate=1e-3, discriminator="pretrained"),
)


def _with(config: TrainConfig, **changes: Any) -> TrainConfig:
    """Return ``config`` changed; keys of its loss and its adversary begin with ``loss_`` and ``adversary_``."""
    for table in ("loss", "adversary"):
        own = {key.removeprefix(f"{table}_"): changes.pop(key) for key in list(changes) if key.startswith(f"{table}_")}
        if own:
            changes[table] = dataclasses.replace(getattr(config, table), **own)
    return dataclasses.replace(config, **changes)


@pytest.mark.parametrize("config", [CONFIG, REGRESSION, GAN, LATENT, COHERENT, JUDGED], ids=lambda config: config.name)
def test_what_fits_is_accepted(config: TrainConfig) -> None:
    assert check_config(config) is ARCHITECTURES[config.architecture]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"architecture": "resnet19"}, "architecture must be one of"),
        ({"loss": REGRESSION.loss}, "loss.classification must be above 0"),
        ({"architecture": "unet-plain"}, "loss.classification must be above 0"),
        ({"crop": 48}, "crop must be a multiple of 32"),
        ({"batch": 5}, "multiple of the 2 processes"),
        ({"embeddings": True}, "embeddings need frozen_encoder"),
        ({"embeddings": True}, "embeddings are for an architecture that decodes"),
        ({"line_art_share": 1.0}, "lines say nothing of lightness"),
        ({"architecture": "unet-simple"}, "loss.rebalance_power must be 0"),
        ({"architecture": "unet-plain", "frozen_encoder": True}, "frozen_encoder is for an architecture with"),
        ({"evaluate_photos": 5}, "at most holdout"),
        ({"undegraded": ("rain",)}, "undegraded must be among"),
        ({"hinted_share": 0.5}, "hinted_share is for an architecture that takes hints"),
        ({"loss_divergence": 0.1}, "loss.divergence is for an architecture with a latent"),
        ({"loss_evidence": 0.1}, "loss.evidence is for an architecture that tells"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_with_the_reason(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check_config(_with(CONFIG, **changes), ranks=2)


@pytest.mark.parametrize(
    ("config", "changes", "told"),
    [
        (REGRESSION, {"encoder_learning_rate": 1e-3}, "encoder_learning_rate without an encoder that learns"),
        (CONFIG, {"frozen_encoder": True}, "encoder_learning_rate without an encoder that learns"),
        (CONFIG, {"degraded_share": 0.0, "undegraded": ("grain",)}, "undegraded without degraded_share above 0"),
        (CONFIG, {"evaluate_every": 0}, "evaluate_photos without evaluate_every above 0"),
        (
            CONFIG,
            {"evaluate_every": 0, "evaluate_photos": 0, "evaluate_crop": 64},
            "evaluate_crop without evaluate_every above 0",
        ),
        (REGRESSION, {"augment": False}, "min_scale without augment"),
        (COHERENT, {"augment": False, "min_scale": None}, r"growth\.0\.min_scale without augment"),
        (COHERENT, {"loss_distance": "l1"}, "loss.distance without loss.regression above 0"),
        (CONFIG, {"loss_unit": 128.0}, "loss.unit without"),
        (LATENT, {"loss_unit": 128.0}, "loss.unit without"),
        (REGRESSION, {"loss_annealing": 0.38}, "loss.annealing without bins"),
        (COHERENT, {"loss_annealing": 0.38}, "loss.annealing without bins"),
        (LATENT, {"loss_rebalance_uniform": 0.5}, "loss.rebalance_uniform without loss.rebalance_power above 0"),
        (LATENT, {"loss_rebalance_by": "nearest"}, "loss.rebalance_by without loss.rebalance_power above 0"),
        (LATENT, {"loss_rebalance_sigma": 5.0}, "loss.rebalance_sigma without loss.rebalance_power above 0"),
        (GAN, {"adversary_encoder_learning_rate": 1e-4}, 'encoder_learning_rate without discriminator "pretrained"'),
    ],
)
def test_a_key_that_nothing_would_read_is_refused(config: TrainConfig, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=f"nothing reads .*{told}"):
        check_config(_with(config, **changes))


@pytest.mark.parametrize(
    ("config", "key"),
    [(CONFIG, key) for key in ("encoder_learning_rate", "min_scale", "loss_distance", "loss_rebalance_uniform")],
)
def test_a_key_that_is_needed_after_all_is_asked_for(config: TrainConfig, key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key.replace('loss_', 'loss.')} is missing, and needed for"):
        check_config(_with(config, **{key: None}))


def test_a_backbone_that_nothing_takes_is_refused_and_a_judge_takes_it(tmp_path: Path) -> None:
    plain = ARCHITECTURES["unet-plain"]
    backbone = tmp_path / "resnet18.safetensors"
    state = ColourResNet18Encoder().state_dict()
    save_file({name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}, backbone)
    with pytest.raises(ConfigError, match="unet-plain has no encoder for"):
        check_weights(REGRESSION, plain, backbone=backbone, start_from=None)
    check_weights(JUDGED, plain, backbone=backbone, start_from=None)
    with pytest.raises(ConfigError, match="pretrained discriminator needs ImageNet weights"):
        check_weights(JUDGED, plain, backbone=None, start_from=None)
    vgg16 = _with(REGRESSION, architecture="vgg16-autoencoder", encoder_learning_rate=1e-4)
    with pytest.raises(WeightsError, match=r"resnet18\.safetensors: not this encoder's weights"):
        check_weights(vgg16, ARCHITECTURES["vgg16-autoencoder"], backbone=backbone, start_from=None)


def test_weights_of_another_architecture_to_start_from_are_refused(tmp_path: Path) -> None:
    weights = {"ema": ARCHITECTURES["unet-plain"].build().state_dict()}
    torch.save(weights, tmp_path / "checkpoint.pt")
    check_weights(REGRESSION, ARCHITECTURES["unet-plain"], backbone=None, start_from=tmp_path / "checkpoint.pt")
    with pytest.raises(WeightsError, match="weights of another network"):
        check_weights(CONFIG, ARCHITECTURES["resnet18-bins"], backbone=None, start_from=tmp_path / "checkpoint.pt")
    (tmp_path / "net.onnx").write_bytes(b"")
    with pytest.raises(WeightsError, match="linear head over bins"):
        check_weights(REGRESSION, ARCHITECTURES["unet-plain"], backbone=None, start_from=tmp_path / "net.onnx")


@pytest.mark.nightly
@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("coherent-vivid", "needs ImageNet weights"),
        (
            config_text("pix2pix").replace("[adversary]\n", "[adversary]\nencoder_learning_rate = 1e-4\n"),
            "nothing reads",
        ),
    ],
)
def test_the_command_refuses_before_it_looks_at_a_photograph(config: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"never looked at")
    if "\n" in config:
        (tmp_path / "own.toml").write_text(config)
        config = str(tmp_path / "own.toml")
    done = colorize("model", "train", config, "--photos", tmp_path / "photos", "--run", tmp_path / "run", "--json")
    assert done.returncode == 9, done.stderr
    assert told in json.loads(done.stdout)["error"]["message"]
    assert not (tmp_path / "run").exists()


@pytest.mark.nightly
def test_a_run_does_not_go_on_with_the_few_photographs_of_a_check(photo_zip: Path, tmp_path: Path) -> None:
    build_cache([photo_zip], tmp_path / "run" / "photos", short_side=192, enough=8)
    for named in ([], ["--photos", photo_zip], ["--photos", tmp_path / "run" / "photos"]):
        done = colorize("model", "train", "unet-plain", "--run", tmp_path / "run", *named, "--json")
        assert done.returncode == 4, done.stderr
        assert "holds 8 of the photographs, for a check" in json.loads(done.stdout)["error"]["message"]


def _photographs(folder: Path, numbers: range) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"{number}.png").write_bytes(png(synthetic_photo(number)))
    return folder


@pytest.mark.nightly
def test_after_too_few_the_same_command_takes_photographs_that_were_added(tmp_path: Path) -> None:
    photos, run = _photographs(tmp_path / "photos", range(3)), tmp_path / "run"
    (tmp_path / "own.toml").write_text(as_toml(_with(REGRESSION, holdout=2, evaluate_photos=1, batch=2)))
    words = ["train", tmp_path / "own.toml", "--photos", photos, "--run", run, "--crops", "2", "--no-tensorboard"]
    few = colorize("model", *words, "--json")
    assert few.returncode == 9, few.stderr
    assert "3 photographs are too few" in json.loads(few.stdout)["error"]["message"]
    assert not run.exists()
    _photographs(photos, range(3, 5))
    enough = colorize("model", *words, "--json")
    assert enough.returncode == 0, enough.stderr
    assert json.loads(enough.stdout)["photographs"] == 5


def _file(folder: Path) -> Path:
    (folder / "file").write_text("a file")
    return folder / "file"


@pytest.mark.nightly
def test_a_run_below_a_file_is_refused_before_a_photograph_is_touched(tmp_path: Path) -> None:
    photos = _photographs(tmp_path / "photos", range(1))
    run = _file(tmp_path) / "run"
    done = colorize("model", "train", "unet-plain", "--photos", photos, "--run", run, "--json")
    assert done.returncode == 5, done.stderr
    error = json.loads(done.stdout)["error"]
    assert re.search(r"file/run.*: cannot be made: .*file is not a folder", error["message"])
    assert error["advice"]


def test_places_that_take_no_files_are_named_and_nothing_is_made(photo_cache: Path, tmp_path: Path) -> None:
    file = _file(tmp_path)
    with pytest.raises(WriteError, match=r"file/checkpoint.pt: cannot be made: .*file is not a folder"):
        train(REGRESSION, photos=photo_cache, run=file)
    with pytest.raises(WriteError, match=r"file/photos.*: cannot be made: .*file is not a folder"):
        build_cache([photo_cache], file / "photos", short_side=64)
    save_file(dict(VGG16Encoder().state_dict()), tmp_path / "vgg16.safetensors")
    with pytest.raises(WriteError, match=r"file/out.safetensors: cannot be written: Not a directory") as refused:
        convert_backbone(tmp_path / "vgg16.safetensors", file / "out.safetensors")
    assert refused.value.advice
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "vgg16.safetensors"]


def test_weights_that_are_not_there_are_named_once_and_with_advice(tmp_path: Path) -> None:
    gone = tmp_path / "none.safetensors"
    for architecture, config in (("resnet18-bins", CONFIG), ("unet-plain", JUDGED)):
        with pytest.raises(WeightsError, match=r"^[^:]*none\.safetensors: no such file$") as refused:
            check_weights(config, ARCHITECTURES[architecture], backbone=gone, start_from=None)
        assert "colorize-model backbone FILE" in refused.value.advice
    with pytest.raises(WeightsError, match=r"^[^:]*none\.pt: no such file$") as refused:
        load_trained(tmp_path / "none.pt")
    assert "checkpoint.pt" in refused.value.advice
    with pytest.raises(WeightsError, match=r"not a usable training checkpoint \(IndexError.*\)"):
        load_trained(_file(tmp_path))
    with pytest.raises(WeightsError, match=r"file: not a checkpoint of a training run"):
        check_weights(REGRESSION, ARCHITECTURES["unet-plain"], backbone=None, start_from=tmp_path / "file")
