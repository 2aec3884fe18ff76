from __future__ import annotations

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.archive.dry_run import survey_archive
from pipeline.archive.ledger import State
from pipeline.archive.output_folder import locked
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions, Shard
from pipeline.color.colorizer import Colorizer
from pipeline.documents import result_from_json
from pipeline.errors import EngineError, InputError, LockedError, UsageError, WeightsError
from pipeline.options import Codec, Options, Tone
from pipeline.progress import Silent
from pipeline.results import Failure, FilmResult
from tests.engines.two import write_two_model
from tests.photos import save, scene
from tests.pipeline.archive.runs import (
    Listener,
    counts,
    files,
    last_run,
    records,
    results,
    run,
)


def test_a_tree_of_photos_and_films_is_coloured_into_the_same_tree(archive: Path, colorizer: Colorizer) -> None:
    before = {name: (archive / name).read_bytes() for name in files(archive)}
    result = run(archive, colorizer)
    output = archive.with_name("scans-colorized")
    assert results(output) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "segments/d.mp4"]
    assert (result.photos, result.films, result.failures, result.skipped, result.ignored) == (3, 1, (), 0, 1)
    assert {name: (archive / name).read_bytes() for name in files(archive)} == before


@pytest.mark.slow
def test_the_ledger_tells_what_became_of_every_item(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer)
    output = archive.with_name("scans-colorized")
    found = records(output)
    assert sorted(found) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "segments/d.mp4"]
    for path, record in found.items():
        assert (record.state, record.output, record.engine) == (State.DONE, path, "onnxruntime")
        assert record.source_sha256 == sha256((archive / path).read_bytes()).hexdigest()
        assert record.result_sha256 == sha256((output / path).read_bytes()).hexdigest()
        assert record.result is not None
        assert record.result["source"] == str(archive / path)
        assert record.seconds is not None
        assert record.seconds > 0
    film = found["segments/d.mp4"].result
    assert film is not None
    assert isinstance(result_from_json(film), FilmResult)


@pytest.mark.slow
def test_every_result_has_a_sidecar_unless_none_are_wanted(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer)
    output = archive.with_name("scans-colorized")
    sidecar = json.loads((output / "people" / "a.jpg.autochrome.json").read_bytes())
    assert sidecar["source"]["name"] == "people/a.jpg"
    assert sidecar["result"]["sha256"] == sha256((output / "people" / "a.jpg").read_bytes()).hexdigest()
    shutil.rmtree(output)
    run(archive, colorizer, run_options=RunOptions(sidecars=False))
    assert not [name for name in files(output) if name.endswith(".autochrome.json")]


def test_what_is_done_is_skipped_and_what_is_missing_is_made(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer)
    output = archive.with_name("scans-colorized")
    kept = {name: (output / name).stat().st_mtime_ns for name in results(output)}
    (output / "people" / "b.png").unlink()
    assert counts(run(archive, colorizer)) == (1, 3, 0)
    del kept["people/b.png"]
    assert {name: (output / name).stat().st_mtime_ns for name in kept} == kept
    assert (output / "people" / "b.png").exists()


@pytest.mark.slow
def test_overwrite_makes_everything_again(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer)
    output = archive.with_name("scans-colorized")
    (output / "people" / "a.jpg").write_bytes(b"old")
    assert counts(run(archive, colorizer, overwrite=True)) == (4, 0, 0)
    assert (output / "people" / "a.jpg").read_bytes() != b"old"


@pytest.mark.slow
def test_a_file_that_is_not_known_to_be_ours_is_kept_and_said(archive: Path, colorizer: Colorizer) -> None:
    output = archive.with_name("scans-colorized")
    (output / "people").mkdir(parents=True)
    (output / "people" / "a.jpg").write_bytes(b"retouched by hand")
    listener = Listener()
    result = colorize_archive(archive, None, Options(), colorizer=colorizer, progress=listener)
    assert (counts(result), result.unknown) == ((3, 1, 0), 1)
    assert (output / "people" / "a.jpg").read_bytes() == b"retouched by hand"
    assert any("not known to be ours" in line for line in listener.said)


def test_a_changed_source_is_done_again(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer)
    output = archive.with_name("scans-colorized")
    before = (output / "people" / "b.png").read_bytes()
    save(archive / "people" / "b.png", scene(width=180))
    assert counts(run(archive, colorizer)) == (1, 3, 0)
    assert (output / "people" / "b.png").read_bytes() != before
    assert counts(run(archive, colorizer)) == (0, 4, 0)


@pytest.mark.slow
def test_a_copied_tree_with_new_times_is_not_done_again(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer)
    output = archive.with_name("scans-colorized")
    for path in (*archive.rglob("*"), *output.rglob("*.*")):
        if path.is_file() and ".autochrome" not in path.parts:
            os.utime(path, (1000, 1000))
    assert counts(run(archive, colorizer)) == (0, 4, 0)
    record = records(output)["people/a.jpg"]
    assert (record.source_mtime_ns, record.result_mtime_ns) == (1000 * 10**9, 1000 * 10**9)


@pytest.mark.slow
def test_an_option_for_films_makes_only_films_again(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer)
    output = archive.with_name("scans-colorized")
    photos = {name: (output / name).stat().st_ino for name in results(output) if not name.startswith("segments")}
    result = run(archive, colorizer, codec=Codec.HEVC)
    assert (result.photos, result.films, result.skipped) == (0, 1, 3)
    assert {name: (output / name).stat().st_ino for name in photos} == photos
    assert run(archive, colorizer, codec=Codec.HEVC, tone=Tone.KEEP).photos == 3


def test_an_old_result_stays_until_the_new_one_is_there(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer)
    output = archive.with_name("scans-colorized")
    old = (output / "segments" / "d.mp4").read_bytes()
    whole = (archive / "segments" / "d.mp4").read_bytes()
    (archive / "segments" / "d.mp4").write_bytes(whole[: len(whole) // 2])
    assert counts(run(archive, colorizer)) == (0, 3, 1)
    assert (output / "segments" / "d.mp4").read_bytes() == old
    (archive / "segments" / "d.mp4").write_bytes(whole + bytes(8))
    assert counts(run(archive, colorizer)) == (1, 3, 0)


def test_bad_files_are_named_with_reason_and_advice_and_stop_nothing(archive: Path, colorizer: Colorizer) -> None:
    (archive / "people" / "bad.jpg").write_text("no picture", encoding="utf-8")
    (archive / "people" / "gone.png").symlink_to(archive / "nowhere.png")
    (archive / "segments" / "cut.mp4").write_bytes((archive / "segments" / "d.mp4").read_bytes()[:600])
    whole = (archive / "segments" / "d.mp4").read_bytes()
    (archive / "segments" / "a-half.mp4").write_bytes(whole[: len(whole) // 2])
    listener = Listener()
    result = colorize_archive(archive, None, Options(), colorizer=colorizer, progress=listener)
    assert (result.photos, result.films) == (3, 1)
    bad = {failed.source.name: failed for failed in result.failures}
    assert sorted(bad) == ["a-half.mp4", "bad.jpg", "cut.mp4", "gone.png"]
    for name, failed in bad.items():
        assert name in failed.error
        assert failed.advice
        assert failed.exit_code == 4
    assert not listener.open
    assert not [name for name in results(result.output) if Path(name).name.startswith(".")]
    kept = {path: record for path, record in records(result.output).items() if record.state is State.FAILED}
    assert {Path(path).name: record.error for path, record in kept.items()} == {
        name: failed.error for name, failed in bad.items()
    }


@pytest.mark.slow
def test_a_film_that_breaks_half_way_leaves_nothing_and_stops_nothing(archive: Path, colorizer: Colorizer) -> None:
    blocked = archive.with_name("scans-colorized") / "segments"
    blocked.parent.mkdir()
    blocked.write_text("a file where a folder should be", encoding="utf-8")
    result = run(archive, colorizer)
    assert result.photos == 3
    (failed,) = result.failures
    assert (failed.source.name, failed.exit_code) == ("d.mp4", 5)
    assert results(blocked.parent) == ["people/a.jpg", "people/b.png", "places/far/c.tif", "segments"]


@pytest.mark.slow
def test_the_count_of_the_whole_is_reached(archive: Path, colorizer: Colorizer) -> None:
    (archive / "people" / "bad.jpg").write_text("no picture", encoding="utf-8")
    listener = Listener()
    colorize_archive(archive, None, Options(), colorizer=colorizer, progress=listener)
    assert listener.counts["archive"] == [5, 5]
    assert listener.counts["photos"] == [4, 4]
    assert listener.counts[str(archive / "segments" / "d.mp4")][0] == 4
    assert not listener.open
    assert any("bad.jpg" in line for line in listener.said)


@pytest.mark.slow
def test_a_survey_counts_and_writes_nothing(archive: Path, colorizer: Colorizer, tiny: Path) -> None:
    before = files(archive.parent)
    survey = survey_archive(archive, None, Options())
    assert (survey.photos, survey.films, survey.skipped, survey.ignored) == (3, 1, 0, 1)
    assert files(archive.parent) == before
    assert not survey.output.exists()
    run(archive, colorizer)
    survey = survey_archive(archive, None, Options(model=str(tiny)))
    assert (survey.photos, survey.films, survey.skipped, survey.ignored) == (0, 0, 4, 1)


@pytest.mark.slow
def test_a_dry_run_beside_a_ledger_changes_nothing(archive: Path, colorizer: Colorizer, tiny: Path) -> None:
    run(archive, colorizer)
    (archive / "people" / "b.png").write_bytes(b"changed")
    before = {name: (archive.parent / name).stat().st_mtime_ns for name in files(archive.parent)}
    survey = survey_archive(archive, None, Options(model=str(tiny)))
    assert (survey.photos, survey.films, survey.skipped, survey.photo_bytes) == (1, 0, 3, 7)
    assert {name: (archive.parent / name).stat().st_mtime_ns for name in files(archive.parent)} == before


@pytest.mark.slow
def test_no_engine_is_opened_when_there_is_nothing_to_do(archive: Path, colorizer: Colorizer, tiny: Path) -> None:
    run(archive, colorizer)
    nothing = Options(model=str(tiny), engine="no-such-engine")
    assert counts(colorize_archive(archive, None, nothing)) == (0, 4, 0)
    (archive.with_name("scans-colorized") / "people" / "a.jpg").unlink()
    with pytest.raises(EngineError):
        colorize_archive(archive, None, nothing)
    with pytest.raises(WeightsError):
        colorize_archive(archive, None, Options(model="no-such-weights"))


@pytest.mark.slow
def test_a_run_whose_lock_another_run_took_over_ends_and_writes_nothing_more(
    archive: Path, colorizer: Colorizer
) -> None:
    """As on a network disk that gave the lock to another machine while this one was cut off."""
    output = archive.with_name("scans-colorized")
    lock, other = output / ".autochrome" / "lock", '{"pid": 7, "host": "elsewhere", "started": 0}'
    taking = Listener("d.mp4", "begin", lambda: lock.write_text(other))
    with pytest.raises(LockedError, match=r"took it over .*elsewhere"):
        run(archive, colorizer, progress=taking)
    assert lock.read_text() == other
    assert last_run(output).exit_code is None
    assert results(output) == ["people/a.jpg", "people/b.png", "places/far/c.tif"]
    assert counts(run(archive, colorizer)) == (1, 3, 0)


@pytest.mark.slow
def test_a_card_that_changes_the_colours_makes_results_stale_and_one_that_says_more_does_not(
    archive: Path, tmp_path: Path
) -> None:
    def again() -> tuple[int, int, int]:
        return counts(colorize_archive(archive, None, Options(engine="onnxruntime", model=str(model))))

    model = write_two_model(tmp_path, temperature=0.5)
    assert again() == (4, 0, 0)
    write_two_model(tmp_path, temperature=0.5, description="the same")
    assert again() == (0, 4, 0)
    write_two_model(tmp_path, temperature=0.4)
    assert again() == (4, 0, 0)


@pytest.mark.slow
def test_a_card_that_changes_before_the_engine_opens_ends_the_run(archive: Path, tmp_path: Path) -> None:
    class Changing(Silent):
        def say(self, text: str) -> None:
            write_two_model(tmp_path, temperature=0.4)

    model = write_two_model(tmp_path, temperature=0.5)
    options = Options(engine="onnxruntime", model=str(model))
    with pytest.raises(WeightsError, match="not the network that this run began with"):
        colorize_archive(archive, None, options, progress=Changing())
    output = archive.with_name("scans-colorized")
    assert (results(output), last_run(output).exit_code) == ([], 9)
    assert counts(colorize_archive(archive, None, options)) == (4, 0, 0)


@pytest.mark.parametrize("name", [None, "notes.txt", ".hidden.jpg"])
def test_a_folder_without_anything_to_colour_is_no_success_on_the_first_night(
    tmp_path: Path, colorizer: Colorizer, name: str | None
) -> None:
    source = tmp_path / "empty"
    source.mkdir()
    if name:
        (source / name).write_bytes(b"-")
    for run_options in (RunOptions(), RunOptions(shard=Shard(index=2, count=3))):
        output = tmp_path / f"out{run_options.shard}"
        with pytest.raises(InputError, match="no photograph or film in it") as caught:
            colorize_archive(source, output, Options(), run_options=run_options, colorizer=colorizer)
        assert "mounted" in caught.value.advice
        assert not output.exists()
        assert ("1 hidden, files and folders, left out: .hidden.jpg" in str(caught.value)) == (name == ".hidden.jpg")
    with pytest.raises(InputError, match="no photograph or film in it"):
        survey_archive(source, tmp_path / "other")


def test_a_folder_of_nothing_but_links_and_hidden_folders_says_so(
    archive: Path, tmp_path: Path, colorizer: Colorizer
) -> None:
    source = tmp_path / "shelf"
    (source / ".private").mkdir(parents=True)
    (source / "album").symlink_to(archive, target_is_directory=True)
    said = r"1 hidden.*left out: \.private; links to folders and results of earlier runs, left out: album"
    with pytest.raises(InputError, match=said):
        colorize_archive(source, tmp_path / "shelf-out", Options(), colorizer=colorizer)
    with pytest.raises(InputError, match=said):
        survey_archive(source, tmp_path / "other")


@pytest.mark.slow
def test_a_folder_that_is_empty_now_is_named_every_night_until_it_is_gone(archive: Path, colorizer: Colorizer) -> None:
    run(archive, colorizer)
    mounted = archive / "places"
    shutil.rmtree(mounted)
    assert run(archive, colorizer).exit_code == 0
    mounted.mkdir()
    for _ in range(2):
        result = run(archive, colorizer)
        assert result.exit_code == 3
        (failed,) = result.failures
        assert failed.error == f"{mounted}: is empty, but held 1 source in earlier runs"
        assert "mounted" in failed.advice
    mounted.rmdir()
    assert run(archive, colorizer).exit_code == 0
    assert "places" not in records(result.output)


def test_names_that_are_no_text_are_coloured_too(tmp_path: Path, colorizer: Colorizer) -> None:
    source = tmp_path / "in"
    source.mkdir()
    whole = save(source / "a.png", scene())
    strange = Path(str(source) + "/caf\udce9 \u00e9.png")
    shutil.copyfile(whole, strange)
    result = colorize_archive(source, None, Options(), colorizer=colorizer)
    assert results(result.output) == sorted(["a.png", strange.name])
    assert counts(colorize_archive(source, None, Options(), colorizer=colorizer)) == (0, 2, 0)


def test_the_longest_names_that_a_disk_takes_are_coloured_too(tmp_path: Path, colorizer: Colorizer) -> None:
    source = tmp_path / "in"
    source.mkdir()
    names = sorted(["\u00fc" * 125 + "a.png", "b" * 251 + ".png", "c" * 240 + ".png"])
    for name in names:
        save(source / name, scene())
    result = colorize_archive(source, None, Options(), colorizer=colorizer)
    assert (counts(result), result.failures) == ((3, 0, 0), ())
    assert results(result.output) == names
    assert len(list(result.output.glob("*.autochrome.json"))) == 3


@pytest.mark.slow
def test_a_bag_holds_the_results_under_data_and_goes_on_as_one(archive: Path, colorizer: Colorizer) -> None:
    result = run(archive, colorizer, run_options=RunOptions(bag=True))
    data = result.output / "data"
    assert (data / "people" / "a.jpg").exists()
    listed = (result.output / "manifest-sha256.txt").read_text(encoding="utf-8").splitlines()
    assert f"{sha256((data / 'people' / 'a.jpg').read_bytes()).hexdigest()}  data/people/a.jpg" in listed
    assert records(result.output)["people/a.jpg"].output == "data/people/a.jpg"
    assert counts(run(archive, colorizer, run_options=RunOptions(bag=True))) == (0, 4, 0)
    with pytest.raises(UsageError, match="bag"):
        run(archive, colorizer)


def test_a_second_run_on_the_same_output_is_refused(archive: Path, colorizer: Colorizer) -> None:
    with locked(archive.with_name("scans-colorized")), pytest.raises(LockedError):
        run(archive, colorizer)


def test_only_the_first_thousand_failures_are_kept_in_memory() -> None:
    from pipeline.archive.counts import MOST_FAILURES, Counts

    counts = Counts()
    for number in range(MOST_FAILURES + 5):
        counts.fail(Failure(source=Path(str(number)), error="", advice="", exit_code=4))
    assert (counts.failed, len(counts.failures)) == (MOST_FAILURES + 5, MOST_FAILURES)
