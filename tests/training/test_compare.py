from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.engines.tiny import tiny_model, write_model
from tests.training.conftest import synthetic_photo
from tests.training.evaluation_sets import write_pictures, write_rivals
from training.compare import ModelSettings, SheetPlan, compare_command
from training.evaluate import EvaluationError
from training.files import SourceError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("weights")
    return [str(write_model(folder / f"{name}.onnx", tiny_model(seed), parameters=1)) for seed, name in enumerate("ab")]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sets")
    photos = {f"{number}.png": synthetic_photo(number + 7) for number in range(2)}
    return [write_rivals(folder / "rivalled"), write_pictures(folder / "plain", photos)]


SMALL = ModelSettings(engine="onnxruntime", size=64)


def holds(sheet: Path, picture: np.ndarray) -> bool:
    """Whether ``picture`` is on ``sheet``, sample for sample, at any place."""
    with Image.open(sheet) as opened:
        paper = np.asarray(opened)
    height, width = picture.shape[:2]
    corners = (paper[: -height + 1, : -width + 1] == picture[0, 0]).all(axis=-1)
    return any(
        (paper[row : row + height, column : column + width] == picture).all()
        for row, column in zip(*np.nonzero(corners), strict=True)
    )


def test_every_model_and_rival_is_scored_on_the_same_pictures(models: list[str], sets: list[Path]) -> None:
    report = compare_command(models, sets, settings=SMALL, rivals=True).report
    assert [(score.set_name, score.system, score.count) for score in report.scores] == [
        *(("rivalled", system, 3) for system in ("a", "b", "grey", "perfect", "swapped")),
        *(("plain", system, 2) for system in ("a", "b", "grey")),
    ]
    assert [model.name for model in report.models] == ["a", "b"]
    assert report.models[0].weights_sha256 != report.models[1].weights_sha256
    assert report.scores[0].ciede2000 != report.scores[1].ciede2000
    assert report.network_size == 64
    assert report.notes == ("LPIPS was left out: no weights were given.",)


def test_models_of_one_name_are_told_apart_by_their_paths(models: list[str], sets: list[Path], tmp_path: Path) -> None:
    namesake = str(write_model(tmp_path / "a.onnx", tiny_model(5)))
    scores = compare_command([models[0], namesake], sets[1:], settings=SMALL, limit=1).report.scores
    assert [score.system for score in scores] == [f"a ({models[0]})", f"a ({namesake})", "grey"]
    with pytest.raises(EvaluationError, match="two models are called"):
        compare_command([models[0], models[0]], sets[1:], settings=SMALL)


def test_sets_of_one_name_are_refused(models: list[str], sets: list[Path]) -> None:
    with pytest.raises(EvaluationError, match="two sets are called plain"):
        compare_command(models[:1], [sets[1], sets[1]])


def test_an_unknown_upsampling_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(EvaluationError, match="linear, cubic"):
        compare_command(["absent"], [], settings=ModelSettings(upsampling="nearest"))


def test_each_set_has_its_sheet_with_the_truth_and_old_photographs_have_theirs_without(
    models: list[str], sets: list[Path], tmp_path: Path
) -> None:
    tone = synthetic_photo(20)
    old = write_pictures(tmp_path / "attic", {"x.png": tone})
    plan = SheetPlan(output=tmp_path / "sheets" / "all.png", old=[old])
    done = compare_command(models[:1], sets, settings=SMALL, sheet=plan)
    assert [path.name for path in done.sheets] == ["all-rivalled.png", "all-plain.png", "all-attic.png"]
    assert {path.parent for path in done.sheets} == {tmp_path / "sheets"}
    widths = [Image.open(path).width for path in done.sheets]
    assert widths[2] < widths[1]


def test_one_sheet_has_the_name_asked_for_and_the_worst_pictures_only(models: list[str], tmp_path: Path) -> None:
    photos = {f"{number}.png": synthetic_photo(number, 200, 240) for number in range(4)}
    folder = write_pictures(tmp_path / "set", photos)
    plan = SheetPlan(output=tmp_path / "worst.png", worst=2)
    done = compare_command(models[:1], [folder], settings=SMALL, sheet=plan)
    assert done.sheets == (tmp_path / "worst.png",)
    score, _ = done.report.scores
    ranked = sorted(score.pictures, key=lambda one: -one.ciede2000)
    shown = [holds(done.sheets[0], photos[one.name]) for one in ranked]
    assert shown == [True, True, False, False]


@pytest.mark.parametrize("name", ["0.png", "new.png", "deep/new.png"])
@pytest.mark.parametrize("kind", ["sets", "old"])
def test_a_sheet_never_lies_among_the_pictures_that_it_shows(
    models: list[str], tmp_path: Path, name: str, kind: str
) -> None:
    folder = write_pictures(tmp_path / "set", {"0.png": synthetic_photo(3)})
    before = {path: path.read_bytes() for path in folder.iterdir()}
    sets, old = ([folder], []) if kind == "sets" else ([], [folder])
    with pytest.raises(SourceError, match="is among the files that are read"):
        compare_command(["absent.onnx"], sets, settings=SMALL, sheet=SheetPlan(output=folder / name, old=old))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["all.png", "all-plain.png", "all-attic.png", "all-worst.png"])
def test_no_sheet_of_several_replaces_a_picture_by_another_name(
    models: list[str], sets: list[Path], tmp_path: Path, name: str
) -> None:
    old = write_pictures(tmp_path / "attic", {"x.png": synthetic_photo(20)})
    before = (old / "x.png").read_bytes()
    (tmp_path / name).symlink_to(old / "x.png")
    plan = SheetPlan(output=tmp_path / "all.png", old=[old])
    with pytest.raises(SourceError):
        compare_command(["absent.onnx"], sets[1:], settings=SMALL, sheet=plan)
    assert (old / "x.png").read_bytes() == before


def test_a_sheet_never_replaces_a_model(models: list[str], sets: list[Path]) -> None:
    before = Path(models[0]).read_bytes()
    with pytest.raises(SourceError, match="is read"):
        compare_command(models, sets, settings=SMALL, sheet=SheetPlan(output=Path(models[0]), worst=1))
    assert Path(models[0]).read_bytes() == before


def test_a_sheet_of_nothing_is_refused(models: list[str], tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="needs pictures"):
        compare_command(models[:1], [], settings=SMALL, sheet=SheetPlan(output=tmp_path / "x.png"))


def test_old_photographs_need_no_set_to_be_looked_at(models: list[str], tmp_path: Path) -> None:
    old = write_pictures(tmp_path / "attic", {"x.png": synthetic_photo(20)})
    done = compare_command(models, [], settings=SMALL, sheet=SheetPlan(output=tmp_path / "x.png", old=[old]))
    assert done.sheets == (tmp_path / "x.png",)
    assert not done.report.scores
    assert "| a |" in done.report.as_markdown()
    assert len(done.report.for_terminal()) == 2
