"""No path, alias or option lets anything that is written take the place of a source."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import Options, UsageError, colorize_archive, colorize_photo, colorize_video
from pipeline.archive.report.previews import Packs
from pipeline.archive.run_log import RunLog
from pipeline.archive.run_options import RunOptions, Shard
from pipeline.diagnostics import logged
from pipeline.film.segment_folder import segment_folder
from pipeline.originals import Originals
from pipeline.publish import publishing
from pipeline.results import Preview
from tests.films import make_film
from tests.photos import save, scene


def by_name(source: Path) -> Path:
    return source


def by_another_spelling(source: Path) -> Path:
    return source.parent / "elsewhere" / ".." / source.name


def by_a_folder_that_is_not_there(source: Path) -> Path:
    return source.parent / "new" / ".." / source.name


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


ALIASES = [by_name, by_another_spelling, by_a_folder_that_is_not_there, by_a_link, by_a_hard_link, by_a_linked_folder]
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


@pytest.mark.few(7)
@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_photograph_never_becomes_its_own_result(photo: Path, alias: Alias, overwrite: bool, tiny: Path) -> None:
    before = fingerprint(photo)
    options = Options(engine="onnxruntime", model=str(tiny), overwrite=overwrite)
    with pytest.raises(UsageError, match="is an original"):
        colorize_photo(photo, alias(photo), options)
    assert fingerprint(photo) == before
    assert not (photo.parent / "new").exists()


@pytest.mark.few(4)
@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("given", [Path.read_bytes, Image.open, Path.open])
def test_a_photograph_never_becomes_the_result_of_its_picture_in_memory(
    photo: Path, alias: Alias, given: Callable[..., Any], tiny: Path
) -> None:
    before, target = fingerprint(photo), alias(photo)
    options = Options(engine="onnxruntime", model=str(tiny), overwrite=True)
    picture = given(photo, "rb") if given is Path.open else given(photo)
    with pytest.raises(UsageError, match="is returned, not written to"):
        colorize_photo(picture, target, options)
    colorize_photo(picture, None, options)
    assert fingerprint(photo) == before


@pytest.mark.few(3)
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
    with pytest.raises(UsageError, match="is inside the other"):
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


def by_a_link_to(original: Path, alias: Path) -> None:
    alias.symlink_to(original)


def by_a_hard_link_to(original: Path, alias: Path) -> None:
    alias.hardlink_to(original)


Link = Callable[[Path, Path], None]
LINKS = [by_a_link_to, by_a_hard_link_to]
HOME = ".autochrome"


@pytest.mark.few(4)
@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize(
    "name", ["lock", "bag-lock", "ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-journal", "ledger.sqlite3-shm"]
)
def test_what_an_archive_changes_in_place_is_never_a_photograph(
    photo: Path, tmp_path: Path, name: str, link: Link, tiny: Path
) -> None:
    before = fingerprint(photo)
    output = tmp_path / "out"
    (output / HOME).mkdir(parents=True)
    link(photo, output / HOME / name)
    options, run_options = Options(engine="onnxruntime", model=str(tiny)), RunOptions(bag=name == "bag-lock")
    with pytest.raises(UsageError, match="changed in place"):
        colorize_archive(photo.parent, output, options, run_options=run_options)
    assert fingerprint(photo) == before


def test_the_log_of_a_ledger_never_is_a_photograph_once_there_is_one(photo: Path, tmp_path: Path, tiny: Path) -> None:
    before = fingerprint(photo)
    options, log = Options(engine="onnxruntime", model=str(tiny)), tmp_path / "out" / HOME / "ledger.sqlite3-wal"
    colorize_archive(photo.parent, tmp_path / "out", options)
    log.unlink(missing_ok=True)
    log.hardlink_to(photo)
    with pytest.raises(UsageError, match="changed in place"):
        colorize_archive(photo.parent, tmp_path / "out", options)
    assert fingerprint(photo) == before


@pytest.mark.parametrize("link", LINKS)
def test_the_lock_of_a_shard_is_never_a_photograph(photo: Path, tmp_path: Path, link: Link, tiny: Path) -> None:
    before = fingerprint(photo)
    output, shard = tmp_path / "out", Shard(index=1, count=2)
    (output / HOME / "shard-1-of-2").mkdir(parents=True)
    link(photo, output / HOME / "shard-1-of-2" / "lock")
    options = Options(engine="onnxruntime", model=str(tiny))
    with pytest.raises(UsageError, match="changed in place"):
        colorize_archive(photo.parent, output, options, run_options=RunOptions(shard=shard))
    assert fingerprint(photo) == before


@pytest.mark.parametrize(
    "name", ["previews", "report", "workers", "corrections", "shard-1-of-2", "shard-1-of-2/previews"]
)
def test_no_folder_beside_the_results_lies_among_the_sources(
    photo: Path, tmp_path: Path, name: str, tiny: Path
) -> None:
    page = photo.with_name("about.html")
    page.write_text("our family")
    output = tmp_path / "out"
    folder = output / HOME / name
    folder.parent.mkdir(parents=True)
    folder.symlink_to(photo.parent, target_is_directory=True)
    before = {path: fingerprint(path) for path in photo.parent.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="is inside the other"):
        colorize_archive(photo.parent, output, Options(engine="onnxruntime", model=str(tiny)))
    assert {path: fingerprint(path) for path in photo.parent.rglob("*") if path.is_file()} == before


def test_of_pages_and_packs_only_those_of_the_program_are_deleted(photo: Path, tmp_path: Path, tiny: Path) -> None:
    output = tmp_path / "out"
    options = Options(engine="onnxruntime", model=str(tiny))
    colorize_archive(photo.parent, output, options)
    strangers = [output / HOME / "report" / "about.html", output / HOME / "workers" / "family.fence"]
    for path in strangers:
        path.parent.mkdir(exist_ok=True)
        path.write_text("somebody's")
    old = output / HOME / "report" / "sheet-0002.html"
    old.write_text("a sheet of a larger report")
    colorize_archive(photo.parent, output, options, run_options=RunOptions(on="processes", jobs=1))
    assert [path.read_text() for path in strangers] == ["somebody's"] * 2
    assert not old.exists()


def test_pictures_for_the_report_never_lie_among_the_sources(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "previews").mkdir()
    (tmp_path / "previews" / "000").symlink_to(scans, target_is_directory=True)
    other = scans / "000007.css"
    other.write_text("somebody's")
    packs = Packs(tmp_path, originals=Originals((scans,)))
    with pytest.raises(UsageError, match="originals"):
        packs.keep("a.jpg", [Preview(label="", before=b"1", after=b"2")])
    with pytest.raises(UsageError, match="originals"):
        packs.discard(set())
    assert [path.name for path in scans.iterdir() if path.is_file()] == [other.name]


@pytest.mark.parametrize("what", ["log", "log file"])
@pytest.mark.parametrize("content", ["", '{"title": "Anna, 1931"}'], ids=["empty", "JSON"])
def test_no_log_goes_on_in_another_file_by_a_hard_link(photo: Path, tmp_path: Path, what: str, content: str) -> None:
    other = photo.with_name("anna.json")
    other.write_text(content)
    alias = tmp_path / "night.log"
    alias.hardlink_to(other)
    with pytest.raises(UsageError, match="is not a log"):
        if what == "log":
            with RunLog(alias, originals=Originals((photo.parent,))):
                pytest.fail("it was opened")
        else:
            with logged(verbosity=0, file=alias):
                pytest.fail("it was opened")
    assert other.read_text() == content


@pytest.fixture
def film(scans: Path) -> Path:
    return make_film(scans / "film.mkv", codec="libx264", times=range(12))


@pytest.mark.few(2)
@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("name", ["lock", "000000.claim", "000001.claim"])
def test_what_is_changed_in_place_beside_segments_is_never_a_film(
    film: Path, tmp_path: Path, name: str, link: Link, tiny: Path
) -> None:
    before = fingerprint(film)
    final = tmp_path / "result.mkv"
    folder = segment_folder(final)
    folder.mkdir()
    link(film, folder / name)
    options = Options(engine="onnxruntime", model=str(tiny))
    # What is left of segments that nobody makes is deleted: names, never what is behind them.
    with pytest.raises(UsageError, match="changed in place") if name == "lock" else nullcontext():
        colorize_video(film, final, options, segment_frames=5)
    assert fingerprint(film) == before


@pytest.mark.parametrize("segment_frames", [2, 500])
def test_a_folder_of_segments_that_is_a_link_is_refused_and_nothing_behind_it_is_deleted(
    film: Path, tmp_path: Path, segment_frames: int, tiny: Path
) -> None:
    final, elsewhere = tmp_path / "result.mkv", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "000000.segment").write_text("somebody's")
    options = Options(engine="onnxruntime", model=str(tiny))
    before = fingerprint(film)
    for target in (film.parent, elsewhere, tmp_path / "nowhere"):
        segment_folder(final).symlink_to(target, target_is_directory=True)
        with pytest.raises(UsageError):
            colorize_video(film, final, options, originals=Originals((film.parent,)), segment_frames=segment_frames)
        segment_folder(final).unlink()
    assert fingerprint(film) == before
    assert [path.name for path in elsewhere.iterdir()] == ["000000.segment"]
    assert not final.exists()


@pytest.mark.slow
def test_among_segments_only_what_the_program_made_is_deleted(film: Path, tmp_path: Path, tiny: Path) -> None:
    final = tmp_path / "result.mkv"
    folder = segment_folder(final)
    folder.mkdir()
    (folder / "note.txt").write_text("somebody's")
    for name in ("000000.segment", "000007.claim", ".autochrome-0123456789ab.segment", "recipe.json"):
        (folder / name).write_text("left by a run that died")
    colorize_video(film, final, Options(engine="onnxruntime", model=str(tiny)), segment_frames=5)
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "note.txt"]
