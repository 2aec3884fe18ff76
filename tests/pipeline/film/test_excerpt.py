"""What a person states about the whole film, for the preview of a part of it."""

from __future__ import annotations

import errno
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.errors import OutputError, UnreadableError
from pipeline.film.excerpt import excerpt, frame_number, moved
from pipeline.media.probe import probe
from pipeline.options import Hint, Options, Span
from tests import photos
from tests.commands import PATIENCE, command, environment
from tests.films import make_film
from tests.pipeline.media.failing_disk import fail_behind


def test_a_part_gets_the_hints_that_lie_in_it_at_their_times_there() -> None:
    hints = tuple(Hint(x=0.5, y=0.5, color="neutral", time=time) for time in (1.0, 9.9995, 12.5, 20.0, 30.0))
    part = moved(Options(hints=hints, reference=Path("refs")), Fraction(10), Fraction(20))
    assert [hint.time for hint in part.hints] == [0, 2.5]
    assert part.reference is None


def test_a_part_counts_from_the_first_frame_whenever_that_is_shown(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(50, 98), options={"g": "1"})
    folder = tmp_path / "part"
    folder.mkdir()
    part = excerpt(film, Span(seconds=Fraction(1, 2), start=Fraction(1)), folder)
    assert (part.start, part.origin) == (1, 2)
    assert frame_number(probe(film), part.start) == 25


def numbered(folder: Path) -> Path:
    folder.mkdir()
    for number in range(20):
        photos.save(folder / f"{number:04}.png", photos.scene(width=96, height=64))
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file size")
def test_a_full_disk_is_told_of_the_folder_not_of_the_film(tmp_path: Path) -> None:
    from tests.pipeline.archive.kills import full_disk

    folder = tmp_path / "part"
    folder.mkdir()
    for film in (make_film(tmp_path / "film.mkv", grain=0.2, times=range(40)), numbered(tmp_path / "frames")):
        with full_disk(500), pytest.raises(OutputError, match=r"part: cannot be written: File too large") as caught:
            excerpt(film, Span(seconds=Fraction(1)), folder)
        assert film.name not in str(caught.value)
        assert "choose another place" in caught.value.advice


def test_a_disk_of_the_film_that_fails_is_told_of_the_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = make_film(tmp_path / "film.mkv", grain=0.2, times=range(40))
    folder = tmp_path / "part"
    folder.mkdir()
    fail_behind(film, film.stat().st_size // 2, errno.EIO, monkeypatch)
    with pytest.raises(UnreadableError, match=r"film\.mkv: cannot be read: Input/output error"):
        excerpt(film, Span(seconds=Fraction(2)), folder)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file size")
def test_a_preview_on_a_full_disk_is_told_by_its_own_name(tmp_path: Path, tiny: Path) -> None:
    film = make_film(tmp_path / "film.mkv", grain=0.2, times=range(40))
    words = command("video", film, "--preview", "1s", "--model", tiny, "--engine", "onnxruntime")
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 4 && trap "" XFSZ && exec "$@"', "-", *words],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 5
    assert "film.preview.mkv: cannot be written: File too large" in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == [film]
