"""References for photographs, from files to the finished result."""

from __future__ import annotations

from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from engines.networks import open_network
from pipeline.archive.run import colorize_archive
from pipeline.color.colorizer import Colorizer
from pipeline.commands.targets import targets
from pipeline.corrections import Correction, CorrectionFile, corrections_beside
from pipeline.errors import EngineError, InputError, UsageError
from pipeline.options import Options
from pipeline.originals import NO_ORIGINALS
from pipeline.photo.job import PhotoJob, colorize_photos, default_output
from pipeline.photo.one import colorize_photo
from pipeline.results import Failure, PhotoResult
from tests.engines.faults import fault_entries
from tests.photos import rgb_of, save, scene, tinted


def coloured() -> np.ndarray:
    grey = scene()
    return rgb_of(grey, *tinted(grey))


def error(path: Path) -> float:
    """Return how far the colours are from those of the coloured scene."""
    return float(np.abs(np.asarray(Image.open(path).convert("RGB"), float) - coloured()).mean())


def test_a_reference_makes_the_result_like_it(tmp_path: Path, opened: Colorizer) -> None:
    source, reference = save(tmp_path / "scan.png", scene()), save(tmp_path / "any.png", coloured())
    plain = colorize_photo(source, tmp_path / "plain.png", colorizer=opened)
    lent = colorize_photo(source, tmp_path / "lent.png", Options(reference=reference), colorizer=opened)
    assert error(lent.output) < error(plain.output) * 2 / 3
    assert (plain.references, lent.references) == ((), (reference,))
    in_memory = colorize_photo(scene(), None, Options(reference=reference), colorizer=opened)
    assert np.abs(in_memory.astype(int) - np.asarray(Image.open(lent.output).convert("RGB"))).max() <= 1


def test_a_result_never_takes_the_place_of_its_reference(tmp_path: Path, opened: Colorizer) -> None:
    source, reference = save(tmp_path / "scan.png", scene()), save(tmp_path / "any.png", coloured())
    alias = tmp_path / "alias.png"
    alias.hardlink_to(reference)
    before = reference.read_bytes()
    for output in (reference, alias):
        with pytest.raises(UsageError, match="is an original"):
            colorize_photo(source, output, Options(reference=reference, overwrite=True), colorizer=opened)
        with pytest.raises(UsageError, match="is an original"):
            targets([source], output, default_output, overwrite=True, reference=reference)
    assert reference.read_bytes() == alias.read_bytes() == before


@pytest.mark.slow
def test_one_beside_and_a_person_s_own_choice_come_first(tmp_path: Path, opened: Colorizer) -> None:
    source, beside = save(tmp_path / "scan.png", scene()), save(tmp_path / "scan.ref.png", coloured())
    other = save(tmp_path / "other.png", coloured()[:, ::-1])
    tree = corrections_beside(tmp_path, originals=NO_ORIGINALS)
    item = PurePath("scan.png")
    tree.write(item, CorrectionFile(correction=Correction(references=("mine.png",))))
    own = save(tree.folder / "mine.png", coloured())
    jobs = [
        PhotoJob(source, tmp_path / "a.png"),
        PhotoJob(source, tmp_path / "b.png", correction=tree.path_of(item)),
    ]
    results = list(colorize_photos(jobs, colorizer=opened, options=Options(reference=other)))
    assert [result.references for result in results if isinstance(result, PhotoResult)] == [(beside,), (own,)]


def test_a_bad_reference_is_an_error_of_its_photograph(tmp_path: Path, opened: Colorizer) -> None:
    one, two = save(tmp_path / "one.png", scene()), save(tmp_path / "two.png", scene())
    grey = save(tmp_path / "one.ref.png", scene())
    (tmp_path / "two.ref.png").write_bytes(b"no picture")
    jobs = [PhotoJob(source, source.with_suffix(".colorized.png")) for source in (one, two)]
    first, second = colorize_photos(jobs, colorizer=opened)
    assert isinstance(first, Failure)
    assert f"{grey}: cannot be a reference" in first.error
    assert isinstance(second, Failure)
    assert "two.ref.png" in second.error


def test_an_engine_that_fails_at_a_reference_ends_the_run(tmp_path: Path, tiny: Path) -> None:
    source, reference = save(tmp_path / "scan.png", scene()), save(tmp_path / "any.png", coloured())
    crashing = Colorizer(*open_network("crashing", str(tiny), extra=fault_entries()))
    jobs = [PhotoJob(source, tmp_path / "out.png")]
    with pytest.raises(EngineError, match="the runtime gave up"):
        list(colorize_photos(jobs, colorizer=crashing, options=Options(reference=reference)))


def test_a_network_without_features_says_so(tmp_path: Path, colorizer: Colorizer) -> None:
    source, reference = save(tmp_path / "scan.png", scene()), save(tmp_path / "any.png", coloured())
    with pytest.raises(UsageError, match="cannot use references"):
        colorize_photo(source, tmp_path / "out.png", Options(reference=reference), colorizer=colorizer)
    with pytest.raises(InputError, match="no such reference"):
        colorize_photo(source, tmp_path / "out.png", Options(reference=tmp_path / "none.png"), colorizer=colorizer)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.slow
def test_an_archive_s_references_lie_in_the_same_tree_and_belong_to_the_recipe(
    tmp_path: Path, opened: Colorizer
) -> None:
    scans, output, references = tmp_path / "scans", tmp_path / "out", tmp_path / "references"
    for name in ("album/one.png", "two.png"):
        (scans / name).parent.mkdir(parents=True, exist_ok=True)
        save(scans / name, scene())
    (references / "album").mkdir(parents=True)
    options = Options(reference=references)
    assert colorize_archive(scans, output, options, colorizer=opened).photos == 2
    before = (output / "two.png").read_bytes()
    save(references / "album" / "one.ref.png", coloured())
    assert error(output / "album" / "one.png") > 20
    assert colorize_archive(scans, output, options, colorizer=opened).photos == 1
    assert error(output / "album" / "one.png") < 20
    assert (output / "two.png").read_bytes() == before
    assert colorize_archive(scans, output, options, colorizer=opened).photos == 0
