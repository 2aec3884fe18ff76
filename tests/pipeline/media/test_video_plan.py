from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.media.codecs import Container
from pipeline.media.pixels import pixel_format
from pipeline.media.probe import ColorTags, FilmInfo, probe
from pipeline.media.video_plan import plan_video
from pipeline.options import Codec, Quality
from pipeline.results import NoteKind
from tests.films import make_film


@pytest.fixture(scope="module")
def any_film(tmp_path_factory: pytest.TempPathFactory) -> FilmInfo:
    return probe(make_film(tmp_path_factory.mktemp("films") / "film.mkv"))


def film(base: FilmInfo, name: str = "yuv420p", **changes: object) -> FilmInfo:
    return dataclasses.replace(base, pixel_format=pixel_format(name), **changes)  # type: ignore[arg-type]


@pytest.mark.few(9)
@pytest.mark.parametrize(
    ("source", "codec", "quality", "encoder", "target"),
    [
        ("yuv420p", Codec.AUTO, Quality.ACCESS, "libx264", "yuv420p"),
        ("yuv422p", Codec.AUTO, Quality.ACCESS, "libx264", "yuv422p"),
        ("yuv444p", Codec.AUTO, Quality.ACCESS, "libx264", "yuv444p"),
        ("yuvj420p", Codec.AUTO, Quality.ACCESS, "libx264", "yuv420p"),
        ("gray", Codec.AUTO, Quality.ACCESS, "libx264", "yuv420p"),
        ("yuv411p", Codec.AUTO, Quality.ACCESS, "libx264", "yuv420p"),
        ("yuv420p9le", Codec.AUTO, Quality.ACCESS, "libx264", "yuv420p10le"),
        ("yuv422p10le", Codec.AUTO, Quality.ACCESS, "libx264", "yuv422p10le"),
        ("yuv420p12le", Codec.AUTO, Quality.ACCESS, "libx265", "yuv420p12le"),
        ("gray12le", Codec.AUTO, Quality.ACCESS, "libx265", "yuv420p12le"),
        ("gray16le", Codec.AUTO, Quality.ACCESS, "ffv1", "yuv420p16le"),
        ("yuv420p", Codec.AUTO, Quality.MASTER, "ffv1", "yuv420p"),
        ("gray", Codec.AUTO, Quality.MASTER, "ffv1", "yuv420p"),
        ("gray14le", Codec.AUTO, Quality.MASTER, "ffv1", "yuv420p14le"),
        ("yuv411p", Codec.FFV1, Quality.MASTER, "ffv1", "yuv411p"),
        ("yuva444p10le", Codec.FFV1, Quality.MASTER, "ffv1", "yuva444p10le"),
        ("yuv422p10le", Codec.HEVC, Quality.ACCESS, "libx265", "yuv422p10le"),
        ("yuv420p10le", Codec.AV1, Quality.ACCESS, "libsvtav1", "yuv420p10le"),
        ("yuv422p", Codec.AV1, Quality.ACCESS, "libsvtav1", "yuv420p"),
        ("yuv420p", Codec.PRORES, Quality.ACCESS, "prores_ks", "yuv422p10le"),
        ("yuv444p10le", Codec.PRORES, Quality.ACCESS, "prores_ks", "yuv444p10le"),
    ],
)
def test_encoder_and_pixel_format_follow_from_the_film(
    any_film: FilmInfo, source: str, codec: Codec, quality: Quality, encoder: str, target: str
) -> None:
    plan = plan_video(film(any_film, source), codec, quality)
    assert (plan.encoder.name, plan.pixel_format.name) == (encoder, target)
    assert plan.pixel_format.bits >= pixel_format(source).bits


@pytest.mark.parametrize(
    ("source", "codec"),
    [("yuv420p12le", Codec.H264), ("gray16le", Codec.HEVC), ("yuv420p12le", Codec.AV1), ("gray12le", Codec.PRORES)],
)
def test_no_codec_is_given_fewer_bits_than_the_film_has(any_film: FilmInfo, source: str, codec: Codec) -> None:
    with pytest.raises(UsageError, match="bits") as caught:
        plan_video(film(any_film, source), codec, Quality.ACCESS)
    assert "--codec ffv1" in caught.value.advice


@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC, Codec.AV1, Codec.PRORES])
def test_a_master_is_lossless_or_refused(any_film: FilmInfo, codec: Codec) -> None:
    with pytest.raises(UsageError, match="lossless"):
        plan_video(any_film, codec, Quality.MASTER)


def test_prores_refuses_the_full_range_it_cannot_mark(any_film: FilmInfo) -> None:
    with pytest.raises(UsageError, match="full range"):
        plan_video(film(any_film, colors=ColorTags(range=2)), Codec.PRORES, Quality.ACCESS)


@pytest.mark.parametrize(
    ("width", "height", "interlaced", "codec", "target"),
    [
        (121, 81, False, Codec.AUTO, "yuv444p"),
        (122, 81, False, Codec.AUTO, "yuv422p"),
        (122, 82, False, Codec.AUTO, "yuv420p"),
        (720, 486, True, Codec.AUTO, "yuv422p"),
        (720, 576, True, Codec.AUTO, "yuv420p"),
        (121, 81, False, Codec.FFV1, "yuv420p"),
        (121, 81, False, Codec.AV1, "yuv420p"),
    ],
)
def test_sizes_that_420_cannot_hold_get_more_chroma_not_fewer_pixels(
    any_film: FilmInfo, width: int, height: int, interlaced: bool, codec: Codec, target: str
) -> None:
    info = film(any_film, width=width, height=height, is_interlaced=interlaced)
    plan = plan_video(info, codec, Quality.ACCESS)
    assert plan.pixel_format.name == target
    assert any("chroma is written" in note.text for note in plan.notes) == (target != "yuv420p")


@pytest.mark.parametrize(
    ("name", "container", "codec", "quality", "expected"),
    [
        ("a.mp4", "mov,mp4,m4a,3gp,3g2,mj2", Codec.AUTO, Quality.ACCESS, Container.MP4),
        ("a.m4v", "mov,mp4,m4a,3gp,3g2,mj2", Codec.AUTO, Quality.ACCESS, Container.MP4),
        ("a.mov", "mov,mp4,m4a,3gp,3g2,mj2", Codec.AUTO, Quality.ACCESS, Container.MOV),
        ("a.mov", "mov,mp4,m4a,3gp,3g2,mj2", Codec.AV1, Quality.ACCESS, Container.MP4),
        ("a.mkv", "matroska,webm", Codec.AUTO, Quality.ACCESS, Container.MATROSKA),
        ("a.webm", "matroska,webm", Codec.AUTO, Quality.ACCESS, Container.MATROSKA),
        ("a.avi", "avi", Codec.AUTO, Quality.ACCESS, Container.MATROSKA),
        ("a.mxf", "mxf", Codec.AUTO, Quality.ACCESS, Container.MATROSKA),
        ("a.mp4", "mov,mp4,m4a,3gp,3g2,mj2", Codec.AUTO, Quality.MASTER, Container.MATROSKA),
        ("a.mkv", "matroska,webm", Codec.PRORES, Quality.ACCESS, Container.MOV),
    ],
)
def test_the_container_stays_in_its_family_or_says_so(
    any_film: FilmInfo, name: str, container: str, codec: Codec, quality: Quality, expected: Container
) -> None:
    info = film(any_film, path=Path(name), container=container)
    plan = plan_video(info, codec, quality)
    assert plan.container is expected
    moved = [note for note in plan.notes if "the result is" in note.text]
    assert bool(moved) == (name.rsplit(".")[-1] not in (expected.suffix[1:], "m4v"))


def test_a_dropped_alpha_channel_and_crop_are_named(any_film: FilmInfo) -> None:
    plan = plan_video(film(any_film, "yuva420p", has_crop=True), Codec.H264, Quality.ACCESS)
    dropped = [note.text for note in plan.notes if note.kind is NoteKind.DROPPED]
    assert any("alpha" in text for text in dropped)
    assert any("clean aperture" in text for text in dropped)


def test_interlaced_pictures_stay_interlaced_where_the_codec_can(any_film: FilmInfo) -> None:
    info = film(any_film, width=720, height=576, is_interlaced=True)
    assert plan_video(info, Codec.H264, Quality.ACCESS).codes_fields
    whole = plan_video(info, Codec.HEVC, Quality.ACCESS)
    assert not whole.codes_fields
    assert any("interlaced" in note.text for note in whole.notes)
