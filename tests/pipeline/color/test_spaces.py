"""Luma is never traded for colour, and code values mean what the standards say."""

import numpy as np
import pytest

from pipeline.color.spaces import (
    ColorSpec,
    Matrix,
    chroma_from_ab,
    gamut_scale,
    lightness,
    resolve_film,
    rgb_offsets,
    still_spec,
)

MATRICES = list(Matrix)


def random_luma(rng: np.random.Generator, size: int = 40) -> np.ndarray:
    return rng.random((size, size), np.float32)


@pytest.mark.parametrize("matrix", MATRICES)
def test_chroma_from_ab_fits_the_gamut_and_keeps_luma(matrix: Matrix) -> None:
    rng = np.random.default_rng(1)
    luma = random_luma(rng)
    ab = rng.uniform(-90, 90, (2, *luma.shape)).astype(np.float32)
    cb, cr = chroma_from_ab(luma, ab, matrix)
    rgb = np.stack([luma + offset for offset in rgb_offsets(cb, cr, matrix)])
    assert rgb.min() >= -1e-4
    assert rgb.max() <= 1 + 1e-4
    back = matrix.kr * rgb[0] + (1 - matrix.kr - matrix.kb) * rgb[1] + matrix.kb * rgb[2]
    assert np.abs(back - luma).max() < 1e-4


def test_zero_ab_is_exactly_neutral() -> None:
    luma = random_luma(np.random.default_rng(2))
    chroma = chroma_from_ab(luma, np.zeros((2, *luma.shape), np.float32), Matrix.BT709)
    assert np.abs(chroma).max() < 1e-4


# CIELAB of the sRGB primaries (D65), as tabulated by Lindbloom's calculator to one decimal.
@pytest.mark.parametrize(
    ("rgb", "ab"),
    [((1, 0, 0), (80.1, 67.2)), ((0, 1, 0), (-86.2, 83.2)), ((0, 0, 1), (79.2, -107.9)), ((1, 1, 0), (-21.6, 94.5))],
)
def test_ab_of_known_colours_gives_their_chroma(rgb: tuple[int, ...], ab: tuple[float, float]) -> None:
    matrix = Matrix.BT601
    luma = matrix.kr * rgb[0] + (1 - matrix.kr - matrix.kb) * rgb[1] + matrix.kb * rgb[2]
    planes = np.array(ab, np.float32).reshape(2, 1, 1)
    cb, cr = chroma_from_ab(np.full((1, 1), luma, np.float32), planes, matrix)
    made = [luma + float(offset[0, 0]) for offset in rgb_offsets(cb, cr, matrix)]
    assert made == pytest.approx(rgb, abs=0.02)


def test_gamut_scale_leaves_reachable_colours_alone() -> None:
    luma = np.full((1, 1), 0.5, np.float32)
    small = np.full((1, 1), 0.1, np.float32)
    assert gamut_scale(luma, small, small, Matrix.BT709)[0, 0] == 1
    assert gamut_scale(np.zeros((1, 1), np.float32), small, small, Matrix.BT709)[0, 0] == 0


@pytest.mark.few(3)
@pytest.mark.parametrize("matrix", MATRICES)
def test_gamut_scale_keeps_as_much_chroma_as_fits(matrix: Matrix) -> None:
    rng = np.random.default_rng(3)
    luma, (cb, cr) = random_luma(rng), rng.normal(0, 0.2, (2, 40, 40)).astype(np.float32)
    offsets = np.stack(rgb_offsets(cb, cr, matrix)).astype(np.float64)
    room = np.where(offsets > 0, 1 - luma, luma) / np.abs(offsets)
    most = np.minimum(room.min(axis=0), 1)
    assert gamut_scale(luma, cb, cr, matrix) == pytest.approx(most, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("bits", [8, 16])
def test_rgb_codes_are_rounded_and_clipped(bits: int) -> None:
    top = (1 << bits) - 1
    values = np.array([[-0.2, -1e-6, 0, 0.4 / top, 0.6 / top, 0.5, 1 - 0.4 / top, 1, 1.5]], np.float32)
    codes = still_spec(bits).rgb_codes(values, 0 * values, 0 * values)
    assert codes.dtype == (np.uint8 if bits == 8 else np.uint16)
    for channel in range(3):
        assert codes[..., channel].tolist() == [[0, 0, 0, 0, 1, round(top / 2), top, top, top]]


def test_lightness_of_black_middle_grey_and_white() -> None:
    assert lightness(np.array([0, 119 / 255, 1], np.float32)) == pytest.approx([0, 50.03, 100], abs=0.02)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("full_range", [False, True])
def test_code_values_follow_the_range(bits: int, full_range: bool) -> None:
    spec = ColorSpec(Matrix.BT709, full_range, bits)
    top = (1 << bits) - 1
    black, white = (0, top) if full_range else (16 << bits - 8, 235 << bits - 8)
    assert spec.luma(np.array([black, white], np.uint16)) == pytest.approx([0, 1], abs=1e-6)
    extremes = spec.chroma_codes(np.array([-0.5, 0, 0.5], np.float32))
    middle = 1 << bits - 1
    if full_range:
        assert list(extremes) == [0, middle, top]
    else:
        assert list(extremes) == [16 << bits - 8, middle, 240 << bits - 8]


def film(**changes: object) -> ColorSpec:
    facts = {
        "matrix_tag": 2, "range_tag": 0, "width": 720, "height": 576, "bits": 8, "is_grey": False,
        "is_full_format": False,
    }  # fmt: skip
    return resolve_film(**{**facts, **changes})  # type: ignore[arg-type]


def test_tags_are_believed_and_nothing_is_assumed() -> None:
    spec = film(matrix_tag=1, range_tag=2)
    assert (spec.matrix, spec.full_range, spec.assumed) == (Matrix.BT709, True, ())


def test_what_is_not_tagged_is_assumed_by_size_and_said() -> None:
    assert film().matrix is Matrix.BT601
    large = film(width=1920, height=1080)
    assert large.matrix is Matrix.BT709
    assert not large.full_range
    assert len(large.assumed) == 2


def test_untagged_grey_is_full_range() -> None:
    assert film(is_grey=True).full_range


def test_photographs_are_read_as_jfif() -> None:
    assert still_spec(16) == ColorSpec(Matrix.BT601, True, 16)
