"""Where the review of single photographs and films looks for results and corrections."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.color.colorizer import Colorizer
from pipeline.commands.review import catalogue_of
from pipeline.corrections import Correction, CorrectionFile
from pipeline.errors import InputError, UsageError
from pipeline.options import Options
from tests.photos import save, scene


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "scans").mkdir()
    return save(tmp_path / "scans" / "a.png", scene())


def test_results_and_corrections_are_where_the_commands_put_them(tmp_path: Path, photo: Path) -> None:
    kept, made = tmp_path / "kept", tmp_path / "made.png"
    kept.mkdir()
    found = catalogue_of([photo], None, Options(), output=made, corrections=kept)
    found.correct("a.png", CorrectionFile(correction=Correction(saturation=0.5)))
    assert [path.name for path in kept.iterdir()] == ["a.png.correction.json"]
    found = catalogue_of([photo], None, Options(), output=made, corrections=None)
    assert found.correction_path("a.png").parent == tmp_path / ".autochrome" / "corrections"
    with pytest.raises(UsageError, match="original"):
        catalogue_of([photo], None, Options(), output=photo, corrections=None)
    with pytest.raises(InputError, match="no such folder of corrections"):
        catalogue_of([photo], None, Options(), output=None, corrections=tmp_path / "none")


def test_an_archive_knows_both_itself(tmp_path: Path, photo: Path, colorizer: Colorizer) -> None:
    out = tmp_path / "out"
    colorize_archive(photo.parent, out, run_options=RunOptions(report=False), colorizer=colorizer)
    assert catalogue_of([out], None, Options(), output=None, corrections=None).count() == 1
    for given in ({"output": tmp_path, "corrections": None}, {"output": None, "corrections": tmp_path}):
        with pytest.raises(UsageError, match="knows where its results and corrections are"):
            catalogue_of([out], None, Options(), **given)
