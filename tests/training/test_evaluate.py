from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.base import F32, EngineSpec
from tests.training.conftest import synthetic_photo
from training.cielab import rgb_to_lab
from training.evaluate import (
    Colouriser,
    EvaluationError,
    evaluate,
    evaluate_command,
    evaluate_rivals,
    find_set,
    network_size,
)
from training.scores import EvaluationReport


class TrueColours:
    """An engine that knows one photograph: answers its ab, averaged to a quarter of what it is asked for."""

    spec = EngineSpec(
        name="true",
        runtime="numpy",
        device="cpu",
        precision="f32",
        model="true colours",
        weights_sha256="",
        max_batch=1,
        multiple=32,
        stride=4,
    )

    def __init__(self, photo: np.ndarray) -> None:
        self._ab = rgb_to_lab(photo)[..., 1:]
        self.asked: list[F32] = []

    def infer(self, lightness: F32) -> F32:
        self.asked.append(lightness)
        height, width = lightness.shape[2] // 4, lightness.shape[3] // 4
        rows = np.linspace(0, self._ab.shape[0] - 1, height).round().astype(int)
        columns = np.linspace(0, self._ab.shape[1] - 1, width).round().astype(int)
        return np.float32(self._ab[np.ix_(rows, columns)].transpose(2, 0, 1)[None])

    def close(self) -> None:
        self.asked.clear()


def _write(folder: Path, photos: dict[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for name, photo in photos.items():
        Image.fromarray(photo).save(folder / name)
    return folder


@pytest.fixture
def rivals_folder(tmp_path: Path) -> Path:
    photos = {f"{number}.png": synthetic_photo(number) for number in range(3)}
    _write(tmp_path / "set" / "truth", photos)
    _write(tmp_path / "set" / "perfect", photos)
    _write(tmp_path / "set" / "swapped", {name: photo[..., ::-1].copy() for name, photo in photos.items()})
    return tmp_path / "set"


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
    pictures = find_set(_write(tmp_path / "smooth", {"a.png": photo}))
    scored = evaluate(Colouriser(TrueColours(photo), size=96, upsampling=upsampling), pictures, system="true")
    assert scored.ciede2000 < 1
    assert scored.psnr_db > 40
    assert scored.auc > 0.98
    assert scored.delta_cf < 2


def test_a_perfect_rival_scores_perfectly_and_grey_does_not(rivals_folder: Path) -> None:
    grey, perfect, swapped = evaluate_rivals(find_set(rivals_folder))
    assert [grey.system, perfect.system, swapped.system] == ["grey", "perfect", "swapped"]
    assert (perfect.psnr_db, perfect.ciede2000, perfect.auc, perfect.argmax, perfect.hue_bias) == (100, 0, 1, 1, 0)
    assert perfect.delta_cf == perfect.delta_cf_pictures == 0
    assert grey.cf == 0
    assert grey.delta_cf == pytest.approx(grey.cf_truth)
    assert swapped.ciede2000 > grey.ciede2000 > 0


def test_delta_cf_of_a_set_is_between_means_and_that_of_pictures_is_a_mean(tmp_path: Path) -> None:
    bold, pale = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 90, np.uint8)
    bold[:4] = 255, 0, 0
    folder = tmp_path / "set"
    _write(folder / "truth", {"1.png": bold, "2.png": pale})
    _write(folder / "exchanged", {"1.png": pale, "2.png": bold})
    _, exchanged = evaluate_rivals(find_set(folder))
    assert exchanged.delta_cf == pytest.approx(0)
    assert exchanged.delta_cf_pictures > 50


def test_a_plain_folder_is_a_set_without_rivals_in_the_order_of_names(tmp_path: Path) -> None:
    folder = _write(tmp_path / "plain", {name: synthetic_photo(0) for name in ("b.png", "a.png", "c.png")})
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
        list(evaluate_rivals(find_set(rivals_folder)))


def test_an_empty_and_an_absent_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no pictures"):
        find_set(tmp_path)
    with pytest.raises(EvaluationError, match="cannot be listed"):
        find_set(tmp_path / "absent")


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(EvaluationError, match=r"broken\.png"):
        list(evaluate_rivals(find_set(tmp_path)))


def test_an_unknown_upsampling_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(EvaluationError, match="linear, cubic"):
        evaluate_command("absent", [], upsampling="nearest")


def test_the_report_speaks_markdown_json_and_table(rivals_folder: Path) -> None:
    scores = tuple(evaluate_rivals(find_set(rivals_folder)))
    report = EvaluationReport(
        model="none",
        runtime="none",
        device="cpu",
        precision="f32",
        weights_sha256="",
        network_size=256,
        chroma_upsampling="linear",
        scores=scores,
        notes=("LPIPS was left out.",),
    )
    lines = report.as_markdown().splitlines()
    assert len({line.count("|") for line in lines[:5]}) == 1
    assert lines[3].startswith("| set | perfect | 3 | 100.00 | 0.00 |")
    assert lines[-1] == "LPIPS was left out."
    values = json.loads(report.as_json())
    assert values["scores"][0]["hue_bias"] is None
    assert [len(one["pictures"]) for one in values["scores"]] == [3, 3, 3]
    assert report.as_table().row_count == 3


WITHOUT_TORCH = """
import sys
from pathlib import Path
sys.modules.update(torch=None, safetensors=None, onnx=None)
import training.sheets
from engines.errors import MissingDependencyError
from training.evaluate import evaluate_command, evaluate_rivals, find_set

folder = Path(sys.argv[1])
assert len(list(evaluate_rivals(find_set(folder)))) == 3
for options in ({"model": "run/checkpoint.pt"}, {"model": "absent.onnx", "lpips_weights": folder}):
    try:
        evaluate_command(sets=[folder], **options)
    except MissingDependencyError as error:
        assert "torch" in str(error), error
    else:
        raise AssertionError(options)
"""


def test_measuring_needs_no_torch_except_for_checkpoints_and_lpips(rivals_folder: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, str(rivals_folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stderr
