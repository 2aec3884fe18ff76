from __future__ import annotations

import dataclasses
import random
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.media.decode import frames
from pipeline.media.frame_flags import known_side_data
from pipeline.media.probe import probe
from pipeline.media.read_log import ReadLog
from tests import photos
from tests.films import Sound, joined, make_film, moving_luma, plane

FASTSTART = {"movflags": "+faststart"}


def read_all(path: Path) -> list[int]:
    info = probe(path)
    return [frame.timestamp.pts for frame in frames(info, info.pixel_format)]


@pytest.mark.few(2)
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "yuv444p12le", "gray", "gray12le"])
def test_every_frame_arrives_in_order_with_its_luma(tmp_path: Path, pixel_format: str) -> None:
    info = probe(make_film(tmp_path / "film.mkv", pixel_format=pixel_format))
    bits = info.pixel_format.bits
    count = 0
    target = dataclasses.replace(info.pixel_format, name=f"yuv420p{bits}le" if bits > 8 else "yuv420p", layout="4:2:0")
    for number, frame in enumerate(frames(info, target if info.pixel_format.is_grey else info.pixel_format)):
        np.testing.assert_array_equal(frame.luma, moving_luma(number, width=96, height=64, bits=bits))
        assert frame.timestamp.seconds == Fraction(number, 25)
        count += 1
    assert count == 15


def test_reordered_frames_arrive_in_display_order(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", options={"bf": "3"}, times=range(30))
    assert probe(film).reorders_frames
    times = read_all(film)
    assert times == sorted(times)
    assert len(times) == 30


def test_old_avi_files_without_presentation_times_play_in_order(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.avi", codec="mpeg4", options={"bf": "2", "b_strategy": "0"}, times=range(20))
    times = read_all(film)
    assert len(times) == 20
    assert times == list(range(times[0], times[0] + 20))


def test_closing_the_generator_closes_the_file(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs /proc to see open files")
    info = probe(make_film(tmp_path / "film.mkv"))
    reading = frames(info, info.pixel_format)
    next(reading)
    assert any(link.resolve() == info.path for link in descriptors.iterdir())
    reading.close()
    assert not any(link.resolve() == info.path for link in descriptors.iterdir())


def test_tally_counts_what_was_read(tmp_path: Path) -> None:
    info = probe(make_film(tmp_path / "film.mkv"))
    read_log, again = ReadLog(luma=True), ReadLog(luma=True)
    for one in (read_log, again):
        for _ in frames(info, info.pixel_format, read_log=one):
            pass
    assert read_log.frames == 15
    assert list(read_log.times) == [40 * n for n in range(15)]
    assert read_log.luma is not None
    assert again.luma is not None
    assert read_log.luma.hexdigest() == again.luma.hexdigest()


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    shorter = path.with_name(f"cut{path.suffix}")
    shorter.write_bytes(data[: int(len(data) * share)])
    return shorter


def test_a_matroska_file_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(75), grain=0.1)
    with pytest.raises(InputError, match=r"cut\.mkv: is cut off: [\d,]+ bytes missing"):
        read_all(cut(film, 0.5))


@pytest.mark.slow
def test_an_mp4_file_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(75), grain=0.1, muxer_options=FASTSTART)
    with pytest.raises(InputError, match=r"cut\.mp4: is cut off"):
        read_all(cut(film, 0.6))


def test_an_mp4_file_without_its_index_is_an_error(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(30), grain=0.1)
    with pytest.raises(InputError, match=r"cut\.mp4: is not a film"):
        read_all(cut(film, 0.6))


def test_an_avi_file_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.avi", times=range(50), grain=0.1)
    with pytest.raises(InputError, match=r"cut\.avi: is cut off"):
        read_all(cut(film, 0.5))


def test_a_sound_longer_than_the_picture_is_no_damage(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", sounds=[Sound(codec="flac", seconds=3.0)])
    assert len(read_all(film)) == 15


@pytest.mark.few(2)
@pytest.mark.parametrize(("codec", "suffix"), [("libx264", "mp4"), ("ffv1", "mkv"), ("mpeg2video", "mkv")])
def test_damage_in_the_middle_is_an_error_that_names_the_frame(tmp_path: Path, codec: str, suffix: str) -> None:
    options = {"slicecrc": "1", "level": "3"} if codec == "ffv1" else {}
    film = make_film(tmp_path / f"film.{suffix}", codec=codec, times=range(40), grain=0.1, options=options)
    data = bytearray(film.read_bytes())
    chance = random.Random(1)
    middle = len(data) // 2
    data[middle : middle + 4000] = chance.randbytes(4000)
    film.write_bytes(data)
    with pytest.raises(
        InputError, match=rf"film\.{suffix}: (frame \d+ .*(damage|cannot)|is damaged: .* byte )"
    ) as caught:
        read_all(film)
    assert caught.value.advice


def test_damage_in_the_very_last_frame_is_an_error(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", options={"bf": "0"}, times=range(40), grain=0.1)
    with av.open(str(film)) as container:
        last = [packet for packet in container.demux(video=0) if packet.size][-1]
        start, size = last.pos or 0, last.size
    data = bytearray(film.read_bytes())
    data[start + 4 : start + size] = bytes(size - 4)
    film.write_bytes(data)
    with pytest.raises(InputError, match=r"film\.mp4: frame \d+ "):
        read_all(film)


def test_a_film_whose_pictures_change_size_is_refused(tmp_path: Path) -> None:
    small = make_film(tmp_path / "small.mkv", codec="mjpeg", pixel_format="yuvj420p", color_range=2)
    large = make_film(tmp_path / "large.mkv", codec="mjpeg", pixel_format="yuvj420p", color_range=2, width=128)
    film = joined(tmp_path / "joined.mkv", small, large, offset=600)
    with pytest.raises(InputError, match=r"frame 15 changes the picture format from .*96.* to .*128"):
        read_all(film)


def test_times_that_do_not_increase_are_refused(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", codec="mjpeg", pixel_format="yuvj420p", color_range=2)
    crooked = tmp_path / "crooked.mkv"
    with av.open(str(crooked), "w") as result, av.open(str(film)) as source:
        stream = result.add_stream_from_template(source.streams.video[0], opaque=True)
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.pts = packet.dts = 40 * min(number, 8)
            packet.stream = stream
            result.mux(packet)
    with pytest.raises(InputError, match=r"frame 9 is timed 0\.320 s, not after"):
        read_all(crooked)


def test_side_data_that_pyav_has_no_name_for_keeps_nothing_else_from_being_read(tmp_path: Path) -> None:
    """FFmpeg gives the EXIF of Motion JPEG as such; with one of them, PyAV shows none at all."""
    straight = make_film(tmp_path / "a.mkv", codec="mjpeg", pixel_format="yuvj420p", times=range(5))
    segment = b"Exif\0\0" + photos.exif().removeprefix(b"Exif\0\0")
    film_path = tmp_path / "b.mkv"
    with av.open(str(straight)) as read, av.open(str(film_path), "w") as film:
        stream = film.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.size:
                data = bytes(packet)
                told = av.Packet(data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:])
                told.pts, told.dts, told.time_base = packet.pts, packet.dts, packet.time_base
                told.duration, told.is_keyframe, told.stream = packet.duration, packet.is_keyframe, stream
                film.mux(told)
    with av.open(str(film_path)) as film:
        picture = next(film.decode(video=0))
        with pytest.raises(ValueError, match="31 is not a valid"):
            len(picture.side_data)
        bare = known_side_data(picture)
        assert len(bare.side_data) >= 0
        assert np.array_equal(plane(bare, 0), plane(picture, 0))
    assert read_all(film_path) == read_all(straight)
