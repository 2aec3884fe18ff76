"""Hundreds of damaged films, the same in every run: a clear error, the whole film, or notes on what it lacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.color.colorizer import Colorizer
from pipeline.errors import AutochromeError
from pipeline.film.job import colorize_video
from pipeline.options import Codec, OnDamage, Options
from pipeline.results import Failure
from tests.commands import ROOT
from tests.films import frame_times
from tests.pipeline.media.corruption import FILMS, FRAMES, make_films, make_variant, outcome
from tests.sampled import sampled

VARIANTS = 648
PROCESSES = 2
# Many times what the slowest took on a busy machine: only a hang is longer.
PATIENCE = 240


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    make_films(folder)
    return folder


@pytest.mark.few(6)
@pytest.mark.parametrize("name", list(FILMS))
@pytest.mark.parametrize("policy", list(OnDamage))
def test_undamaged_films_are_read_whole_and_without_a_note(films: Path, name: str, policy: OnDamage) -> None:
    assert outcome(films / name, policy) == {"frames": FRAMES, "notes": []}


@pytest.mark.slow
def test_no_damage_crashes_hangs_or_shortens_a_film_in_silence(films: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.pipeline.media.corruption", str(films), str(tmp_path)]
    running = [
        subprocess.Popen([*command, str(n), str(VARIANTS), str(PROCESSES)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for n in range(PROCESSES)
    ]
    found: list[dict[str, Any]] = []
    for process in running:
        said, _ = process.communicate(timeout=PATIENCE)
        lines = [json.loads(line) for line in said.splitlines()]
        assert process.returncode == 0, f"crashed at {lines[-1]}"
        found += [line for line in lines if len(line) > 1]
    assert sorted(line["number"] for line in found) == list(range(VARIANTS))
    assert not [line for line in found if "unexpected" in line]
    assert not [line for line in found if line.get("frames", FRAMES) != FRAMES and not line["notes"]]
    assert all(line["exit_code"] == 4 and line["error"] for line in found if "error" in line)
    # Both ends are really reached, and concealment does save films.
    assert sum("error" in line for line in found) > VARIANTS // 8
    assert sum(bool(line.get("notes")) for line in found) > VARIANTS // 8


@pytest.mark.few(2)
@pytest.mark.parametrize("number", sampled(range(5, 5 + 24 * 11, 11), *range(5, 5 + 24 * 11, 44)))
def test_damaged_films_become_films_with_notes_or_errors_and_nothing_else(
    films: Path, tmp_path: Path, colorizer: Colorizer, number: int
) -> None:
    path, policy = make_variant(films, tmp_path, number)
    options = Options(engine="onnxruntime", codec=Codec.H264, on_damage=policy)
    try:
        result = colorize_video(path, None, options, colorizer=colorizer)
    except AutochromeError as raised:
        failed = Failure.of(path, raised)
    else:
        failed = None
    if failed is not None:
        assert (path.name in failed.error, failed.exit_code) == (True, 4), failed.error
        assert list(tmp_path.iterdir()) == [path]
        return
    shown = frame_times(result.output)
    assert len(shown) == result.frames
    assert shown == sorted(set(shown))
    assert result.frames == FRAMES or result.notes
