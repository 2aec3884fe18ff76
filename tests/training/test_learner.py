"""What a configuration can ask of learning beside the usual: frozen encoders, RGB, line art, other optimisers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.nightly

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402

from engines.errors import WeightsError  # noqa: E402
from tests.training.tiny import CONFIG, GAN, REGRESSION  # noqa: E402
from training.config import TrainConfig  # noqa: E402
from training.degrade.lines import line_art  # noqa: E402
from training.device import Machine  # noqa: E402
from training.embeddings import Embeddings  # noqa: E402
from training.train import train  # noqa: E402
from training.train_options import TrainOptions  # noqa: E402

PLAIN = TrainOptions(tensorboard=False, device="cpu")
FROZEN = dataclasses.replace(CONFIG, name="tiny-frozen", frozen_encoder=True, encoder_learning_rate=None, steps=2)
EMBEDDED = dataclasses.replace(
    REGRESSION,
    name="tiny-embedded",
    architecture="vgg16-autoencoder",
    frozen_encoder=True,
    embeddings=True,
    augment=False,
    min_scale=None,
    degraded_share=0.0,
    steps=2,
    loss=dataclasses.replace(
        REGRESSION.loss, regression=1.0, distance="l2", rebalance_uniform=None, rebalance_power=0.0, unit=128.0
    ),
)
LINES = dataclasses.replace(
    REGRESSION,
    name="tiny-lines",
    architecture="unet-vae-4",
    line_art_share=1.0,
    steps=2,
    evaluate_every=2,
    loss=dataclasses.replace(REGRESSION.loss, rebalance_uniform=None, rebalance_power=0.0, drift=0.0),
)


def _state(config: TrainConfig, photos: Path, run: Path, **how: Any) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(train(config, photos=photos, run=run, options=PLAIN, **how), weights_only=True)
    return state


@pytest.mark.parametrize("config", [FROZEN, EMBEDDED], ids=lambda config: config.name)
def test_a_frozen_encoder_stays_as_it_begins_and_the_rest_learns(
    config: TrainConfig, photo_cache: Path, tmp_path: Path
) -> None:
    untrained = dataclasses.replace(config, steps=0)
    begun, done = (_state(one, photo_cache, tmp_path / str(one.steps)) for one in (untrained, config))
    encoder = [name for name in begun["model"] if name.startswith("encoder.")]
    assert encoder
    assert all(torch.equal(begun["model"][name], done["model"][name]) for name in encoder)
    assert any(not torch.equal(begun["model"][name], done["model"][name]) for name in done["model"])


def test_embeddings_are_asked_for_once_and_are_the_encoders() -> None:
    asked: list[int] = []

    class Encoder(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            asked.append(len(x))
            return x.mean(dim=(2, 3), keepdim=True)

    embeddings = Embeddings(Encoder(), Machine(torch.device("cpu")))
    pictures = torch.rand(4, 1, 8, 8)
    first = embeddings([7, 8, 9], pictures[:3])
    again = embeddings([9, 3, 7], torch.stack([torch.zeros(1, 8, 8), pictures[3], torch.zeros(1, 8, 8)]))
    assert asked == [3, 1]
    expected = pictures.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(first, expected[:3], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(again, expected[[2, 3, 0]], atol=1e-3, rtol=1e-3)


def test_line_art_is_white_paper_with_lines_where_the_picture_has_edges() -> None:
    lightness = torch.full((1, 1, 32, 32), 80.0)
    lightness[..., 16:] = 20
    drawn = line_art(lightness)
    assert drawn.shape == lightness.shape
    assert drawn[..., :10].min() > 99
    assert drawn[..., 22:].min() > 99
    # The line lies on the dark side of the edge.
    assert drawn[..., 16].max() < 50
    assert drawn[..., 15].min() > 90


def test_line_art_is_learnt_and_shown_as_rgb(photo_cache: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    _state(LINES, photo_cache, run)
    with Image.open(run / "samples" / "0000002.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"), np.int64)
    # The first tile is what the network saw: lines on white, without colour.
    first = pixels[24 : 24 + LINES.crop, 6 : 6 + LINES.crop]
    assert np.ptp(first, axis=2).max() == 0
    assert np.median(first) > 240
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert records[-1]["held_out/ciede2000"] > 0


def test_the_discriminator_that_resembles_the_encoder_learns(photo_cache: Path, tmp_path: Path) -> None:
    assert GAN.adversary is not None
    adversary = dataclasses.replace(GAN.adversary, objective="vanilla", discriminator="encoder")
    six = dataclasses.replace(GAN, architecture="encoder-decoder-6", crop=64, steps=1, adversary=adversary)
    state = _state(six, photo_cache, tmp_path)
    assert "judge.weight" in state["adversary"]["model"]


def test_adam_decays_everything_and_adamw_matrices_alone(photo_cache: Path, tmp_path: Path) -> None:
    for kind, decays in (("adamw", {0.0, 0.1}), ("adam", {0.1})):
        config = dataclasses.replace(REGRESSION, optimizer=kind, weight_decay=0.1, steps=0)
        state = _state(config, photo_cache, tmp_path / kind)
        assert {group["weight_decay"] for group in state["optimizer"]["param_groups"]} == decays


def test_what_a_run_was_made_from_is_in_its_checkpoint(photo_cache: Path, tmp_path: Path) -> None:
    parent = dataclasses.replace(CONFIG, name="parent", steps=1, evaluate_every=0, evaluate_photos=0)
    train(parent, photos=photo_cache, run=tmp_path / "parent", options=PLAIN)
    child = _state(parent, photo_cache, tmp_path / "child", start_from=tmp_path / "parent" / "checkpoint.pt")
    made_from = child["made_from"]
    assert made_from["photographs"]["count"] == 12
    assert made_from["photographs"]["left_out"] == {"too_small": 1, "grey": 1, "unreadable": 1}
    assert made_from["backbone"] is None
    before = made_from["start_from"]
    assert (before["file"], before["config"], before["steps"]) == ("checkpoint.pt", "parent", 1)
    assert before["made_from"]["photographs"]["count"] == 12


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint", b"PK\x03\x04 damaged"])
def test_a_wrong_file_to_start_from_is_named_and_no_folder_is_made(
    content: bytes | None, photo_cache: Path, tmp_path: Path
) -> None:
    given = tmp_path / "given.pt"
    if content is not None:
        given.write_bytes(content)
    with pytest.raises(WeightsError, match=r"given\.pt: no"):
        train(CONFIG, photos=photo_cache, run=tmp_path / "run", start_from=given, options=PLAIN)
    assert not (tmp_path / "run").exists()


def test_a_damaged_checkpoint_is_not_overwritten(photo_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"not a checkpoint that can be resumed \(\w+: .+\)$"):
        train(CONFIG, photos=photo_cache, run=tmp_path, options=PLAIN)
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"damaged"
