"""One film by several processes: the film that one makes, whatever becomes of the others."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.film.segment_folder import SegmentFolder, segment_folder
from pipeline.originals import Originals
from tests.commands import ROOT
from tests.engines.two import write_two_model
from tests.films import make_film

pytestmark = pytest.mark.slow

SCENES = (0, 1, 0, 2, 0, 1, 0, 2)
SHOT, SHOTS, SEGMENT = 10, len(SCENES), 15
OWNER, HELPER = "owner", "helper"

WORK = f"""
import sys
from pathlib import Path
from pipeline.color.colorizer import open_colorizer
from pipeline.film.job import colorize_video, help_with_video
from pipeline.interruption import StopRequest
from pipeline.options import Options, Quality
from pipeline.progress import Silent

role, film, output, model, pause = sys.argv[1:]

class Pausing(Silent):
    "Says how many frames were written here; stands still before some frame until it is told to go on."
    frames = 0

    def advance(self, item, count=1):
        if count == 1:
            self.frames += 1
            if self.frames == int(pause):
                print("pausing", flush=True)
                sys.stdin.readline()

options = Options(engine="onnxruntime", model=model, quality=Quality.MASTER)
progress = Pausing()
with open_colorizer(options) as colorizer:
    work = colorize_video if role == "{OWNER}" else help_with_video
    work(Path(film), Path(output), options, colorizer=colorizer, segment_frames={SEGMENT}, progress=progress,
         stop=StopRequest())
print(progress.frames, flush=True)
"""


def luma(number: int) -> np.ndarray:
    """Luma of a film in which three scenes take turns, each of which moves a little."""
    shot, within = divmod(number, SHOT)
    blocks = np.kron(np.random.default_rng(SCENES[shot]).integers(20, 235, (9, 12)), np.ones((10, 10)))
    return np.roll(blocks, within // 2, axis=1).astype(np.uint8)[:72, :96]


class Case:
    """A film, a network that tells its evidence, and what one process makes of the film."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model = folder, write_two_model(folder, temperature=0.5)
        self.film = make_film(
            folder / "film.mkv", codec="ffv1", width=96, height=72, times=range(SHOT * SHOTS), luma=luma
        )
        alone = folder / "alone.mkv"
        with self.process(OWNER, alone) as process:
            assert written(process) == SHOT * SHOTS
        self.alone = alone.read_bytes()

    @contextmanager
    def process(
        self, role: str, output: Path, *, pause: int = 0, model: Path | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """Run a process that stands still before its frame number ``pause``."""
        paths = map(str, (self.film, output, model or self.model))
        command = [sys.executable, "-c", WORK, role, *paths, str(pause)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                if pause:
                    assert said(process) == "pausing"
                yield process
            finally:
                process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def written(process: subprocess.Popen[str]) -> int:
    """Return how many frames a process wrote, once it has ended well."""
    frames = int(said(process))
    assert process.wait(timeout=60) == 0
    return frames


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("case"))


@pytest.mark.nightly
def test_a_film_with_help_is_the_film_that_one_makes_and_no_segment_is_made_twice(case: Case, tmp_path: Path) -> None:
    output = tmp_path / "film.mkv"
    with case.process(OWNER, output, pause=5) as owner, case.process(HELPER, output) as helper:
        by_helper = written(helper)
        assert by_helper == SHOT * (SHOTS - 2), "the owner was held up in the first segment"
        go_on(owner)
        assert written(owner) == 2 * SHOT
    assert output.read_bytes() == case.alone
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


@pytest.mark.nightly
def test_what_a_helper_was_killed_with_is_done_by_the_owner(case: Case, tmp_path: Path) -> None:
    output = tmp_path / "film.mkv"
    with case.process(OWNER, output, pause=5) as owner:
        # It has finished its first segment, and is amid its second.
        with case.process(HELPER, output, pause=2 * SHOT + 5) as helper:
            go_on(owner)
            # The owner does all that is free, and waits for the rest.
            helper.send_signal(signal.SIGKILL)
        assert written(owner) == SHOT * (SHOTS - 2)
    assert output.read_bytes() == case.alone
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


@pytest.mark.nightly
def test_what_an_owner_was_killed_with_is_resumed_with_all_that_its_helpers_made(case: Case, tmp_path: Path) -> None:
    output = tmp_path / "film.mkv"
    with case.process(OWNER, output, pause=5) as owner, case.process(HELPER, output, pause=25) as helper:
        owner.kill()
        owner.wait()
        with case.process(OWNER, output, pause=5) as second:
            go_on(helper)
            assert written(helper) == SHOT * (SHOTS - 2)
            go_on(second)
            assert written(second) == 2 * SHOT
    assert output.read_bytes() == case.alone
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


@pytest.mark.nightly
def test_segments_by_one_who_found_other_cuts_are_done_again(case: Case, tmp_path: Path) -> None:
    output = tmp_path / "film.mkv"
    with case.process(OWNER, output, pause=5) as owner:
        recipe = json.loads((segment_folder(output) / "recipe.json").read_text())
        folder = SegmentFolder(segment_folder(output), output, recipe, originals=Originals())
        for number, first in ((1, 2 * SHOT + 1), (9, SHOT * SHOTS)):
            with folder.claimed(number, first=first, is_owner=False) as segment:
                assert segment is not None
                segment.finish(frames=2 * SHOT, summary={})
        go_on(owner)
        assert written(owner) == SHOT * SHOTS
    assert output.read_bytes() == case.alone


@pytest.mark.nightly
@pytest.mark.few(1)
@pytest.mark.parametrize("other", [{"temperature": 0.5, "seed": 1}, {"temperature": 0.4}], ids=["weights", "card"])
def test_one_who_would_do_it_otherwise_does_not_help(case: Case, tmp_path: Path, other: dict[str, Any]) -> None:
    output, model = tmp_path / "film.mkv", write_two_model(tmp_path, **other)
    with case.process(OWNER, output, pause=5) as owner:
        with case.process(HELPER, output, model=model) as helper:
            assert written(helper) == 0
        go_on(owner)
        assert written(owner) == SHOT * SHOTS
    assert output.read_bytes() == case.alone


def test_one_who_finds_nothing_begun_or_all_done_does_nothing(case: Case, tmp_path: Path) -> None:
    output = tmp_path / "film.mkv"
    with case.process(HELPER, output) as helper:
        assert written(helper) == 0
    assert not list(tmp_path.iterdir())
