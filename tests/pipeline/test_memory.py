"""Memory does not grow with the length of a film."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from tests.commands import PATIENCE, ROOT
from tests.engines.two import write_two_model
from tests.films import make_film

pytestmark = pytest.mark.nightly

SIZE = (320, 240)
SHORT, LONG = 100, 400
# The luma of 300 frames is twice as much; the times of all frames take some kilobytes.
GROWTH_MEGABYTES = 11.5


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see the memory of a process")
@pytest.mark.parametrize(("codec", "quality"), [("h264", "access"), ("ffv1", "master")])
def test_a_film_four_times_as_long_needs_no_more_memory(tmp_path: Path, tiny: Path, codec: str, quality: str) -> None:
    peaks = []
    for frames in (SHORT, LONG):
        film = make_film(
            tmp_path / f"{frames}.mkv",
            codec="libx264",
            width=SIZE[0],
            height=SIZE[1],
            times=range(frames),
            options={"preset": "ultrafast"},
        )
        peaks.append(peak(film, tiny, f"codec=Codec({codec!r}), quality=Quality({quality!r})"))
    assert peaks[1] - peaks[0] < GROWTH_MEGABYTES, peaks


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see the memory of a process")
def test_nor_does_what_is_remembered_of_its_scenes(tmp_path: Path) -> None:
    """The network tells its evidence, and every twentieth frame is another scene."""
    model, peaks = write_two_model(tmp_path, temperature=0.5), []
    for frames in (2 * SHORT, 2 * LONG):
        film = make_film(
            tmp_path / f"{frames}.mkv", codec="ffv1", width=160, height=120, times=range(frames), luma=_scenes
        )
        peaks.append(peak(film, model, "quality=Quality.MASTER"))
    assert peaks[1] - peaks[0] < GROWTH_MEGABYTES, peaks


def _scenes(number: int) -> np.ndarray:
    blocks = np.kron(np.random.default_rng(number // 20).integers(20, 235, (4, 5)), np.ones((30, 32)))
    return np.asarray(np.roll(blocks, number % 20 // 4, axis=1), np.uint8)


def peak(film: Path, tiny: Path, options: str) -> float:
    """Colour ``film`` in a process of its own and return the most memory it ever held, in MB."""
    script = f"""
        from pathlib import Path
        from pipeline.color.colorizer import open_colorizer
        from pipeline.process import prepare_process
        from pipeline.options import Codec, Options, Quality
        from pipeline.film.job import colorize_video

        prepare_process()
        options = Options(engine="onnxruntime", model={str(tiny)!r}, {options})
        with open_colorizer(options) as colorizer:
            colorize_video(Path({str(film)!r}), None, options, colorizer=colorizer)
        status = Path("/proc/self/status").read_text().splitlines()
        print(next(line for line in status if line.startswith("VmHWM")).split()[1])
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return int(run.stdout) / 1000
