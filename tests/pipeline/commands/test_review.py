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
from tests.commands import colorize
from tests.photos import save, scene


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "scans").mkdir()
    return save(tmp_path / "scans" / "a.png", scene())


def test_results_and_corrections_are_where_the_commands_put_them(tmp_path: Path, photo: Path) -> None:
    kept, made = tmp_path / "kept", tmp_path / "made.png"
    kept.mkdir()
    found = catalogue_of([photo], None, Options(), output=made, corrections=kept, is_stated=True)
    found.correct("a.png", CorrectionFile(correction=Correction(saturation=0.5)))
    assert [path.name for path in kept.iterdir()] == ["a.png.correction.json"]
    found = catalogue_of([photo], None, Options(), output=made, corrections=None, is_stated=True)
    assert found.correction_path("a.png").parent == tmp_path / ".autochrome" / "corrections"
    with pytest.raises(UsageError, match="original"):
        catalogue_of([photo], None, Options(), output=photo, corrections=None, is_stated=True)
    with pytest.raises(InputError, match="no such folder of corrections"):
        catalogue_of([photo], None, Options(), output=None, corrections=tmp_path / "none", is_stated=True)


def test_an_archive_knows_both_itself(tmp_path: Path, photo: Path, colorizer: Colorizer) -> None:
    out = tmp_path / "out"
    colorize_archive(photo.parent, out, run_options=RunOptions(report=False), colorizer=colorizer)
    assert catalogue_of([out], None, Options(), output=None, corrections=None, is_stated=False).count() == 1
    with pytest.raises(UsageError, match="knows where its results and corrections are"):
        catalogue_of([out], None, Options(), output=tmp_path, corrections=None, is_stated=True)


@pytest.mark.slow
def test_settings_that_all_commands_share_do_not_keep_an_archive_from_review(
    tmp_path: Path, photo: Path, colorizer: Colorizer
) -> None:
    out, none = tmp_path / "out", tmp_path / "none.onnx"
    colorize_archive(photo.parent, out, run_options=RunOptions(report=False), colorizer=colorizer)
    (tmp_path / "kept").mkdir()
    (tmp_path / "autochrome.toml").write_text('output = "made"\ncorrections = "kept"\n', encoding="utf-8")
    shared = {"AUTOCHROME_OUTPUT": str(tmp_path), "AUTOCHROME_CORRECTIONS": str(tmp_path)}
    # Without weights nothing is served: that is the error of what comes after.
    review = ("review", out, "--no-browser", "--model", none)
    for more, env, told in (
        (("--config", tmp_path / "autochrome.toml"), {}, "none.onnx"),
        ((), shared, "none.onnx"),
        (("--corrections", tmp_path), {}, "knows where its results and corrections are"),
    ):
        done = colorize(*review, *more, **env)
        assert told in done.stderr, done.stderr
