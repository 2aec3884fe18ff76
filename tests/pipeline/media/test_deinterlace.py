from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.media.decode import frames
from pipeline.media.probe import probe
from pipeline.media.video_plan import plan_video
from pipeline.options import Codec, Quality
from tests.films import frame_times, luma_planes, make_film, moving_luma
from tests.pipeline.media.rewriting import rewrite


@pytest.mark.few(2)
@pytest.mark.parametrize(("fields", "order", "kept"), [("tff", 2, 0), ("bff", 3, 1)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "gray10le", "bgr0", "uyvy422"])
def test_the_field_shown_first_stays_and_the_other_is_made_anew(
    tmp_path: Path, fields: str, order: int, kept: int, pixel_format: str
) -> None:
    codec, suffix = ("rawvideo", "mov") if pixel_format == "uyvy422" else ("ffv1", "mkv")
    film = make_film(
        tmp_path / f"film.{suffix}",
        codec=codec,
        pixel_format=pixel_format,
        fields=fields,
        field_order=order,
        times=range(6),
    )
    result = rewrite(film, quality=Quality.MASTER, deinterlace=True)
    planes = luma_planes(result.output)
    assert len(planes) == 6
    for number, luma in enumerate(planes):
        source = moving_luma(number, width=96, height=64, bits=result.source.pixel_format.bits)
        np.testing.assert_array_equal(luma[kept::2], source[kept::2])
        assert not np.array_equal(luma, source)
    assert frame_times(result.output) == frame_times(film)
    assert not result.info.is_interlaced


def test_verification_compares_with_the_deinterlaced_luma(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", fields="tff", field_order=2, times=range(4))
    result = rewrite(film, quality=Quality.MASTER, deinterlace=True)
    assert result.read_log.luma is not None
    plain = rewrite(film, quality=Quality.MASTER, codec=Codec.FFV1)
    assert plain.read_log.luma is not None
    assert result.read_log.luma.hexdigest() != plain.read_log.luma.hexdigest()


def test_what_only_the_container_calls_interlaced_is_deinterlaced_as_well(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", field_order=3, times=range(4))
    info = probe(film)
    assert (info.is_interlaced, info.field_order) == (True, 3)
    made = [frame.luma.copy() for frame in frames(info, info.pixel_format, deinterlace=True)]
    assert len(made) == 4
    for number, luma in enumerate(made):
        source = moving_luma(number, width=96, height=64)
        np.testing.assert_array_equal(luma[1::2], source[1::2])
        assert not np.array_equal(luma[0::2], source[0::2])


def test_progressive_film_passes_untouched_and_unsaid(tmp_path: Path) -> None:
    info = probe(make_film(tmp_path / "film.mkv", times=range(3)))
    plan = plan_video(info, Codec.AUTO, Quality.MASTER, deinterlace=True)
    assert not plan.deinterlaces
    assert plan.notes == ()


def test_deinterlaced_film_needs_no_room_for_fields(tmp_path: Path) -> None:
    info = probe(make_film(tmp_path / "film.mkv", height=486, fields="bff", field_order=3, times=range(2)))
    assert plan_video(info, Codec.AUTO, Quality.ACCESS).pixel_format.name == "yuv422p"
    plan = plan_video(info, Codec.AUTO, Quality.ACCESS, deinterlace=True)
    assert (plan.pixel_format.name, plan.codes_fields, plan.field_order) == ("yuv420p", False, 1)
