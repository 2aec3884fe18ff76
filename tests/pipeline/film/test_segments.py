"""A long film that died on its way goes on after its last segment, and comes out as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from shutil import copy2
from typing import Any

import numpy as np
import pytest

from engines.networks import open_network
from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.errors import EngineError, LockedError, UsageError
from pipeline.film.job import colorize_video, help_with_video
from pipeline.film.segment_folder import LOCK, segment_folder
from pipeline.interruption import Cancelled, Interruption, StopRequest
from pipeline.locks import held
from pipeline.options import Codec, Hint, Options, Quality, TreatAs
from pipeline.progress import Silent
from pipeline.publish import names_checked
from pipeline.results import FilmResult
from tests.commands import PATIENCE, ROOT, python
from tests.engines.faults import fault_entries
from tests.engines.two import write_two_model
from tests.films import Sound, frame_times, luma_planes, make_film, packets

SHOT, SHOTS = 8, 4
SEGMENT = 6
MIDDLE = 2 * SHOT + 4


def shots(number: int) -> np.ndarray:
    """Luma of a film of unlike shots, each of which moves a little."""
    rng = np.random.default_rng(number // SHOT)
    blocks = np.kron(rng.integers(20, 235, (9, 12)), np.ones((10, 10)))
    return np.roll(blocks, number % SHOT // 2, axis=1).astype(np.uint8)[:72, :96]


@pytest.fixture(scope="module")
def shared_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(
        tmp_path_factory.mktemp("film") / "film.mkv",
        codec="ffv1",
        width=96,
        height=72,
        times=range(SHOT * SHOTS),
        luma=shots,
        sounds=[Sound()],
    )


@pytest.fixture
def film(shared_film: Path, tmp_path: Path) -> Path:
    return Path(copy2(shared_film, tmp_path / "film.mkv"))


@pytest.fixture(scope="module")
def uninterrupted(
    shared_film: Path, colorizer: Colorizer, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Quality, Codec], FilmResult]:
    """Give what an undisturbed run in segments makes of the film."""
    folder = tmp_path_factory.mktemp("whole")

    @cache
    def make(quality: Quality, codec: Codec) -> FilmResult:
        return colour(shared_film, folder / f"{codec.value}{suffix(codec)}", colorizer, options(quality, codec))

    return make


class Stopping(Silent):
    """Progress that ends the run after some frames."""

    def __init__(self, frames: int, error: BaseException) -> None:
        self._left, self._error = frames, error
        self.resumed = 0

    def advance(self, item: str, count: int = 1) -> None:
        if count > 1:
            self.resumed = count
        self._left -= count
        if self._left <= 0:
            raise self._error


class Taking(Silent):
    """Progress that takes the name of the result when the film is nearly through, and counts its segments then."""

    def __init__(self, output: Path) -> None:
        self._output, self._frames, self.segments = output, 0, 0

    def advance(self, item: str, count: int = 1) -> None:
        self._frames += count
        if self._frames == SHOT * SHOTS - 1:
            self.segments = len(made(self._output.parent))
            self._output.write_bytes(b"taken")


DYING = f"""
import os, signal, sys
from pathlib import Path
from pipeline.color.colorizer import open_colorizer
from pipeline.options import Options, Quality
from pipeline.progress import Silent
from pipeline.film.job import colorize_video

class Dying(Silent):
    left = int(sys.argv[4])

    def advance(self, item, count=1):
        print(count, flush=True)
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

options = Options(engine="onnxruntime", model=sys.argv[3], quality=Quality.MASTER)
with open_colorizer(options) as colorizer:
    colorize_video(Path(sys.argv[1]), Path(sys.argv[2]), options,
                   colorizer=colorizer, segment_frames={SEGMENT}, progress=Dying())
"""


def options(quality: Quality, codec: Codec = Codec.AUTO, **more: Any) -> Options:
    return Options(quality=quality, codec=codec, threads=False, **more)


def colour(film: Path, output: Path, colorizer: Colorizer, chosen: Options, **more: Any) -> FilmResult:
    return colorize_video(film, output, chosen, colorizer=colorizer, segment_frames=SEGMENT, **more)


def suffix(codec: Codec) -> str:
    return {Codec.AUTO: ".mkv", Codec.PRORES: ".mov"}.get(codec, ".mp4")


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob(".autochrome-*.segments"))


def made(folder: Path) -> list[Path]:
    return sorted(folder.glob(".autochrome-*.segments/[0-9]*.segment"))


@pytest.mark.parametrize(
    ("quality", "codec"),
    [
        (Quality.MASTER, Codec.AUTO),
        *(
            pytest.param(Quality.ACCESS, codec, marks=pytest.mark.slow)
            for codec in (Codec.H264, Codec.HEVC, Codec.AV1, Codec.PRORES)
        ),
    ],
)
@pytest.mark.parametrize(
    "stop",
    [pytest.param(SHOT + 4, marks=pytest.mark.slow), MIDDLE, pytest.param(SHOTS * SHOT - 1, marks=pytest.mark.slow)],
)
def test_a_resumed_film_equals_an_uninterrupted_one(
    shared_film: Path,
    tmp_path: Path,
    colorizer: Colorizer,
    uninterrupted: Callable[[Quality, Codec], FilmResult],
    quality: Quality,
    codec: Codec,
    stop: int,
) -> None:
    chosen, whole = options(quality, codec), uninterrupted(quality, codec)
    output = tmp_path / f"resumed{suffix(codec)}"
    with pytest.raises(Interruption):
        colour(shared_film, output, colorizer, chosen, progress=Stopping(stop, Interruption(signal.SIGTERM)))
    assert not output.exists()
    progress = Stopping(10_000, KeyboardInterrupt())
    resumed = colour(shared_film, output, colorizer, chosen, progress=progress)
    assert progress.resumed == stop // SHOT * SHOT
    assert output.read_bytes() == whole.output.read_bytes()
    assert without_clock(resumed) == without_clock(whole)
    assert not segments(tmp_path)


def returning(number: int) -> np.ndarray:
    """Luma of a film in which two scenes take turns."""
    return shots(number % (2 * SHOT) // SHOT * SHOT + number // (2 * SHOT) * 2 + number % SHOT // 4)


@pytest.mark.nightly
def test_hints_come_out_the_same_after_an_interruption(tmp_path: Path) -> None:
    """They are of a frame of the first part, which the run that resumes does not colour again, and of the last."""
    film = make_film(
        tmp_path / "film.mkv", codec="ffv1", width=96, height=72, times=range(SHOT * SHOTS), luma=returning
    )
    hints = tuple(
        Hint(x=0.4, y=0.5, color="#3A5FCD", reach=0.1, time=number / 25 + 0.001) for number in (3, 4 * SHOT - 2)
    )
    chosen = options(Quality.MASTER, hints=hints)
    whole, died = tmp_path / "whole.mkv", tmp_path / "died.mkv"
    model = write_two_model(tmp_path, temperature=0.5)
    with open_colorizer(Options(engine="onnxruntime", model=str(model))) as two:
        plain = colour(film, tmp_path / "plain.mkv", two, options(Quality.MASTER)).output.read_bytes()
        assert colour(film, whole, two, chosen).output.read_bytes() != plain
        with pytest.raises(Interruption):
            colour(film, died, two, chosen, progress=Stopping(MIDDLE, Interruption(signal.SIGTERM)))
        again = Stopping(SHOT * SHOTS + 1, Interruption(signal.SIGTERM))
        colour(film, died, two, chosen, progress=again)
    assert again.resumed >= SHOT
    assert died.read_bytes() == whole.read_bytes()


@pytest.mark.nightly
def test_what_is_remembered_of_scenes_survives_a_kill(tmp_path: Path) -> None:
    """The network tells its evidence, the second half of the film rests on the first, and the run is killed twice."""
    model = write_two_model(tmp_path, temperature=0.5)
    film = make_film(
        tmp_path / "film.mkv", codec="ffv1", width=96, height=72, times=range(SHOT * SHOTS), luma=returning
    )
    finished, died = tmp_path / "whole.mkv", tmp_path / "died.mkv"
    for output, runs in ((finished, ("-1",)), (died, ("12", "12", "-1"))):
        for frames in runs:
            run = python(DYING, film, output, model, frames)
            assert output is finished or frames == "-1" or run.returncode == -signal.SIGKILL
        assert run.returncode == 0, run.stderr
    assert str(2 * SHOT) in run.stdout.split(), "the last run was to go on after the second shot"
    assert died.read_bytes() == finished.read_bytes()


def without_clock(result: FilmResult) -> dict[str, Any]:
    values = asdict(result)
    del values["verification"]["luma"]
    for name in ("seconds", "output"):
        del values[name]
    del values["verification"]["seconds"]
    return values


@pytest.mark.slow
def test_segments_lose_nothing_of_the_film(film: Path, tmp_path: Path, colorizer: Colorizer) -> None:
    chosen = options(Quality.MASTER)
    in_segments = colour(film, tmp_path / "reels.mkv", colorizer, chosen)
    at_once = colorize_video(film, tmp_path / "once.mkv", chosen, colorizer=colorizer)
    assert in_segments.frames == at_once.frames == SHOT * SHOTS
    assert frame_times(in_segments.output) == frame_times(film)
    assert packets(in_segments.output, "audio") == packets(film, "audio")
    for ours, source in zip(luma_planes(in_segments.output), luma_planes(film), strict=True):
        np.testing.assert_array_equal(ours, source)
    assert in_segments.shots == at_once.shots
    assert in_segments.previews == at_once.previews
    assert in_segments.measures == at_once.measures


@pytest.mark.slow
def test_the_shots_of_a_film_are_told(film: Path, tmp_path: Path, colorizer: Colorizer) -> None:
    result = colour(film, tmp_path / "result.mkv", colorizer, options(Quality.MASTER))
    assert [(shot.first_frame, shot.frames) for shot in result.shots] == [(n * SHOT, SHOT) for n in range(SHOTS)]
    assert {shot.tone for shot in result.shots} == {"monochrome"}
    starts = [float(time) for time in frame_times(film)][::SHOT]
    assert [shot.start_seconds for shot in result.shots] == pytest.approx(starts, abs=1e-3)
    assert len(result.previews) == SHOTS
    assert all(look.before[:2] == look.after[:2] == b"\xff\xd8" for look in result.previews)
    assert result.measures is not None
    assert result.measures.flicker is not None


@pytest.mark.slow
def test_segments_of_other_options_are_thrown_away(film: Path, tmp_path: Path, colorizer: Colorizer) -> None:
    output = tmp_path / "result.mkv"
    with pytest.raises(Interruption):
        colour(
            film, output, colorizer, options(Quality.MASTER), progress=Stopping(MIDDLE, Interruption(signal.SIGTERM))
        )
    assert segments(tmp_path)
    progress = Stopping(10_000, KeyboardInterrupt())
    colour(film, output, colorizer, options(Quality.MASTER, treat_as=TreatAs.MONOCHROME), progress=progress)
    assert progress.resumed == 0
    assert not segments(tmp_path)


@pytest.mark.slow
def test_segments_of_another_film_of_that_name_are_thrown_away(
    film: Path, tmp_path: Path, colorizer: Colorizer
) -> None:
    output, chosen = tmp_path / "result.mkv", options(Quality.MASTER)
    with pytest.raises(Interruption):
        colour(film, output, colorizer, chosen, progress=Stopping(MIDDLE, Interruption(signal.SIGTERM)))
    os.utime(film, (1, 1))
    progress = Stopping(10_000, KeyboardInterrupt())
    colour(film, output, colorizer, chosen, progress=progress)
    assert progress.resumed == 0


@pytest.mark.slow
def test_segments_made_under_another_card_of_the_network_are_thrown_away(tmp_path: Path) -> None:
    film = make_film(
        tmp_path / "film.mkv", codec="ffv1", width=96, height=72, times=range(SHOT * SHOTS), luma=returning
    )
    output, whole, chosen = tmp_path / "result.mkv", tmp_path / "whole.mkv", options(Quality.MASTER)
    asked = Options(engine="onnxruntime", model=str(write_two_model(tmp_path, temperature=0.9)))
    with open_colorizer(asked) as before, pytest.raises(Interruption):
        colour(film, output, before, chosen, progress=Stopping(MIDDLE, Interruption(signal.SIGTERM)))
    assert made(tmp_path)
    write_two_model(tmp_path, temperature=0.3)
    with open_colorizer(asked) as after:
        assert (after.spec.weights_sha256, after.spec.precision) == (before.spec.weights_sha256, before.spec.precision)
        progress = Stopping(10_000, KeyboardInterrupt())
        colour(film, output, after, chosen, progress=progress)
        colour(film, whole, after, chosen)
    assert progress.resumed == 0
    assert output.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_an_error_that_may_pass_keeps_the_segments_and_one_that_stays_removes_them(
    film: Path, tmp_path: Path, colorizer: Colorizer, tiny: Path
) -> None:
    output, chosen = tmp_path / "result.mkv", options(Quality.MASTER)
    crashing = Colorizer(*open_network("crashing", str(tiny), extra=fault_entries(good_calls=SHOTS)))
    with pytest.raises(EngineError):
        colour(film, output, crashing, chosen)
    assert made(tmp_path)
    taking = Taking(output)
    with pytest.raises(UsageError, match="appeared while its result was being made"):
        colour(film, output, colorizer, chosen, progress=taking)
    assert taking.segments > 0
    assert output.read_bytes() == b"taken"
    assert not segments(tmp_path)


@pytest.mark.slow
def test_the_segments_of_a_film_that_another_run_took_over_are_left_to_it(
    film: Path, tmp_path: Path, colorizer: Colorizer
) -> None:
    def taken_over() -> None:
        raise LockedError("another run took it over")

    output, chosen = tmp_path / "result.mkv", options(Quality.MASTER)
    with pytest.raises(KeyboardInterrupt):
        colour(film, output, colorizer, chosen, progress=Stopping(MIDDLE, KeyboardInterrupt()))
    assert (kept := made(tmp_path))
    with pytest.raises(LockedError), names_checked(tmp_path, taken_over):
        colour(film, output, colorizer, chosen)
    assert made(tmp_path) == kept


@pytest.mark.slow
def test_a_film_that_dies_before_its_first_segment_leaves_nothing(
    film: Path, tmp_path: Path, colorizer: Colorizer
) -> None:
    with pytest.raises(Interruption):
        colour(
            film,
            tmp_path / "result.mkv",
            colorizer,
            options(Quality.MASTER),
            progress=Stopping(3, Interruption(signal.SIGTERM)),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


@pytest.mark.slow
def test_killed_without_warning_it_resumes(film: Path, tmp_path: Path, tiny: Path) -> None:
    resumed = []
    for frames in ("12", "12", "-1"):
        run = python(DYING, film, tmp_path / "result.mkv", tiny, frames)
        resumed += [int(count) for count in run.stdout.split() if int(count) > 1]
    assert run.returncode == 0, run.stderr
    assert resumed == [SHOT, 2 * SHOT]
    assert len(luma_planes(tmp_path / "result.mkv")) == SHOT * SHOTS
    assert not segments(tmp_path)


COLOUR = """
import sys
from pathlib import Path
from pipeline.color.colorizer import open_colorizer
from pipeline.film.job import colorize_video
from pipeline.options import Options, Quality
from pipeline.progress import Silent

class Waiting(Silent):
    frames = 0

    def advance(self, item, count=1):
        self.frames += count
        if self.frames == int(sys.argv[4]):
            print("waiting", flush=True)
            sys.stdin.readline()

options = Options(engine="onnxruntime", model=sys.argv[3], quality=Quality.MASTER)
with open_colorizer(options) as colorizer:
    colorize_video(Path(sys.argv[1]), Path(sys.argv[2]), options,
                   colorizer=colorizer, segment_frames=int(sys.argv[5]), progress=Waiting())
"""


@pytest.mark.slow
@pytest.mark.parametrize("segment_frames", [SEGMENT, pytest.param(500, marks=pytest.mark.slow)])
def test_a_second_run_of_one_film_is_refused_and_the_first_is_not_disturbed(
    film: Path, tmp_path: Path, tiny: Path, colorizer: Colorizer, segment_frames: int
) -> None:
    output, chosen = tmp_path / "result.mkv", options(Quality.MASTER)
    command = [sys.executable, "-c", COLOUR, str(film), str(output), str(tiny), "20", str(segment_frames)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == "waiting\n"
        for overwrite in (False, True):
            with pytest.raises(LockedError, match=f"process {first.pid}") as refused:
                colour(film, output, colorizer, replace(chosen, overwrite=overwrite))
            assert refused.value.exit_code == 75
            assert "delete" not in refused.value.advice.lower()
        colour(film, tmp_path / "other.mkv", colorizer, chosen)
        first.stdin.write("\n")
        first.stdin.close()
        assert first.wait(timeout=PATIENCE) == 0
    assert output.read_bytes() == (tmp_path / "other.mkv").read_bytes()
    assert not segments(tmp_path)


@pytest.mark.slow
def test_a_result_with_a_long_name_is_kept_in_segments_too(film: Path, tmp_path: Path, colorizer: Colorizer) -> None:
    output = tmp_path / f"{'n' * 251}.mkv"
    with pytest.raises(Interruption):
        colour(
            film, output, colorizer, options(Quality.MASTER), progress=Stopping(MIDDLE, Interruption(signal.SIGTERM))
        )
    assert len(segments(tmp_path)) == 1
    colour(film, output, colorizer, options(Quality.MASTER))
    assert output.exists()
    assert not segments(tmp_path)


def test_a_stop_request_ends_a_film_after_the_segment_under_way(
    film: Path, tmp_path: Path, colorizer: Colorizer
) -> None:
    class Requesting(Silent):
        frames = 0

        def advance(self, item: str, count: int = 1) -> None:
            self.frames += count
            if self.frames == SHOT + 4:
                stop.make()

    stop, progress, output = StopRequest(), Requesting(), tmp_path / "result.mkv"
    with pytest.raises(Cancelled) as cancelled:
        colour(film, output, colorizer, options(Quality.MASTER), progress=progress, stop=stop)
    assert progress.frames == cancelled.value.frames_kept == 2 * SHOT
    again = Stopping(10_000, KeyboardInterrupt())
    colour(film, output, colorizer, options(Quality.MASTER), progress=again)
    assert again.resumed == 2 * SHOT


@pytest.mark.parametrize(
    "recipe",
    ["another", pytest.param("", marks=pytest.mark.skipif(sys.platform == "win32", reason="it tidies up there"))],
)
def test_one_who_finds_nothing_to_help_with_leaves_the_lock_to_an_owner_who_begins(
    film: Path, tmp_path: Path, colorizer: Colorizer, recipe: str
) -> None:
    output = tmp_path / "out.mkv"
    folder = segment_folder(output)
    folder.mkdir()
    (folder / LOCK).write_text("as it was")
    if recipe:
        (folder / "recipe.json").write_text(recipe)
    help_with_video(
        film,
        output,
        options(Quality.MASTER),
        colorizer=colorizer,
        progress=Silent(),
        segment_frames=SEGMENT,
        stop=StopRequest(),
    )
    assert (folder / LOCK).read_text() == "as it was"


@pytest.mark.slow
def test_an_owner_waits_for_one_who_sweeps_up_for_a_moment(
    film: Path, tmp_path: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mkv"
    with ExitStack() as sweeper:
        sweeper.enter_context(held(segment_folder(output) / LOCK, output))

        def paused(seconds: float) -> None:
            monkeypatch.undo()
            sweeper.close()

        monkeypatch.setattr("time.sleep", paused)
        assert colour(film, output, colorizer, options(Quality.MASTER)).frames == SHOT * SHOTS
    assert not segments(tmp_path)
