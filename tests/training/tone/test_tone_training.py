"""The tone network is trained on both kinds alike, never on what is held out, and exported as it was trained."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engines.tone_network import SIDE, ToneNetwork
from tests.training.conftest import png, synthetic_photo
from training.tone.gather import gathered, is_held_out, residual_chroma, toned_photographs
from training.tone.network import ToneClassifier
from training.tone.prints import found_photo, found_print, toned_print
from training.tone.samples import Pictures, sample
from training.tone.train import main


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, half of them pale, in a zip file."""
    path = tmp_path_factory.mktemp("photos") / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(160):
            picture = synthetic_photo(number, 100, 140)
            if number % 2:
                grey = picture.mean(axis=2, keepdims=True)
                picture = np.uint8(grey + 0.1 * (picture - grey))
            archive.writestr(f"{number}.png", png(picture))
        archive.writestr(f"{next(iter(toned_photographs()))}.txt", "not a photograph")
    return path


@pytest.fixture(scope="module")
def pictures(photos: Path) -> Pictures:
    return gathered([photos])


def test_what_is_held_out_is_not_gathered(photos: Path, pictures: Pictures) -> None:
    used = [number for number in range(160) if not is_held_out(f"{number}.png")]
    assert 50 < len(used) < 110
    pale = {synthetic_photo(number, 100, 140).shape for number in used if number % 2}
    assert pale
    assert len(pictures.hard) == sum(number % 2 for number in used)
    assert len(gathered([photos], most=40).hard) < len(pictures.hard)


def test_photographs_that_are_toned_themselves_are_left_out(photos: Path, tmp_path: Path) -> None:
    toned = next(name for name in sorted(toned_photographs()) if not is_held_out(name))
    more = tmp_path / "more.zip"
    with zipfile.ZipFile(more, "w") as archive:
        archive.writestr(f"some/{toned}", png(np.full((100, 100, 3), 90, np.uint8)))
    assert len(gathered([photos, more]).hard) == len(gathered([photos]).hard)


def test_one_in_two_samples_is_coloured_and_all_are_in_range(pictures: Pictures) -> None:
    draw = random.Random(1)
    samples = [sample(pictures, draw) for _ in range(200)]
    assert 70 < sum(is_coloured for _, is_coloured in samples) < 130
    for picture, _ in samples:
        assert picture.shape == (3, SIDE, SIDE)
        assert picture.dtype == np.float32
        assert 0 <= picture.min() <= picture.max() <= 1


def test_samples_are_determined_by_their_random_numbers(pictures: Pictures) -> None:
    one, other = (sample(pictures, random.Random(3))[0] for _ in range(2))
    assert np.array_equal(one, other)


def test_prints_have_less_colour_beside_their_tone_than_photographs() -> None:
    photo = synthetic_photo(2, 100, 140).astype(np.float32) / np.float32(255)
    draws = [random.Random(seed) for seed in range(20)]
    prints = np.median([residual_chroma(toned_print(photo, draw)[0]) for draw in draws])
    found = np.median([residual_chroma(found_print(photo, draw)) for draw in draws])
    coloured = np.median([residual_chroma(found_photo(photo, draw)) for draw in draws])
    assert 3 * max(prints, found) < coloured


@pytest.mark.slow
def test_a_run_learns_and_exports_what_it_learned(photos: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = {name: value for name, value in ToneClassifier().state_dict().items() if name.startswith("features")}
    save_file(backbone, tmp_path / "mobilenet.safetensors")
    (tmp_path / "prints").mkdir()
    sepia = np.uint8(synthetic_photo(7, 100, 140).mean(axis=2, keepdims=True) * np.array([1.0, 0.86, 0.66]))
    (tmp_path / "prints" / "a.png").write_bytes(png(sepia))
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    start = ["--backbone", str(tmp_path / "mobilenet.safetensors"), "--prints", str(tmp_path / "prints")]
    assert main([str(photos), *start, "--steps", "12", "-o", str(first)]) == 0
    card = json.loads(first.with_suffix(".json").read_text(encoding="utf-8"))
    assert (card["real_prints"], card["samples"]) == (1, 12 * 64)
    again = ["--start-from", str(first.with_suffix(".pt")), "--steps", "1", "--rate", "0", "-o", str(second)]
    assert main([str(photos), *again]) == 0
    coloured = synthetic_photo(3, 100, 140).astype(np.float32) / np.float32(255)
    grey = np.repeat(coloured.mean(axis=2, keepdims=True), 3, axis=2)
    network = ToneNetwork(first)
    assert network.log_odds(coloured) > network.log_odds(grey)


def test_wrong_weights_are_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet.safetensors")
    (tmp_path / "bad.pt").write_bytes(b"no weights")
    for start in (["--backbone", str(tmp_path / "resnet.safetensors")], ["--start-from", str(tmp_path / "bad.pt")]):
        assert main([str(tmp_path / "none"), *start, "-o", str(tmp_path / "out.onnx")]) != 0
        assert "Error: " in capsys.readouterr().err
    assert not (tmp_path / "out.onnx").exists()
