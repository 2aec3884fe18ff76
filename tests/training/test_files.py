"""Nothing that training writes takes the place of a photograph, a zip file or a model that it reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

from tests.training.conftest import synthetic_photo
from tests.training.evaluation_sets import write_pictures
from tests.training.tiny import CONFIG
from training import average, balance
from training.data import build_cache
from training.export import export_command
from training.files import SourceError, WriteError, replacing
from training.recipe import main as recipe
from training.train import train
from training.train_options import TrainOptions

pytestmark = pytest.mark.slow

PLAIN = TrainOptions(tensorboard=False)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def checkpoint(photo_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(CONFIG, photos=photo_cache, run=tmp_path_factory.mktemp("run"), options=PLAIN)


def by_name(file: Path, _: Path) -> Path:
    return file


def by_a_link(file: Path, folder: Path) -> Path:
    (folder / "alias.onnx").symlink_to(file)
    return folder / "alias.onnx"


def by_a_hard_link(file: Path, folder: Path) -> Path:
    (folder / "alias.onnx").hardlink_to(file)
    return folder / "alias.onnx"


@pytest.mark.parametrize("alias", [by_name, by_a_link, by_a_hard_link])
def test_a_mean_or_a_balanced_network_never_replaces_what_it_is_made_of(
    checkpoint: Path,
    photo_cache: Path,
    tmp_path: Path,
    alias: Callable[[Path, Path], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = checkpoint.read_bytes()
    output = alias(checkpoint, tmp_path)
    assert average.main([str(checkpoint), str(checkpoint), str(output)]) == 2
    assert balance.main([str(checkpoint), str(photo_cache), str(output), "--uniform", "0.1", "--power", "0.3"]) == 2
    assert f"{output}: is read" in capsys.readouterr().err
    assert checkpoint.read_bytes() == before


def test_a_balanced_network_never_lies_among_the_photographs(checkpoint: Path, photo_cache: Path) -> None:
    before = contents(photo_cache)
    words = [checkpoint, photo_cache, photo_cache / "pixels.u8", "--uniform", "0.1", "--power", "0.3"]
    assert balance.main([str(word) for word in words]) == 2
    assert contents(photo_cache) == before


def test_the_card_of_an_export_never_replaces_the_report_that_it_quotes(checkpoint: Path, tmp_path: Path) -> None:
    report = tmp_path / "mine.json"
    report.write_text("{}")
    with pytest.raises(SourceError, match="is read"):
        export_command(checkpoint, tmp_path / "mine.onnx", temperature=0.5, saturation=1.0, evaluation=report)
    assert contents(tmp_path) == {report: b"{}"}


@pytest.mark.parametrize("place", [".", "decoded"])
def test_photographs_are_never_decoded_into_their_own_folder(tmp_path: Path, place: str) -> None:
    folder = write_pictures(tmp_path / "photos", {"0.png": synthetic_photo(3)})
    (folder / "report.json").write_text("somebody's")
    before = contents(folder)
    with pytest.raises(SourceError, match="is among the files that are read"):
        build_cache([folder], folder / place, short_side=64)
    assert contents(folder) == before


def test_no_run_lies_among_its_photographs(photo_cache: Path) -> None:
    before = contents(photo_cache)
    with pytest.raises(SourceError, match="is among the files that are read"):
        train(CONFIG, photos=photo_cache, run=photo_cache / "run", options=PLAIN)
    assert contents(photo_cache) == before


def test_a_recipe_replaces_nothing_that_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_pictures(tmp_path / "run", {"evaluation.png": synthetic_photo(3)})
    (run / "fine-weights.pt").write_bytes(b"the only one")
    before = contents(run)
    assert recipe(["--run", str(run), "--sets", str(run)]) == 2
    assert recipe(["--run", str(run), "--start-from", str(run / "fine-weights.pt")]) == 2
    assert "is read" in capsys.readouterr().err
    assert contents(run) == before


def test_what_is_half_written_is_never_written_into_another_file(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"the only one")
    (tmp_path / ".sheet.png.partial").hardlink_to(photo)
    with replacing(tmp_path / "sheet.png") as partial:
        partial.write_bytes(b"a sheet")
    assert photo.read_bytes() == b"the only one"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_or_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    place = tmp_path / "null"
    os.mkfifo(place)
    with pytest.raises(WriteError, match="null: is not a file"), replacing(place):
        pytest.fail("it was begun")
    assert (place.is_fifo(), list(tmp_path.iterdir())) == (True, [place])
