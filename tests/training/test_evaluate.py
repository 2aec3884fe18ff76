from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.network import Prediction
from engines.tensors import F32
from tests.engines.tiny import write_tiny_model
from tests.training.conftest import synthetic_photo
from tests.training.evaluation_sets import SPEC, score_rivals, write_pictures, write_rivals
from training.cielab_numpy import rgb_to_lab
from training.evaluate import (
    LANDSCAPES,
    Colouriser,
    EvaluationError,
    evaluate,
    find_landscapes,
    find_set,
    network_size,
    rival_systems,
)

pytestmark = pytest.mark.slow


class TrueColours:
    """A network that knows one photograph: answers its ab, averaged to a quarter of what it is asked for."""

    spec = SPEC

    def __init__(self, photo: np.ndarray) -> None:
        self._ab = rgb_to_lab(photo)[..., 1:]
        self.asked: list[F32] = []

    def predict(self, lightness: F32, hints: F32 | None = None) -> Prediction:
        self.asked.append(lightness)
        height, width = lightness.shape[2] // 4, lightness.shape[3] // 4
        rows = np.linspace(0, self._ab.shape[0] - 1, height).round().astype(int)
        columns = np.linspace(0, self._ab.shape[1] - 1, width).round().astype(int)
        return Prediction(np.float32(self._ab[np.ix_(rows, columns)].transpose(2, 0, 1)[None]))

    def close(self) -> None:
        self.asked.clear()


@pytest.fixture
def rivals_folder(tmp_path: Path) -> Path:
    return write_rivals(tmp_path / "set")


@pytest.mark.parametrize(
    ("height", "width", "size", "expected"),
    [(256, 341, 256, (256, 352)), (341, 256, 192, (256, 192)), (224, 224, 256, (256, 256)), (900, 10, 32, (2880, 32))],
)
def test_the_network_sees_the_short_side_asked_for(
    height: int, width: int, size: int, expected: tuple[int, int]
) -> None:
    assert network_size(height, width, size=size, multiple=32) == expected


def test_the_coloured_picture_keeps_the_lightness_and_size_of_the_source() -> None:
    photo = synthetic_photo(2, 67, 101)
    engine = TrueColours(photo)
    lightness = np.float32(rgb_to_lab(photo)[..., 0])
    picture = Colouriser(engine, size=64, upsampling="linear")(lightness)
    assert picture.shape == photo.shape
    assert engine.asked[0].shape == (1, 1, 64, 96)
    assert engine.asked[0].dtype == np.float32
    # Clipping into the gamut moves L*, but only where borders between blobs carry colour that is not theirs.
    assert np.median(np.abs(rgb_to_lab(picture)[..., 0] - lightness)) < 0.3


@pytest.mark.parametrize("upsampling", ["linear", "cubic"])
def test_true_colours_at_low_resolution_score_near_perfect(tmp_path: Path, upsampling: str) -> None:
    rows, columns = np.mgrid[0:1:96j, 0:1:128j]
    photo = np.uint8(np.stack([60 + 120 * rows, 80 + 90 * columns, 180 - 100 * rows], axis=-1))
    pictures = find_set(write_pictures(tmp_path / "smooth", {"a.png": photo}))
    colourise = Colouriser(TrueColours(photo), size=96, upsampling=upsampling)
    (scored,) = evaluate(pictures, {"true": lambda _, lightness: colourise(lightness)}, size=96)
    assert (scored.set_name, scored.system, scored.count) == ("smooth", "true", 1)
    assert scored.ciede2000 < 1
    assert scored.psnr_db > 40
    assert scored.auc > 0.98
    assert scored.delta_cf < 2


def test_a_perfect_rival_scores_perfectly_and_grey_does_not(rivals_folder: Path) -> None:
    grey, perfect, swapped = score_rivals(rivals_folder)
    assert [grey.system, perfect.system, swapped.system] == ["grey", "perfect", "swapped"]
    assert (perfect.psnr_db, perfect.ciede2000, perfect.auc, perfect.argmax) == (100, 0, 1, 1)
    faults = perfect.faults
    assert (faults.hue_bias, faults.shift_a, faults.shift_b, faults.corners, faults.checkerboard) == (0, 0, 0, 0, 0)
    assert (faults.sharpness, faults.spill, faults.blotches) == (1, 0, 0)
    assert perfect.delta_cf == perfect.delta_cf_pictures == 0
    assert grey.cf == 0
    assert grey.delta_cf == pytest.approx(grey.cf_truth)
    assert swapped.ciede2000 > grey.ciede2000 > 0
    assert (grey.faults.hue_bias, grey.faults.sharpness, grey.faults.spill, grey.faults.blotches) == (
        None,
        None,
        None,
        0,
    )
    assert swapped.faults.hue_bias is not None
    assert swapped.faults.hue_bias > 0.1


def test_delta_cf_of_a_set_is_between_means_and_that_of_pictures_is_a_mean(tmp_path: Path) -> None:
    bold, pale = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 90, np.uint8)
    bold[:4] = 255, 0, 0
    folder = tmp_path / "set"
    write_pictures(folder / "truth", {"1.png": bold, "2.png": pale})
    write_pictures(folder / "exchanged", {"1.png": pale, "2.png": bold})
    _, exchanged = score_rivals(folder)
    assert exchanged.delta_cf == pytest.approx(0)
    assert exchanged.delta_cf_pictures > 50


def test_a_plain_folder_is_a_set_without_rivals_in_the_order_of_names(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "plain", {name: synthetic_photo(0) for name in ("b.png", "a.png", "c.png")})
    (folder / "notes.txt").write_text("not a picture")
    found = find_set(folder, limit=2)
    assert [path.name for path in found.truths] == ["a.png", "b.png"]
    assert not found.rivals


def test_a_rival_without_a_result_is_refused_by_name(rivals_folder: Path) -> None:
    (rivals_folder / "swapped" / "1.png").unlink()
    with pytest.raises(EvaluationError, match=r"swapped: no result for 1\.png"):
        find_set(rivals_folder)


def test_a_rival_of_another_size_is_refused(rivals_folder: Path) -> None:
    Image.fromarray(synthetic_photo(0, 40, 40)).save(rivals_folder / "perfect" / "0.png")
    with pytest.raises(EvaluationError, match=r"perfect: 0\.png is \(40, 40, 3\)"):
        score_rivals(rivals_folder)


def test_an_empty_and_an_absent_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no pictures"):
        find_set(tmp_path)
    with pytest.raises(EvaluationError, match="cannot be listed"):
        find_set(tmp_path / "absent")


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(EvaluationError, match=r"broken\.png"):
        score_rivals(tmp_path)


def test_the_number_of_a_set_is_the_mean_of_its_pictures_that_have_one(tmp_path: Path) -> None:
    coloured, plain = synthetic_photo(0, 128, 160), np.full((128, 160, 3), 90, np.uint8)
    folder = tmp_path / "set"
    write_pictures(folder / "truth", {"1.png": coloured, "2.png": plain})
    write_pictures(folder / "perfect", {"1.png": coloured, "2.png": plain})
    _, perfect = score_rivals(folder)
    assert [one.faults.sharpness for one in perfect.pictures] == [1, None]
    assert perfect.faults.sharpness == 1
    assert [one.name for one in perfect.pictures] == ["1.png", "2.png"]


def test_progress_is_told_picture_by_picture(rivals_folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    pictures = find_set(rivals_folder, limit=2)
    evaluate(pictures, rival_systems(pictures), progress=lambda *news: told.append(news))
    assert told == [("set", 1, 2), ("set", 2, 2)]


def listed_landscapes() -> list[str]:
    lines = LANDSCAPES.read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


def test_landscapes_are_the_middle_of_those_listed_at_224_pixels(tmp_path: Path) -> None:
    photo = np.zeros((256, 400, 3), np.uint8)
    photo[:, 72:328] = 200
    folder = write_pictures(tmp_path / "photos", dict.fromkeys((f"{name}.png" for name in listed_landscapes()), photo))
    write_pictures(folder / "truth-of-others", {"x.png": photo})
    Image.fromarray(photo).save(folder / "another.png")
    found = find_landscapes(folder)
    assert found.name == "landscape224"
    assert [path.stem for path in found.truths] == listed_landscapes()
    assert found.truth(0).shape == (224, 224, 3)
    assert (found.truth(0) == 200).all()
    assert len(find_landscapes(folder, limit=3).truths) == 3


def test_a_missing_landscape_is_named(rivals_folder: Path) -> None:
    with pytest.raises(EvaluationError, match=listed_landscapes()[0]):
        find_landscapes(rivals_folder)


def test_the_list_of_landscapes_names_each_once() -> None:
    names = listed_landscapes()
    assert len(names) == len(set(names)) > 15


WITHOUT_TORCH = """
import sys
from pathlib import Path
sys.modules.update(torch=None, safetensors=None, onnx=None)
from engines.errors import MissingDependencyError
from training.compare import compare_command
from training.evaluate import evaluate, find_set, rival_systems

folder, model = map(Path, sys.argv[1:])
pictures = find_set(folder)
assert len(evaluate(pictures, rival_systems(pictures))) == 3
report = compare_command([str(model)], [folder], limit=1).report
assert report.scores[0].count == 1
assert report.models[0].cost.flops is None
assert any("torch" in note for note in report.notes), report.notes
for options in ({"models": ["run/checkpoint.pt"]}, {"models": ["absent.onnx"], "lpips_weights": folder}):
    try:
        compare_command(sets=[folder], **options)
    except MissingDependencyError as error:
        assert "torch" in str(error), error
    else:
        raise AssertionError(options)
"""


def test_measuring_needs_no_torch_except_for_checkpoints_flops_and_lpips(rivals_folder: Path, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path)
    command = [sys.executable, "-c", WITHOUT_TORCH, str(rivals_folder), str(model)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stderr
