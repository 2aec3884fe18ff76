from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.media.frames import Frame, Timestamp
from pipeline.media.pixels import PixelFormat, pixel_format, planar
from tests.films import fill_rgb, marked, moving_luma, plane
from tests.pipeline.media.rewriting import neutral_chroma

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


@pytest.mark.few(8)
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


@pytest.mark.parametrize("name", ["x2rgb10le", "monob", "p010le", "xyz12le", "grayf32le", "gbrpf32le", "bayer_bggr8"])
def test_formats_without_readable_samples_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        pixel_format(name)


BT709 = (0.2126, 0.0722)
PACKED = ["rgb24", "bgr24", "rgba", "bgra", "argb", "abgr", "rgb0", "bgr0", "0rgb", "0bgr"]
DEEP = [
    "gbrp",
    "gbrp9le",
    "gbrp10le",
    "gbrp10be",
    "gbrp12le",
    "gbrp14le",
    "gbrp16le",
    "gbrap12le",
    "rgb48le",
    "rgb48be",
]


def rgb_frame(name: str, colours: list[np.ndarray], target: str | None = None) -> Frame:
    source = pixel_format(name)
    height, width = colours[0].shape
    picture = av.VideoFrame(width, height, name)
    fill_rgb(picture, *colours)
    to = pixel_format(target or planar("4:4:4", source.bits))
    return Frame(picture, Timestamp(0, Fraction(1, 25), 1), source=source, target=to, luma_weights=BT709)


@pytest.mark.few(9)
@pytest.mark.parametrize(("width", "height"), [(96, 64), (7, 5)])
@pytest.mark.parametrize("name", [*PACKED, *DEEP, "rgba64be", "bgr48le", "bgra64le"])
def test_grey_stored_as_rgb_is_luma_code_for_code(name: str, width: int, height: int) -> None:
    bits = pixel_format(name).bits
    grey = moving_luma(2, width=width, height=height, bits=bits)
    frame = rgb_frame(name, [grey] * 3)
    np.testing.assert_array_equal(frame.luma, grey)
    for plane_ in frame.chroma:
        assert (plane_ == 1 << bits - 1).all()


@pytest.mark.parametrize("name", ["rgb24", "gbrp10le", "rgb48be"])
def test_luma_and_chroma_of_colours_are_rounded_to_the_nearest_code(name: str) -> None:
    bits = pixel_format(name).bits
    highest = (1 << bits) - 1
    chance = np.random.default_rng(3)
    colours = [chance.integers(0, highest + 1, (64, 96)).astype(np.uint8 if bits == 8 else np.uint16) for _ in "rgb"]
    for corner in range(8):
        for index, colour in enumerate(colours):
            colour[0, corner] = highest * (corner >> index & 1)
    frame = rgb_frame(name, colours)
    red, green, blue = (colour.astype(np.float64) for colour in colours)
    kr, kb = BT709
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = ((c - luma) / (2 - 2 * k) + (1 << bits - 1) for c, k in ((blue, kb), (red, kr)))
    # Half a code, and what 24 bits of a float32 leave open; the highest chroma code stands for half a code more.
    for made, exact in zip((frame.luma, *frame.chroma), (luma, cb, cr), strict=True):
        assert np.abs(made - np.clip(exact, 0, highest)).max() < 0.5 + 2e-6 * highest


def test_a_toned_picture_has_the_luma_of_its_colours_in_fewer_chroma_samples_too() -> None:
    sepia = [np.full((6, 8), code, np.uint8) for code in (200, 150, 100)]
    whole, fewer = rgb_frame("rgb24", sepia), rgb_frame("rgb24", sepia, "yuv420p")
    np.testing.assert_array_equal(whole.luma, fewer.luma)
    assert fewer.chroma_shape == (3, 4)
    for a, b in zip(whole.chroma, fewer.chroma, strict=True):
        np.testing.assert_array_equal(a[::2, ::2], b)


def test_rgb_without_luma_weights_is_a_mistake() -> None:
    picture = av.VideoFrame(8, 6, "rgb24")
    with pytest.raises(ValueError, match="weights"):
        Frame(
            picture,
            Timestamp(0, Fraction(1, 25), 1),
            source=pixel_format("rgb24"),
            target=pixel_format("yuv444p"),
        )


def field_frame(target: str, *, height: int, fields: str) -> Frame:
    picture = av.VideoFrame(16, height, target)
    plane(picture, 0)[:] = np.arange(height)[:, None] % 256
    stamp = Timestamp(0, Fraction(1, 25), 1)
    facts = pixel_format(target)
    return Frame(marked(picture, fields), stamp, source=facts, target=facts)


@pytest.mark.parametrize("height", [64, 486, 66, 6])
@pytest.mark.parametrize("target", ["yuv420p", "yuv440p", "yuv410p"])
def test_fields_are_painted_apart_where_they_share_no_chroma_lines(target: str, height: int) -> None:
    frame = field_frame(target, height=height, fields="tff")
    rows, columns = frame.chroma_shape
    assert len(frame.paint_areas) == 2
    for field, part in enumerate(frame.paint_areas):
        assert (part.luma == np.arange(height)[field::2][: len(part.luma), None] % 256).all()
        assert part.chroma_shape == (len(range(rows)[part.lines]), columns)
        assert -(-len(part.luma) // part.chroma_shape[0]) == -(-height // rows)
        code = np.full(part.chroma_shape, 10 + field, np.uint8)
        frame.paint(code, code, lines=part.lines)
    for painted in frame.chroma:
        assert (painted[0::2] == 10).all()
        assert (painted[1::2] == 11).all()
    assert frame.picture.interlaced_frame


@pytest.mark.parametrize(("target", "fields"), [("yuv422p", "tff"), ("yuv444p", "bff"), ("yuv420p", "prog")])
def test_other_pictures_are_painted_whole(target: str, fields: str) -> None:
    frame = field_frame(target, height=64, fields=fields)
    (part,) = frame.paint_areas
    assert part.luma.shape == frame.luma.shape
    assert part.chroma_shape == frame.chroma_shape


def test_a_frame_with_one_painted_field_is_not_given_out() -> None:
    frame = field_frame("yuv420p", height=64, fields="tff")
    part = frame.paint_areas[0]
    code = np.zeros(part.chroma_shape, np.uint8)
    frame.paint(code, code, lines=part.lines)
    with pytest.raises(ValueError, match="without painted chroma"):
        _ = frame.picture
