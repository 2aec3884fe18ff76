"""No path, alias or option lets anything that is written take the place of a source."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline import Options, UsageError, colorize_archive, colorize_photo, colorize_video
from pipeline.archive.run_options import RunOptions
from pipeline.originals import Originals
from pipeline.publish import publishing
from tests.films import make_film
from tests.photos import save, scene


def by_name(source: Path) -> Path:
    return source


def by_another_spelling(source: Path) -> Path:
    return source.parent / "elsewhere" / ".." / source.name


def by_a_link(source: Path) -> Path:
    alias = source.with_name(f"link{source.suffix}")
    alias.symlink_to(source)
    return alias


def by_a_hard_link(source: Path) -> Path:
    alias = source.with_name(f"hard{source.suffix}")
    alias.hardlink_to(source)
    return alias


def by_a_linked_folder(source: Path) -> Path:
    folder = source.parent.with_name("folder-link")
    folder.symlink_to(source.parent, target_is_directory=True)
    return folder / source.name


ALIASES = [by_name, by_another_spelling, by_a_link, by_a_hard_link, by_a_linked_folder]
Alias = Callable[[Path], Path]


def fingerprint(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    (folder / "elsewhere").mkdir(parents=True)
    return folder


@pytest.fixture
def photo(scans: Path) -> Path:
    return save(scans / "photo.jpg", scene())


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_film_never_becomes_its_own_result(scans: Path, alias: Alias, overwrite: bool, tiny: Path) -> None:
    film = make_film(scans / "film.mp4", codec="libx264", times=range(5))
    before = fingerprint(film)
    options = Options(engine="onnxruntime", model=str(tiny), overwrite=overwrite)
    with pytest.raises(UsageError, match="is an original"):
        colorize_video(film, alias(film), options)
    assert fingerprint(film) == before


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_photograph_never_becomes_its_own_result(photo: Path, alias: Alias, overwrite: bool, tiny: Path) -> None:
    before = fingerprint(photo)
    options = Options(engine="onnxruntime", model=str(tiny), overwrite=overwrite)
    with pytest.raises(UsageError, match="is an original"):
        colorize_photo(photo, alias(photo), options)
    assert fingerprint(photo) == before


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("what", ["log", "metrics"])
def test_log_and_metrics_never_take_the_place_of_a_photograph(
    photo: Path, tmp_path: Path, alias: Alias, what: str, tiny: Path
) -> None:
    before = fingerprint(photo)
    target = alias(photo)
    run_options = RunOptions(log=target) if what == "log" else RunOptions(metrics=target)
    with pytest.raises(UsageError):
        colorize_archive(
            photo.parent, tmp_path / "out", Options(engine="onnxruntime", model=str(tiny)), run_options=run_options
        )
    assert fingerprint(photo) == before
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.jpg"))


@pytest.mark.parametrize("what", ["log", "metrics"])
def test_log_and_metrics_never_take_the_place_of_any_other_file(
    photo: Path, tmp_path: Path, what: str, tiny: Path
) -> None:
    other = tmp_path / "letter.txt"
    other.write_text("Dear Anna")
    run_options = RunOptions(log=other) if what == "log" else RunOptions(metrics=other)
    with pytest.raises(UsageError, match="is not a"):
        colorize_archive(
            photo.parent, tmp_path / "out", Options(engine="onnxruntime", model=str(tiny)), run_options=run_options
        )
    assert other.read_text() == "Dear Anna"


@pytest.mark.parametrize("through", ["output", "home"])
def test_results_never_lie_among_the_sources_whatever_leads_there(
    photo: Path, tmp_path: Path, through: str, tiny: Path
) -> None:
    before = {path: fingerprint(path) for path in photo.parent.rglob("*") if path.is_file()}
    output = tmp_path / "out"
    if through == "output":
        output.symlink_to(photo.parent, target_is_directory=True)
    else:
        output.mkdir()
        (output / ".autochrome").symlink_to(photo.parent, target_is_directory=True)
    with pytest.raises(UsageError, match="lie in each other"):
        colorize_archive(photo.parent, output, Options(engine="onnxruntime", model=str(tiny), overwrite=True))
    assert {path: fingerprint(path) for path in photo.parent.rglob("*") if path.is_file()} == before


def test_a_folder_of_results_that_leads_back_to_the_sources_fails_its_items_alone(
    scans: Path, tmp_path: Path, tiny: Path
) -> None:
    (scans / "album").mkdir()
    inside = save(scans / "album" / "one.jpg", scene())
    beside = save(scans / "two.jpg", scene())
    before = fingerprint(inside)
    output = tmp_path / "out"
    output.mkdir()
    (output / "album").symlink_to(scans / "album", target_is_directory=True)
    result = colorize_archive(scans, output, Options(engine="onnxruntime", model=str(tiny), overwrite=True))
    assert fingerprint(inside) == before
    assert (result.failed, result.photos) == (1, 1)
    assert (output / beside.name).exists()


def test_what_becomes_a_source_while_a_result_is_made_is_not_replaced(tmp_path: Path) -> None:
    source = tmp_path / "scan.tif"
    source.write_bytes(b"the only one")
    final = tmp_path / "result.tif"
    with (
        pytest.raises(UsageError, match="is an original"),
        publishing(final, overwrite=True, originals=Originals((source,))) as temporary,
    ):
        temporary.write_bytes(b"colour")
        os.link(source, final)
    assert source.read_bytes() == final.read_bytes() == b"the only one"
