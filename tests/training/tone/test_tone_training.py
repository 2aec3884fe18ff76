"""The tone network is trained on both kinds alike, never on what is held out, and exported as it was trained."""

from __future__ import annotations

import json
import random
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engines.errors import EngineError
from engines.tone_network import SIDE, ToneNetwork
from tests.training.conftest import png, synthetic_photo
from training.photo_files import PhotosError
from training.tone.gather import gathered, is_held_out, residual_chroma, toned_photographs
from training.tone.network import ToneClassifier
from training.tone.prints import found_photo, found_print, toned_print
from training.tone.samples import Pictures, album_page, sample
from training.tone.train import export, main, one_cycle


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
        archive.writestr("notes.txt", "not a photograph")
        archive.writestr(next(f"{number}.png" for number in range(160, 200) if not is_held_out(f"{number}.png")), b"no")
    return path


@pytest.fixture(scope="module")
def pictures(photos: Path) -> Pictures:
    return gathered([photos])


def test_what_is_held_out_is_not_gathered(photos: Path, pictures: Pictures) -> None:
    used = [number for number in range(160) if not is_held_out(f"{number}.png")]
    assert 50 < len(used) < 110
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


def test_album_pages_of_prints_have_less_colour_beside_their_tones(pictures: Pictures) -> None:
    vivid = replace(pictures, hard=pictures.plain, hardness=range(1, len(pictures.plain) + 1))
    chroma = []
    for is_coloured in (False, True):
        pages = [album_page(vivid, random.Random(seed), is_coloured=is_coloured) for seed in range(40)]
        assert all(page.shape[2:] == (3,) and 0 <= page.min() <= page.max() <= 1 for page in pages)
        chroma.append(np.median([residual_chroma(page) for page in pages]))
    assert 1.5 * chroma[0] < chroma[1]


def test_prints_have_less_colour_beside_their_tone_than_photographs() -> None:
    photo = synthetic_photo(2, 100, 140).astype(np.float32) / np.float32(255)
    draws = [random.Random(seed) for seed in range(20)]
    prints = np.median([residual_chroma(toned_print(photo, draw)) for draw in draws])
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
    trained, unchanged = (torch.load(path.with_suffix(".pt"), weights_only=True) for path in (first, second))
    assert all(torch.equal(trained[name], unchanged[name]) for name, _ in ToneClassifier().named_parameters())
    coloured = synthetic_photo(3, 100, 140).astype(np.float32) / np.float32(255)
    grey = np.repeat(coloured.mean(axis=2, keepdims=True), 3, axis=2)
    network = ToneNetwork(first)
    assert network.log_odds(coloured) > network.log_odds(grey)


def test_wrong_weights_are_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet.safetensors")
    (tmp_path / "bad.pt").write_bytes(b"no weights")
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet.pt")
    for option, name in (
        ("--backbone", "resnet.safetensors"),
        ("--backbone", "none.safetensors"),
        ("--start-from", "bad.pt"),
        ("--start-from", "resnet.pt"),
    ):
        assert (
            main([str(tmp_path / "none"), option, str(tmp_path / name), "-o", str(tmp_path / "out" / "tone.onnx")]) != 0
        )
        error, advice = capsys.readouterr().err.splitlines()
        assert error.startswith(f"Error: {tmp_path / name}: not ")
        assert advice
    assert not (tmp_path / "out").exists()


def test_photographs_that_are_missing_or_too_few_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="none: no such folder"):
        gathered([tmp_path / "none"])
    with pytest.raises(PhotosError, match="prints: no such folder"):
        gathered([tmp_path], [tmp_path / "prints"])
    with pytest.raises(PhotosError, match="too few"):
        gathered([tmp_path])


@pytest.mark.parametrize("steps", [1, 2, 9, 100])
def test_the_rate_rises_to_its_highest_and_falls_whatever_the_number_of_steps(steps: int) -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
    schedule = one_cycle(optimiser, [0.5], steps)
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    highest = int(np.argmax(rates))
    assert rates == [*sorted(rates[:highest]), *sorted(rates[highest:], reverse=True)]
    assert steps <= 2 or max(rates) > 0.49


@pytest.mark.slow
def test_a_network_that_has_diverged_is_not_exported(tmp_path: Path) -> None:
    network = ToneClassifier()
    torch.nn.init.constant_(network.out.bias, float("nan"))
    with pytest.raises(EngineError):
        export(network, tmp_path / "tone.onnx", about={})
    assert [path.name for path in tmp_path.iterdir()] == ["tone.pt"]


@pytest.mark.parametrize("wrong", [["--steps", "0"], ["--most", "0"], ["--rate", "-1"]])
def test_numbers_out_of_range_are_refused(wrong: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--start-from", str(tmp_path / "a.pt"), *wrong, "-o", str(tmp_path / "tone.onnx")])
