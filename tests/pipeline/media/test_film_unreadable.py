"""What the system says of a disk is told as such: it is no damage of the film, and not the film's end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.color.colorizer import Colorizer
from pipeline.errors import UnreadableError
from pipeline.film.job import colorize_video
from pipeline.media.packet_scan import surveyed
from pipeline.options import OnDamage, Options
from pipeline.results import Failure
from tests.commands import PATIENCE, ROOT, environment
from tests.films import Sound, make_film, write_pictures
from tests.pipeline.media.failing_disk import fail_behind
from tests.pipeline.media.rewriting import survey

FILMS = {
    "film.mkv": "ffv1",
    "film.mp4": "libx264",
    "film.mov": "prores_ks",
    "film.avi": "mpeg4",
    "film.ts": "mpeg2video",
    "film.mpg": "mpeg2video",
    "film.m2v": "mpeg2video",
    "film.wmv": "wmv2",
    "film.flv": "flv",
    "film.mxf": "mpeg2video",
    "film.y4m": "wrapped_avframe",
    "film.ivf": "libvpx",
}


def save(path: Path) -> Path:
    pixel_format = "yuv422p10le" if path.suffix == ".mov" else "yuv420p"
    return make_film(path, codec=FILMS[path.name], pixel_format=pixel_format, times=range(40), grain=0.2)


@pytest.mark.few(2)
@pytest.mark.parametrize("name", FILMS)
def test_a_disk_that_fails_is_no_damage_of_the_film(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / name)
    size = path.stat().st_size
    for good, error in ((64, errno.EIO), (size // 2, errno.ESTALE), (size - 10, errno.EIO)):
        with monkeypatch.context() as patched:
            fail_behind(path, good, error, patched)
            with pytest.raises(UnreadableError, match=os.strerror(error)) as raised, surveyed(path):
                pytest.fail("it was read")
        assert "Copy it again" not in raised.value.advice
        assert Failure.of(path, raised.value).unreadable
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("number", [1, 4])
@pytest.mark.parametrize("good", [-1, 0, 100])
def test_a_disk_that_fails_at_one_of_numbered_pictures_is_no_damage_of_it(
    good: int, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_pictures(tmp_path / "film", "%04d.png", codec="png", pixel_format="gray")
    picture = folder / f"{number:04}.png"
    fail_behind(picture, good, errno.EIO, monkeypatch)
    with pytest.raises(UnreadableError, match=rf"{picture.name}: cannot be read: {os.strerror(errno.EIO)}") as raised:
        survey(folder)
    assert Failure.of(folder, raised.value).unreadable
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["film.mkv", "film.ts", "film.mp4"])
@pytest.mark.parametrize("opening", range(1, 4))
def test_a_disk_that_fails_in_any_pass_leaves_nothing_even_where_damage_is_concealed(
    name: str, opening: int, tmp_path: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = Sound(codec="mp2" if name.endswith("ts") else "aac", seconds=1.6)
    film = make_film(tmp_path / name, codec="libx264", times=range(40), grain=0.2, sounds=[sound])
    fail_behind(film, film.stat().st_size // 2, errno.EIO, monkeypatch, opening=opening)
    with pytest.raises(UnreadableError, match=os.strerror(errno.EIO)):
        colorize_video(film, tmp_path / "out.mkv", Options(on_damage=OnDamage.CONCEAL), colorizer=colorizer)
    assert list(tmp_path.iterdir()) == [film]


@pytest.mark.usefixtures("bound_by_permissions")
def test_a_film_that_one_may_not_read_is_no_damaged_film(tmp_path: Path) -> None:
    path = save(tmp_path / "film.mkv")
    path.chmod(0)
    with pytest.raises(UnreadableError, match="Permission denied") as raised, surveyed(path):
        pytest.fail("it was read")
    assert "permissions" in raised.value.advice


# Reads a film again and again; says each time that it has begun, and begins anew when it is interrupted.
READING = """
import sys
from pathlib import Path
from pipeline.interruption import Interruption, end_on_signals
from pipeline.media.packet_scan import surveyed
for _ in range(10):
    end_on_signals()
    try:
        print("begun", flush=True)
        while True:
            with surveyed(Path(sys.argv[1])):
                pass
    except Interruption:
        pass
"""


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film for which FFmpeg reads and searches some hundred times: its sound lies apart from its picture."""
    path = tmp_path_factory.mktemp("long") / "film.mp4"
    sounds = [Sound(seconds=10)]
    options = {"qscale": "2"}
    return make_film(
        path, codec="mpeg4", width=240, height=160, times=range(250), grain=0.2, options=options, sounds=sounds
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no Ctrl-C to a single process")
def test_ctrl_c_while_ffmpeg_reads_is_neither_lost_nor_the_end_of_the_film(long_film: Path) -> None:
    # Nearly all of the time is FFmpeg's. Every Ctrl-C comes at another moment.
    with subprocess.Popen(
        [sys.executable, "-c", READING, str(long_film)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        hang = threading.Timer(PATIENCE, process.kill)
        hang.start()
        try:
            assert process.stdout is not None
            for number, line in enumerate(process.stdout):
                assert line == "begun\n"
                time.sleep(0.003 * number)
                process.send_signal(signal.SIGINT)
            _, told = process.communicate()
        finally:
            hang.cancel()
    # FFmpeg may say that a packet ends early.
    assert (number, process.returncode) == (9, 0), told
    assert "Exception" not in told
