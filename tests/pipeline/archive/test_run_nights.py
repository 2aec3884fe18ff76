from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from pipeline.archive.dry_run import survey_archive
from pipeline.archive.ledger import State
from pipeline.archive.output_folder import free_space
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.color.colorizer import Colorizer
from pipeline.errors import OutputError
from pipeline.interruption import Interruption, StopRequest
from pipeline.options import Options, Quality
from tests.films import Sound, make_film
from tests.photos import save, scene
from tests.pipeline.archive.runs import (
    Listener,
    counts,
    hiccuping,
    raising,
    records,
    results,
    run,
    shots_of,
    states,
)

pytestmark = pytest.mark.slow


def test_a_report_is_written_whatever_happened_unless_none_is_wanted(archive: Path, colorizer: Colorizer) -> None:
    with pytest.raises(Interruption):
        run(archive, colorizer, progress=Listener("d.mp4", "begin", raising(Interruption(2))))
    page = archive.with_name("scans-colorized") / "report.html"
    assert "people/a.jpg" in page.read_text(encoding="utf-8")
    page.unlink()
    assert run(archive, colorizer, run_options=RunOptions(report=False)).report is None
    assert not page.exists()
    assert run(archive, colorizer).report == page
    assert page.exists()


def test_when_time_is_up_the_rest_is_left_for_the_next_run(archive: Path, colorizer: Colorizer) -> None:
    past = datetime.now(UTC) - timedelta(minutes=1)
    result = run(archive, colorizer, run_options=RunOptions(until=past))
    assert (counts(result), result.waiting) == ((0, 0, 0), 4)
    assert set(states(result.output).values()) == {State.WAITING}
    result = run(archive, colorizer, run_options=RunOptions(until=datetime.now(UTC) + timedelta(hours=1)))
    assert (counts(result), result.waiting) == ((4, 0, 0), 0)


def test_time_that_runs_out_on_the_way_ends_the_run_between_two_items(archive: Path, colorizer: Colorizer) -> None:
    midnight = datetime(2024, 1, 1, tzinfo=UTC)
    hours = count(1)
    stop = StopRequest(clock=lambda _zone: midnight + timedelta(hours=next(hours)))
    run_options = RunOptions(until=midnight + timedelta(hours=3, minutes=30))
    result = colorize_archive(archive, None, Options(), run_options=run_options, colorizer=colorizer, stop=stop)
    # One look before the photographs are claimed, one before each of them.
    assert (result.photos, result.films, result.waiting) == (2, 0, 2)
    assert sorted(states(result.output).values()) == [State.DONE, State.DONE, State.WAITING, State.WAITING]
    assert counts(run(archive, colorizer)) == (2, 2, 0)


@pytest.mark.parametrize("how", ["time is up", "it was asked to stop"])
def test_a_long_film_stops_after_the_running_segment_and_goes_on_in_the_next_run(
    how: str, tmp_path: Path, colorizer: Colorizer
) -> None:
    source, options = tmp_path / "in", Options(quality=Quality.MASTER)
    source.mkdir()
    film = make_film(source / "long.mp4", codec="libx264", times=range(40), luma=shots_of(10), sounds=[Sound()])
    run_options = RunOptions(segment_frames=5)
    whole = colorize_archive(source, tmp_path / "whole", options, run_options=run_options, colorizer=colorizer)
    midnight, hours = datetime(2024, 1, 1, tzinfo=UTC), [0]
    stop = StopRequest(clock=lambda _zone: midnight + timedelta(hours=hours[0]))

    def act() -> None:
        if how == "time is up":
            hours[0] = 8
        else:
            stop.make()

    listener = Listener("long.mp4", 18, act)
    limited = replace(run_options, until=midnight + timedelta(hours=6))
    first = colorize_archive(
        source, tmp_path / "out", options, run_options=limited, colorizer=colorizer, progress=listener, stop=stop
    )
    assert (counts(first), first.waiting) == ((0, 0, 0), 1)
    assert (first.outcome, first.exit_code) == (("until", 0) if how == "time is up" else ("interrupted", 130))
    assert listener.counts[str(film)][0] == 20
    assert states(tmp_path / "out") == {"long.mp4": State.WAITING}
    assert results(tmp_path / "out") == [name for name in results(tmp_path / "out") if ".segments/" in name]
    listener = Listener()
    again = colorize_archive(
        source, tmp_path / "out", options, run_options=run_options, colorizer=colorizer, progress=listener
    )
    assert counts(again) == (1, 0, 0)
    assert any("20 frames done" in line for line in listener.said)
    assert results(again.output) == ["long.mp4.mkv"]
    assert (again.output / "long.mp4.mkv").read_bytes() == (whole.output / "long.mp4.mkv").read_bytes()


def test_a_disk_that_is_too_full_ends_the_run_and_loses_nothing(archive: Path, colorizer: Colorizer) -> None:
    with pytest.raises(OutputError, match="free"):
        run(archive, colorizer, run_options=RunOptions(keep_free=1 << 60))
    output = archive.with_name("scans-colorized")
    assert set(states(output).values()) == {State.WAITING}
    assert counts(run(archive, colorizer)) == (4, 0, 0)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="needs a way to fill a disk in no time")
def test_a_disk_that_fills_up_stops_a_film_on_its_way(archive: Path, colorizer: Colorizer, tmp_path: Path) -> None:
    size = 1 << 30
    room = free_space(tmp_path)
    if room < 4 * size:
        pytest.skip("needs some gigabytes")
    filler = tmp_path / "filler"

    def fill() -> None:
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)

    listener = Listener("d.mp4", 2, fill)
    try:
        with pytest.raises(OutputError, match="must stay free"):
            run(archive, colorizer, run_options=RunOptions(keep_free=room - size // 2), progress=listener)
    finally:
        filler.unlink(missing_ok=True)
    assert listener.counts[str(archive / "segments" / "d.mp4")][0] == 2
    assert states(archive.with_name("scans-colorized"))["segments/d.mp4"] is State.WAITING


def test_the_longest_film_comes_first(archive: Path, colorizer: Colorizer) -> None:
    for name, length in (("a.mp4", 2), ("z.mp4", 8)):
        make_film(archive / "segments" / name, codec="libx264", times=range(length))
    listener = Listener()
    run(archive, colorizer, progress=listener)
    begun = [Path(item).name for item in listener.counts]
    assert [name for name in begun if name.endswith(".mp4")] == ["z.mp4", "d.mp4", "a.mp4"]


def test_several_films_at_a_time_are_the_same_films(archive: Path, colorizer: Colorizer, tmp_path: Path) -> None:
    for number in range(4):
        make_film(archive / "segments" / f"{number}.mp4", codec="libx264", times=range(6 + number), sounds=[Sound()])
    # FFV1: the multithreaded encoder of H.264 does not always give the same bytes twice.
    options, listener = Options(quality=Quality.MASTER), Listener()
    one = colorize_archive(archive, tmp_path / "one", options, colorizer=colorizer)
    more = colorize_archive(
        archive, tmp_path / "more", options, run_options=RunOptions(jobs=3), colorizer=colorizer, progress=listener
    )
    assert counts(more) == counts(one) == (8, 0, 0)
    assert listener.counts["archive"] == [8, 8]
    for name in results(one.output):
        assert (more.output / name).read_bytes() == (one.output / name).read_bytes()


@pytest.mark.nightly
def test_when_one_of_several_films_ends_the_run_the_others_stop(archive: Path, colorizer: Colorizer) -> None:
    long, longer = (archive / "segments" / name for name in ("long.mp4", "longer.mp4"))
    make_film(long, codec="libx264", times=range(1500))
    make_film(longer, codec="libx264", times=range(1501))

    class AtWork(Listener):
        """Ends the run as soon as two films are at work."""

        def advance(self, item: str, count: int = 1) -> None:
            super().advance(item, count)
            if all(self.counts.get(str(film), [0])[0] for film in (long, longer)):
                raise Interruption(2)

    listener = AtWork()
    with pytest.raises(Interruption):
        run(archive, colorizer, run_options=RunOptions(jobs=2), progress=listener)
    assert all(listener.counts[str(film)][0] in range(1, 1500) for film in (long, longer))
    output = archive.with_name("scans-colorized")
    assert results(output) == ["people/a.jpg", "people/b.png", "places/far/c.tif"]
    assert {states(output)[f"segments/{film.name}"] for film in (long, longer)} == {State.WAITING}


def test_a_failure_that_may_pass_is_tried_again_in_the_same_run(archive: Path, tiny: Path) -> None:
    make_film(archive / "segments" / "e.mp4", codec="libx264", times=range(6))
    listener, films = Listener(), RunOptions(include=("segments/*",))
    result = run(archive, hiccuping(tiny, times=1), run_options=films, progress=listener)
    assert (result.films, result.failed) == (2, 0)
    assert listener.counts["archive"] == [2, 2]
    assert any("the runtime gave up" in line for line in listener.said)


def test_an_engine_that_keeps_failing_is_one_failure_and_none_of_the_film(archive: Path, tiny: Path) -> None:
    result = run(archive, hiccuping(tiny), run_options=RunOptions(retry=2, include=("segments/*",)))
    assert (result.films, result.failed) == (0, 1)
    record = records(result.output)["segments/d.mp4"]
    assert (record.state, record.attempts, record.exit_code) == (State.FAILED, 0, 6)


def test_a_failure_of_the_file_is_not_tried_twice_in_a_run_and_quarantined_after_three(
    archive: Path, colorizer: Colorizer
) -> None:
    (archive / "people" / "bad.jpg").write_text("no picture", encoding="utf-8")
    found = [run(archive, colorizer) for _ in range(4)]
    assert [result.failed for result in found] == [1, 1, 1, 0]
    assert [result.quarantined for result in found] == [0, 0, 0, 1]
    record = records(found[0].output)["people/bad.jpg"]
    assert (record.state, record.attempts) == (State.QUARANTINED, 3)
    save(archive / "people" / "bad.jpg", scene())
    assert counts(run(archive, colorizer)) == (1, 4, 0)


def test_a_kind_that_is_not_coloured_is_refused_once_and_no_failure(
    archive: Path, colorizer: Colorizer, tmp_path: Path, tiny: Path
) -> None:
    raw = archive / "people" / "negative.cr2"
    raw.write_bytes(b"II*\0\x10\0\0\0CR\2\0")
    log = tmp_path / "log.jsonl"
    found = [run(archive, colorizer, run_options=RunOptions(log=log)) for _ in range(5)]
    assert [(result.refused, result.failed, result.exit_code) for result in found] == [(1, 0, 0)] * 5
    assert [counts(result) for result in found] == [(4, 0, 0), *[(0, 4, 0)] * 4]
    record = records(found[0].output)["people/negative.cr2"]
    assert (record.state, record.attempts, record.exit_code) == (State.REFUSED, 0, 4)
    assert "Develop it" in record.advice
    events = [json.loads(line)["event"] for line in log.read_text(encoding="utf-8").splitlines()]
    assert events.count("item_refused") == 1
    assert survey_archive(archive, None, Options(model=str(tiny))).refused == 1
    raw.write_bytes(b"now a damaged file")
    assert (run(archive, colorizer).refused, run(archive, colorizer).failed) == (0, 1)


def test_a_film_that_cannot_be_opened_is_quarantined_too(archive: Path, colorizer: Colorizer) -> None:
    (archive / "segments" / "bad.mp4").write_text("no film", encoding="utf-8")
    found = [run(archive, colorizer) for _ in range(4)]
    assert [result.failed for result in found] == [1, 1, 1, 0]
    assert found[3].quarantined == 1


def test_faults_of_the_disk_never_quarantine(archive: Path, colorizer: Colorizer) -> None:
    blocked = archive.with_name("scans-colorized") / "segments"
    blocked.parent.mkdir()
    blocked.write_text("a file where a folder should be", encoding="utf-8")
    for _ in range(4):
        assert run(archive, colorizer).failed == 1
    blocked.unlink()
    assert counts(run(archive, colorizer)) == (1, 3, 0)


def test_a_source_that_still_grows_gets_no_result_and_is_done_by_the_next_run(
    archive: Path, colorizer: Colorizer
) -> None:
    source = archive / "segments" / "d.mp4"
    with source.open("ab", buffering=0) as file:
        result = run(archive, colorizer, progress=Listener("d.mp4", "end", lambda: file.write(bytes(8))))
    (failed,) = result.failures
    assert (failed.source, failed.exit_code) == (source, 4)
    assert "changed while it was read" in failed.error
    assert results(result.output) == ["people/a.jpg", "people/b.png", "places/far/c.tif"]
    assert counts(run(archive, colorizer)) == (1, 3, 0)


def test_a_source_that_vanishes_is_a_failure_and_forgotten_later(archive: Path, colorizer: Colorizer) -> None:
    result = run(archive, colorizer, progress=Listener("d.mp4", "end", (archive / "segments" / "d.mp4").unlink))
    (failed,) = result.failures
    assert "is gone" in failed.error
    assert counts(run(archive, colorizer)) == (0, 3, 0)
    assert "segments/d.mp4" not in records(result.output)


def test_a_photograph_that_vanishes_before_its_turn_is_a_failure(archive: Path, colorizer: Colorizer) -> None:
    result = run(archive, colorizer, progress=Listener("photos", "begin", (archive / "people" / "b.png").unlink))
    assert (result.photos, result.films) == (2, 1)
    assert [failed.source.name for failed in result.failures] == ["b.png"]
