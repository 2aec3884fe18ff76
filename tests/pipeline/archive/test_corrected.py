"""What a person set right about an item is respected by every night, and by nothing else undone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from pipeline.archive.run import ArchiveResult, colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.corrections import Correction, CorrectionFile, CorrectionTree, corrections_beside
from pipeline.options import Hint, Options
from pipeline.originals import NO_ORIGINALS
from tests.engines.two import write_two_model
from tests.films import make_film
from tests.photos import save, scene, sepia
from tests.pipeline.archive.runs import Listener

NAMES = ("album/one.png", "two.png")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / "scans" / name).parent.mkdir(parents=True, exist_ok=True)
        save(tmp_path / "scans" / name, scene())
    return tmp_path / "scans"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


def night(scans: Path, output: Path, tiny: Path, **run_options: object) -> ArchiveResult:
    options = Options(engine="onnxruntime", model=str(tiny))
    return colorize_archive(scans, output, options, run_options=RunOptions(**run_options))  # type: ignore[arg-type]


def is_grey(path: Path) -> bool:
    return int(np.ptp(np.asarray(Image.open(path).convert("RGB"), int), axis=2).max()) <= 1


def grey(tree: CorrectionTree, name: str) -> None:
    file = tree.read(PurePosixPath(name))
    tree.write(PurePosixPath(name), file.revised(Correction(saturation=0)))


def test_a_correction_colours_its_item_again_and_no_other(scans: Path, output: Path, tiny: Path) -> None:
    assert night(scans, output, tiny).photos == 2
    tree = corrections_beside(output, originals=NO_ORIGINALS)
    grey(tree, NAMES[0])
    corrected = night(scans, output, tiny)
    assert (corrected.photos, corrected.kept, corrected.skipped) == (0, 1, 1)
    assert [is_grey(output / name) for name in NAMES] == [True, False]
    for _ in range(2):
        assert night(scans, output, tiny).skipped == 2
    assert is_grey(output / NAMES[0])


@pytest.mark.slow
def test_a_hint_for_a_film_is_applied_by_every_night(tmp_path: Path, output: Path) -> None:
    films, model = tmp_path / "films", write_two_model(tmp_path, temperature=0.5)
    films.mkdir()
    make_film(films / "film.mkv", codec="ffv1", width=224, height=160, times=range(12))
    assert night(films, output, model).films == 1
    (made,) = output.glob("*.m[kp][v4]")
    before = made.read_bytes()
    tree, item = corrections_beside(output, originals=NO_ORIGINALS), PurePosixPath("film.mkv")
    tree.write(item, CorrectionFile().revised(Correction(hints=(Hint(x=0.5, y=0.5, color="#6080B0", time=0.1),))))
    assert night(films, output, model).films == 1
    corrected = made.read_bytes()
    assert corrected != before
    assert night(films, output, model).skipped == 1
    tree.write(item, tree.read(item).revised(Correction(hints=(Hint(x=0.5, y=0.5, color="#6080B0"),))))
    failed = night(films, output, model)
    assert len(failed.failures) == 1
    assert "time" in str(failed.failures[0])
    tree.write(item, tree.read(item).undone())
    assert night(films, output, model).failures == ()
    assert made.read_bytes() == corrected


@pytest.mark.slow
def test_references_of_a_film_are_part_of_its_recipe(tmp_path: Path, output: Path) -> None:
    films, model = tmp_path / "films", write_two_model(tmp_path, temperature=0.5)
    (films / "film.refs").mkdir(parents=True)
    make_film(films / "film.mkv", codec="ffv1", width=224, height=160, times=range(12))
    assert night(films, output, model).films == 1
    save(films / "film.refs" / "000003.png", sepia(scene()))
    again = night(films, output, model)
    assert (again.films, again.photos) == (1, 0)
    (sidecar,) = output.glob("film.*.autochrome.json")
    assert json.loads(sidecar.read_text(encoding="ascii"))["references"] == ["000003.png"]
    assert night(films, output, model).films == 0


@pytest.mark.slow
def test_references_that_are_named_reach_the_films_of_an_archive(tmp_path: Path, output: Path) -> None:
    films, lent = tmp_path / "films", tmp_path / "lent"
    (films / "reels").mkdir(parents=True)
    make_film(films / "reels" / "film.mkv", codec="ffv1", width=224, height=160, times=range(4))
    options = Options(engine="onnxruntime", model=str(write_two_model(tmp_path, temperature=0.5)))

    def made(reference: Path | None) -> bytes | None:
        """Return the result if it was made anew."""
        result = colorize_archive(films, output, replace(options, reference=reference))
        assert result.failures == ()
        return next((output / "reels").glob("film.m*")).read_bytes() if result.films else None

    plain = made(None)
    picture = save(tmp_path / "000003.png", sepia(scene()))
    results = [plain, made(picture)]
    assert made(picture) is None
    (lent / "reels" / "film.refs").mkdir(parents=True)
    save(lent / "reels" / "film.ref.png", sepia(scene()))
    assert made(lent) == results[1]
    save(lent / "reels" / "film.refs" / "000003.png", sepia(scene()))
    results.append(made(lent))
    assert made(lent) is None
    assert None not in results
    assert len(set(results)) == 3
    assert made(None) == plain


@pytest.mark.slow
def test_a_changed_reference_makes_a_corrected_film_anew(tmp_path: Path, output: Path) -> None:
    films, model = tmp_path / "films", write_two_model(tmp_path, temperature=0.5)
    (films / "film.refs").mkdir(parents=True)
    make_film(films / "film.mkv", codec="ffv1", width=224, height=160, times=range(4))
    assert night(films, output, model).films == 1
    tree, item = corrections_beside(output, originals=NO_ORIGINALS), PurePosixPath("film.mkv")
    picture = save(tmp_path / "coloured.png", sepia(scene())).read_bytes()
    tree.write(item, CorrectionFile(correction=Correction(references=(tree.keep_reference(item, picture),))))
    assert night(films, output, model).films == 1
    assert night(films, output, model).films == 0
    save(films / "film.refs" / "000003.png", sepia(scene()))
    assert night(films, output, model).films == 1
    assert night(films, output, model).films == 0


@pytest.mark.slow
def test_references_beside_photographs_are_no_items(scans: Path, output: Path, tiny: Path) -> None:
    save(scans / "three.ref.png", scene())
    save(scans / "album" / "four.png", scene())
    save(scans / "album" / "four.ref.png", sepia(scene()))
    progress = Listener()
    result = colorize_archive(scans, output, Options(engine="onnxruntime", model=str(tiny)), progress=progress)
    assert not (output / "album" / "four.ref.png").exists()
    assert (output / "three.ref.png").exists()
    assert any("four.ref.png: left out" in text and "reference" in text for text in progress.said)
    assert (result.photos, result.failed) == (3, 1)


@pytest.mark.slow
def test_undone_it_is_as_before(scans: Path, output: Path, tiny: Path) -> None:
    night(scans, output, tiny)
    before = (output / NAMES[1]).read_bytes()
    tree = corrections_beside(output, originals=NO_ORIGINALS)
    grey(tree, NAMES[1])
    night(scans, output, tiny)
    tree.write(PurePosixPath(NAMES[1]), tree.read(PurePosixPath(NAMES[1])).undone())
    assert night(scans, output, tiny).photos == 1
    assert (output / NAMES[1]).read_bytes() == before


@pytest.mark.slow
def test_what_is_only_accepted_is_not_coloured_again(scans: Path, output: Path, tiny: Path) -> None:
    night(scans, output, tiny)
    tree = corrections_beside(output, originals=NO_ORIGINALS)
    tree.write(PurePosixPath(NAMES[0]), CorrectionFile(correction=Correction(accepted=True)))
    assert night(scans, output, tiny).skipped == 2


def test_a_broken_correction_fails_its_item_alone_and_mended_it_goes_on(scans: Path, output: Path, tiny: Path) -> None:
    tree = corrections_beside(output, originals=NO_ORIGINALS)
    path = tree.path_of(PurePosixPath(NAMES[0]))
    path.parent.mkdir(parents=True)
    path.write_text("{", encoding="ascii")
    result = night(scans, output, tiny)
    assert (result.photos, result.failed) == (1, 1)
    assert str(path) in result.failures[0].error
    path.unlink()
    assert night(scans, output, tiny).photos == 1


def test_another_tree_of_corrections_can_be_named(scans: Path, output: Path, tiny: Path, tmp_path: Path) -> None:
    tree = CorrectionTree(tmp_path / "restorer", originals=NO_ORIGINALS)
    grey(tree, NAMES[1])
    done = night(scans, output, tiny, corrections=tree.folder)
    assert (done.photos, done.kept) == (1, 1)
    assert [is_grey(output / name) for name in NAMES] == [False, True]
