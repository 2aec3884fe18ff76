"""The ffmpeg program as a witness: what it says counts, and that it could not be asked is said."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import VerificationError
from pipeline.film.verification import verify
from pipeline.media.ffmpeg import NotCheckedError, RefusedError, find_program, see_frames, see_streams
from pipeline.options import Codec, Quality
from pipeline.results import Proof
from tests.films import Sound, Subtitles, frame_times, luma_planes, make_film
from tests.pipeline.media.rewriting import Rewritten, rewrite


@pytest.fixture(scope="module")
def program() -> str:
    try:
        return find_program()
    except NotCheckedError as error:
        pytest.skip(str(error))


def full(result: Rewritten, output: Path) -> None:
    verify(result.source, result.written, output, read_log=result.read_log, again=lambda: iter(()))


@pytest.mark.parametrize("pixel_format", ["yuv420p", "gray", "yuv422p10le", "gray12le"])
def test_it_sees_every_frame_at_its_time_with_our_luma(tmp_path: Path, program: str, pixel_format: str) -> None:
    film = make_film(
        tmp_path / "a film, it's [1].mkv",
        pixel_format=pixel_format,
        times=[0, 40, 55, 340, 1001],
        time_base=Fraction(1, 1000),
    )
    seen = see_frames(program, film, 0, frames=5)
    assert list(seen.times) == frame_times(film)
    assert list(seen.luma) == [hashlib.md5(np.ascontiguousarray(p).tobytes()).hexdigest() for p in luma_planes(film)]


def test_a_rotated_film_is_not_turned(tmp_path: Path, program: str) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", rotation=90, times=range(3))
    plain = [hashlib.md5(plane.tobytes()).hexdigest() for plane in luma_planes(film)]
    assert list(see_frames(program, film, 0, frames=3).luma) == plain


def test_it_finds_all_streams(tmp_path: Path, program: str) -> None:
    film = make_film(tmp_path / "film.mkv", sounds=[Sound(codec="flac"), Sound(codec="aac")], subtitles=[Subtitles()])
    assert [kind for kind, _ in see_streams(program, film, frames=15)] == ["video", "audio", "audio", "subtitle"]


def test_it_refuses_a_damaged_film(tmp_path: Path, program: str) -> None:
    film = make_film(tmp_path / "film.mkv", grain=0.1, options={"level": "3", "slicecrc": "1"}, times=range(20))
    data = bytearray(film.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    film.write_bytes(data)
    with pytest.raises(RefusedError):
        see_frames(program, film, 0, frames=20)


@pytest.mark.parametrize("quality", list(Quality))
def test_a_full_verification_asks_it(tmp_path: Path, program: str, quality: Quality) -> None:
    film = make_film(tmp_path / "film.mkv", sounds=[Sound()], subtitles=[Subtitles()], times=range(12), grain=0.03)
    verification = rewrite(film, quality=quality, full=True).verification
    assert verification is not None
    assert "12 frames" in verification.checks["ffmpeg program: picture"]
    assert verification.checks["ffmpeg program: streams"] == "1 video, 1 audio, 1 subtitle"
    is_master = quality is Quality.MASTER
    assert ("ffmpeg program: luma" in verification.checks) is is_master
    assert verification.luma.proof is (Proof.EXACT if is_master else Proof.MEASURED)
    assert not verification.not_checked


def test_its_objection_fails_the_film(tmp_path: Path, program: str) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(12), grain=0.03)
    other = make_film(tmp_path / "other.mkv", times=range(12), grain=0.04)
    result = rewrite(film, quality=Quality.MASTER)
    swapped = dataclasses.replace(result, source=dataclasses.replace(result.source, path=other))
    with pytest.raises(VerificationError, match="the ffmpeg program objects: luma is not that of the source"):
        full(swapped, result.output)


def test_luma_in_another_form_is_told_as_not_checked(tmp_path: Path, program: str) -> None:
    film = make_film(tmp_path / "film.mov", codec="rawvideo", pixel_format="uyvy422", times=range(3))
    verification = rewrite(film, codec=Codec.FFV1, full=True).verification
    assert verification is not None
    assert "uyvy422" in verification.not_checked["ffmpeg program: luma"]


def test_no_program_is_told_as_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(NotCheckedError, match="not found"):
        find_program()
    verification = rewrite(make_film(tmp_path / "film.mkv", times=range(4)), full=True).verification
    assert verification is not None
    assert "not found" in verification.not_checked["ffmpeg program"]
    assert any("ffmpeg program: not checked" in line for line in verification.lines())


@pytest.mark.skipif(os.name == "nt", reason="needs a script that runs")
@pytest.mark.parametrize(
    ("version", "is_new"),
    [("4.4.2-0ubuntu", False), ("6.0", False), ("6.1.1", True), ("n9.0.2-17", True), ("N-119999", True)],
)
def test_an_old_program_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, is_new: bool
) -> None:
    script = tmp_path / "ffmpeg"
    script.write_text(f"#!/bin/sh\necho ffmpeg version {version} Copyright\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    if is_new:
        assert find_program() == str(script)
    else:
        with pytest.raises(NotCheckedError, match="too old"):
            find_program()


@pytest.mark.skipif(os.name == "nt", reason="needs a script that runs")
def test_a_program_without_the_decoder_says_nothing_about_the_film(tmp_path: Path) -> None:
    script = tmp_path / "ffmpeg"
    script.write_text("#!/bin/sh\necho 'Decoding requested, but no decoder found for: av1' >&2\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(NotCheckedError, match="no decoder"):
        see_frames(str(script), tmp_path / "film.mkv", 0, frames=1)
