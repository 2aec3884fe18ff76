"""One film, coloured twice with the same settings, gives the same bytes, whatever unwritten memory holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import PATIENCE, ROOT
from tests.films import make_film

pytestmark = pytest.mark.slow

COLOUR = """
import sys
from pathlib import Path
from pipeline import Codec, Options, Quality, colorize_video

codec = Codec(sys.argv[4])
quality = Quality.MASTER if codec is Codec.FFV1 else Quality.ACCESS
options = Options(engine="onnxruntime", model=sys.argv[3], codec=codec, quality=quality)
colorize_video(Path(sys.argv[1]), Path(sys.argv[2]), options)
"""


@pytest.mark.few(1)
@pytest.mark.skipif(sys.platform != "linux", reason="glibc fills memory on request")
@pytest.mark.parametrize(
    ("codec", "suffix"), [("h264", "mp4"), ("hevc", "mp4"), ("av1", "mp4"), ("prores", "mov"), ("ffv1", "mkv")]
)
def test_a_film_coloured_twice_gives_the_same_bytes(tmp_path: Path, tiny: Path, codec: str, suffix: str) -> None:
    # Twenty macroblocks wide: vector code of encoders ends in the middle of a register.
    film = make_film(tmp_path / "film.mkv", width=320, height=48, times=range(16), grain=0.05)
    results = [tmp_path / f"{fill}.{suffix}" for fill in (1, 255)]
    for result in results:
        subprocess.run(
            [sys.executable, "-c", COLOUR, str(film), str(result), str(tiny), codec],
            cwd=ROOT,
            env={**os.environ, "GLIBC_TUNABLES": f"glibc.malloc.perturb={result.stem}"},
            check=True,
            timeout=PATIENCE,
        )
    assert results[0].read_bytes() == results[1].read_bytes()
