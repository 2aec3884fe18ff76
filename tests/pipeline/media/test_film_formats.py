"""A film is known by how it begins, whatever it is called."""

from __future__ import annotations

import struct
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from pipeline.media.film_formats import FILM_SUFFIXES, begins_like_film
from pipeline.media.structure import break_in
from tests.films import Sound, luma_planes, make_film, moving_luma
from tests.pipeline.media.rewriting import rewrite, survey

TINY = {"width": 64, "height": 48, "times": range(5)}
CODECS = {
    **{"mp4": "libx264", "mov": "libx264", "mkv": "ffv1", "avi": "mpeg4", "ts": "mpeg2video", "m2ts": "mpeg2video"},
    **{"vob": "mpeg2video", "mpg": "mpeg1video", "mxf": "mpeg2video", "wmv": "wmv2", "flv": "flv", "3gp": "mpeg4"},
    **{"rm": "rv20", "y4m": "wrapped_avframe", "gxf": "mpeg2video", "m2v": "mpeg2video", "m4e": "mpeg4"},
    **{"ivf": "libvpx", "h264": "libx264", "hevc": "libx265", "wtv": "mpeg2video"},
}
# Suffixes of camcorders, discs and older programs; each holds what the suffix on the right usually does.
ALIASES = {
    **{"mod": "vob", "tod": "ts", "m2t": "ts", "asf": "wmv", "qt": "mov", "3g2": "3gp", "f4v": "flv", "divx": "avi"},
    **{"mpe": "mpg", "m1v": "mpg", "vro": "vob", "264": "h264", "avc": "h264", "265": "hevc", "h265": "hevc"},
}
SIZES = {"gxf": {"width": 720, "height": 576}, "rm": {"width": 176, "height": 144}}


def film_of(folder: Path, suffix: str) -> Path:
    options = {"mpegts_m2ts_mode": "1"} if suffix == "m2ts" else {}
    muxer = "m4v" if suffix == "m4e" else None
    more = TINY | SIZES.get(suffix, {})
    return make_film(folder / f"a.{suffix}", codec=CODECS[suffix], muxer=muxer, muxer_options=options, **more)


@pytest.mark.few(3)
@pytest.mark.parametrize("suffix", CODECS)
def test_a_film_without_its_suffix_is_known_and_opens(tmp_path: Path, suffix: str) -> None:
    film = film_of(tmp_path, suffix).rename(tmp_path / "film")
    assert begins_like_film(film)
    assert survey(film).frame_count == 5


def animation(path: Path, count: int) -> Path:
    """`moving_luma` as Autodesk Animator writes it, in grey and uncompressed."""
    size = {"width": 64, "height": 48}
    palette = struct.pack("<IHHBB", 778, 4, 1, 0, 0) + bytes(value for grey in range(256) for value in [grey] * 3)
    frames = []
    for number in range(count):
        pixels = moving_luma(number, **size).tobytes()
        chunks = palette * (number == 0) + struct.pack("<IH", 6 + len(pixels), 16) + pixels
        frames.append(struct.pack("<IHH8x", 16 + len(chunks), 0xF1FA, 1 + (number == 0)) + chunks)
    body = b"".join(frames)
    header = struct.pack("<IHHHHHHI", 128 + len(body), 0xAF12, count, *size.values(), 8, 3, 40)
    path.write_bytes(header.ljust(80, b"\0") + struct.pack("<I", 128) + bytes(44) + body)
    return path


def test_an_animation_is_read_whatever_its_name(tmp_path: Path) -> None:
    film = animation(tmp_path / "a.flc", 5)
    assert begins_like_film(film.rename(tmp_path / "film"))
    result = rewrite(tmp_path / "film")
    found = luma_planes(result.output)
    assert len(found) == 5
    assert all(
        np.abs(plane - moving_luma(n, width=64, height=48).astype(int)).mean() < 3 for n, plane in enumerate(found)
    )


def test_an_animation_that_is_cut_off_is_not_taken_for_whole(tmp_path: Path) -> None:
    whole = animation(tmp_path / "a.fli", 5).read_bytes()
    assert break_in(BytesIO(whole), "flic") is None
    for end in (1000, len(whole) // 2, len(whole) - 1, whole.rindex(b"\xfa\xf1") - 4):
        assert "cut off" in (break_in(BytesIO(whole[:end]), "flic") or "")


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", "h264"), ("libx265", "hevc")])
def test_raw_video_is_shown_at_the_rate_that_it_states(tmp_path: Path, codec: str, suffix: str) -> None:
    film = make_film(tmp_path / f"a.{suffix}", codec=codec, times=range(20), time_base=Fraction(1, 30), rate=30)
    info = survey(film)
    assert (info.average_rate, info.frame_count) == (30, 20)
    assert [note.text for note in info.notes] == ["no frame has a time of its own: 30 frames a second"]
    log = rewrite(film).read_log
    assert (log.frames, log.notes) == (20, ())


def test_raw_video_that_states_no_rate_is_said_to_be_taken_for_25(tmp_path: Path) -> None:
    options = {"x265-params": "no-vui-timing-info=1"}
    info = survey(make_film(tmp_path / "a.hevc", codec="libx265", options=options, **TINY))
    assert info.average_rate == 25
    assert "25 frames a second, as the file does not state it" in info.notes[0].text


def test_a_film_in_ogg_is_known_behind_any_number_of_sounds(tmp_path: Path) -> None:
    sounds = [Sound(codec="libopus", seconds=0.2)] * 5
    film = make_film(tmp_path / "a.ogg", codec="libvpx", sounds=sounds, **TINY)
    assert begins_like_film(film)
    assert survey(film).frame_count == 5
    page = b"OggS" + bytes(24)
    (tmp_path / "b.ogg").write_bytes((page + b"\x01vorbis" + bytes(23)) * 6 + page + b"\x80theora\x03\x02")
    assert begins_like_film(tmp_path / "b.ogg")


@pytest.mark.few(5)
@pytest.mark.parametrize("suffix", ALIASES)
def test_suffixes_of_cameras_and_discs_are_those_of_films(tmp_path: Path, suffix: str) -> None:
    assert f".{suffix}" in FILM_SUFFIXES
    film = film_of(tmp_path, ALIASES[suffix]).rename(tmp_path / f"film.{suffix}")
    assert survey(film).frame_count == 5


def test_what_is_no_film_does_not_begin_like_one(tmp_path: Path) -> None:
    sound = make_film(tmp_path / "a.mp4", codec="libx264", sounds=[Sound()], **TINY).read_bytes()
    starts = {
        "song": sound[:4] + b"ftypM4A " + sound[12:],
        "photo": sound[:4] + b"ftypheic" + sound[12:],
        "wave": b"RIFF\x24\x00\x00\x00WAVEfmt ",
        "text": b"Goods and services" * 40,
        "vorbis": b"OggS" + bytes(24) + b"\x01\x1e\x01vorbis",
        "vorbis with a skeleton": b"OggS" + bytes(24) + b"fishead\0" + bytes(72) + b"OggS" + bytes(24) + b"\x01vorbis",
        "empty": b"",
    }
    for name, data in starts.items():
        (tmp_path / name).write_bytes(data)
        assert not begins_like_film(tmp_path / name), name
