"""Frames from all over a film, without reading the whole of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.media.pixels import pixel_format
from pipeline.media.probe import probe
from pipeline.media.sampling import frame_at, frames_from, sampled
from tests.films import frame_times, make_film, write_pictures


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("film.mkv", "ffv1", {}),
        ("film.mp4", "libx264", {"g": "10", "preset": "ultrafast"}),
        ("film.avi", "mpeg4", {"g": "10"}),
        ("film.ts", "mpeg2video", {"g": "10"}),
    ],
)
def test_samples_come_from_all_over_the_film(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    film = make_film(tmp_path / name, codec=codec, times=range(200), options=options)
    times = [float(frame.timestamp.seconds) for frame in sampled(probe(film), pixel_format("yuv420p"), count=10)]
    assert len(times) >= 8
    thirds = {int((time - min(times)) / 8 * 3) for time in times}
    assert thirds == {0, 1, 2}


def test_a_film_that_cannot_be_wound_gives_what_it_can(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(50))
    film.write_bytes(film.read_bytes()[:-2000])
    assert len(list(sampled(probe(film), pixel_format("yuv420p"), count=10))) <= 10


def test_a_folder_of_pictures_can_be_sampled(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "scans", numbers=range(1, 31))
    info = probe(folder)
    frames = list(sampled(info, info.pixel_format, count=5, luma_weights=(0.299, 0.114)))
    assert 1 <= len(frames) <= 5


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("film.mkv", "ffv1", {}),
        ("film.mp4", "libx264", {"g": "25", "preset": "ultrafast"}),
        ("film.ts", "mpeg2video", {"g": "10"}),
    ],
)
def test_the_frame_at_a_time_is_the_one_that_is_shown_then(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    film = make_film(tmp_path / name, codec=codec, times=range(60), options=options)
    info, times = probe(film), frame_times(film)
    for number in (0, 1, 17, 59):
        between = Fraction(times[number]) + Fraction(1, 1000)
        frame = frame_at(info, pixel_format("yuv420p"), between)
        assert frame is not None
        assert frame.timestamp.seconds == Fraction(times[number])
    assert frame_at(info, pixel_format("yuv420p"), Fraction(times[-1]) + 10) is None


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "codec", "step", "interval"),
    [
        ("film.mkv", "libx264", 1, "50"),
        ("film.ts", "mpeg2video", 1, "12"),
        ("film.mpg", "mpeg2video", 1, "12"),
        ("film.ts", "libx264", 1, "50"),
        # 40 s with one key frame.
        ("film.ts", "libx264", 20, "400"),
    ],
)
def test_frames_from_a_moment_begin_at_or_before_it(
    tmp_path: Path, name: str, codec: str, step: int, interval: str
) -> None:
    film = make_film(tmp_path / name, codec=codec, times=range(0, 60 * step, step), options={"g": interval})
    info, times = probe(film), frame_times(film)
    for number in (0, 17, 31, 59):
        found = [(frame.pts or 0) * info.time_base for frame in frames_from(info, Fraction(times[number]))]
        assert found[0] <= times[number]
        assert found == times[-len(found) :]
