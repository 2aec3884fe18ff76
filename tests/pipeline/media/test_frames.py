from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.media.frames import Frame, Timestamp, neutral_chroma
from pipeline.media.pixels import PixelFormat, pixel_format
from tests.films import moving_luma, plane

SIZES = [(96, 64), (121, 81), (7, 5)]


def make_frame(source: str, target: str, *, width: int = 96, height: int = 64) -> tuple[Frame, np.ndarray]:
    picture = av.VideoFrame(width, height, source)
    bits = picture.format.components[0].bits
    luma = moving_luma(3, width=width, height=height, bits=bits)
    if source in ("uyvy422", "yuyv422"):
        plane(picture, 0, width=2 * width)[:, (1 if source == "uyvy422" else 0) :: 2][:, :width] = luma
    elif picture.format.is_big_endian:
        plane(picture, 0)[:] = luma.byteswap()
    else:
        plane(picture, 0)[:] = luma
    stamp = Timestamp(7, Fraction(1, 25), 1)
    return Frame(picture, stamp, source=pixel_format(source), target=pixel_format(target)), luma


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("yuv420p", "yuv420p"),
        ("yuv422p10le", "yuv422p10le"),
        ("yuv444p12le", "yuv444p12le"),
        ("yuvj420p", "yuv420p"),
        ("gray", "yuv420p"),
        ("gray10le", "yuv420p10le"),
        ("gray12le", "yuv420p12le"),
        ("gray16be", "yuv420p16le"),
        ("yuv420p10be", "yuv420p10le"),
        ("yuv411p", "yuv420p"),
        ("nv12", "yuv420p"),
    ],
)
def test_luma_is_the_decoders_bit_for_bit(source: str, target: str, width: int, height: int) -> None:
    frame, luma = make_frame(source, target, width=width, height=height)
    assert frame.luma.dtype == luma.dtype
    np.testing.assert_array_equal(frame.luma, luma)


@pytest.mark.parametrize("source", ["uyvy422", "yuyv422"])
def test_luma_is_found_between_interleaved_chroma(source: str) -> None:
    frame, luma = make_frame(source, "yuv422p")
    np.testing.assert_array_equal(frame.luma, luma)


@pytest.mark.parametrize(("source", "target", "shift"), [("yuv420p9le", "yuv420p10le", 1), ("gray", "yuv422p10le", 2)])
def test_luma_moves_up_when_the_target_is_deeper(source: str, target: str, shift: int) -> None:
    frame, luma = make_frame(source, target)
    assert frame.luma.dtype == np.uint16
    np.testing.assert_array_equal(frame.luma, luma.astype(np.uint16) << shift)


@pytest.mark.parametrize(("target", "shape"), [("yuv420p", (41, 61)), ("yuv422p", (81, 61)), ("yuv444p", (81, 121))])
def test_painting_fills_chroma_and_leaves_luma_alone(target: str, shape: tuple[int, int]) -> None:
    frame, luma = make_frame("gray", target, width=121, height=81)
    assert frame.chroma_shape == shape
    cb = np.arange(shape[0] * shape[1], dtype=np.uint32).reshape(shape).astype(np.uint8)
    seen_before = frame.luma
    frame.paint(cb, cb[::-1])
    np.testing.assert_array_equal(plane(frame.picture, 1), cb)
    np.testing.assert_array_equal(plane(frame.picture, 2), cb[::-1])
    np.testing.assert_array_equal(plane(frame.picture, 0), luma)
    np.testing.assert_array_equal(seen_before, luma)


def test_painting_does_not_reach_the_decoders_own_copy() -> None:
    picture = av.VideoFrame(96, 64, "yuv420p")
    for index in range(3):
        plane(picture, index)[:] = 50
    keeps_a_reference = picture.reformat(format="yuv420p")
    facts: PixelFormat = pixel_format("yuv420p")
    frame = Frame(picture, Timestamp(0, Fraction(1, 25), 1), source=facts, target=facts)
    frame.paint(neutral_chroma(frame), neutral_chroma(frame))
    assert (plane(frame.picture, 1) == 128).all()
    if keeps_a_reference is not picture:
        assert (plane(keeps_a_reference, 1) == 50).all()


def test_luma_cannot_be_written() -> None:
    frame, _ = make_frame("yuv420p", "yuv420p")
    with pytest.raises(ValueError, match="read-only"):
        frame.luma[0, 0] = 1


def test_chroma_of_another_shape_or_depth_is_refused() -> None:
    frame, _ = make_frame("yuv420p", "yuv420p")
    right = neutral_chroma(frame)
    for wrong in (right[:-1], right.astype(np.uint16), right.astype(np.float32)):
        with pytest.raises(ValueError, match="chroma is"):
            frame.paint(wrong, right)


def test_a_frame_that_nobody_painted_is_not_given_out() -> None:
    frame, _ = make_frame("yuv420p", "yuv420p")
    with pytest.raises(ValueError, match="without painted chroma"):
        _ = frame.picture


@pytest.mark.parametrize("name", ["rgb24", "gbrp", "pal8", "monob", "p010le", "xyz12le", "grayf32le", "bayer_bggr8"])
def test_formats_without_a_luma_plane_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        pixel_format(name)
