"""Small chroma becomes full-size chroma that follows the edges of luma."""

import numpy as np
import pytest

from engines.tensors import InputSize
from pipeline.color.hints import ColorHint
from pipeline.color.model_input import EXIF_TURNS, Turn, model_input
from pipeline.color.spaces import ColorSpec, Matrix, rgb_offsets, still_spec
from pipeline.color.upsampling import Upsampled, upsample

SIZE = InputSize(multiple=32, film=160, photo=256)

LEFT_AB, RIGHT_AB = (40.0, 30.0), (-20.0, -30.0)


def two_halves(height: int = 480, width: int = 640, *, bits: int = 8) -> np.ndarray:
    codes = np.full((height, width), 80 << bits - 8, np.uint8 if bits == 8 else np.uint16)
    codes[:, width // 2 :] = 160 << bits - 8
    return codes


def upsampled(codes: np.ndarray, spec: ColorSpec, turn: Turn | None = None, *, by_hints: bool = False) -> Upsampled:
    """Colour the upright picture's left half with LEFT_AB and its right half with RIGHT_AB, badly blurred.

    That is the network's colour, or all of it ``by_hints``.
    """
    made = model_input(codes, spec, size=SIZE, short=256, turn=turn)
    height, width = made.luma.shape
    ab = np.empty((2, height // 4, width // 4), np.float32)
    mix = np.clip((np.arange(width // 4) - width / 8) / 4 + 0.5, 0, 1)
    for plane, left, right in zip(ab, LEFT_AB, RIGHT_AB, strict=True):
        plane[:] = left + (right - left) * mix
    hints = (ColorHint(x=0.1, y=0.1, ab=LEFT_AB),) if by_hints else ()
    return upsample(made, ab, spec, hints=hints, change=ab if by_hints else None)


def test_what_hints_change_keeps_closer_to_edges_than_the_network_s_colour() -> None:
    codes, spec = two_halves(), still_spec(8)
    own, stated = (
        upsampled(codes, spec, by_hints=by_hints).planes(codes, spec, codes.shape) for by_hints in (False, True)
    )
    for ours, theirs in zip(own, stated, strict=True):
        left, right = float(theirs[240, 60]), float(theirs[240, 600])
        spilled = [abs(float(plane[240, 324]) - right) / abs(right - left) for plane in (ours, theirs)]
        assert spilled[1] < 0.9 * spilled[0]


def test_the_network_s_colour_leaves_little_beyond_an_edge_where_hints_take_it_away() -> None:
    codes, spec = two_halves(), still_spec(8)
    seen = model_input(codes, spec, size=SIZE, short=256)
    rows, columns = (side // 4 for side in seen.luma.shape)
    own = np.zeros((2, rows, columns), np.float32)
    own[:] = np.clip((np.arange(columns) - columns / 2) / 4 + 0.5, 0, 1)
    own *= np.array(RIGHT_AB, np.float32)[:, None, None]
    hints = (ColorHint(x=0.9, y=0.1, ab=(0.0, 0.0)),)
    left = upsample(seen, np.zeros_like(own), spec, hints=hints, change=-own).planes(codes, spec, codes.shape)
    whole = upsample(seen, own, spec).planes(codes, spec, codes.shape)
    remains, strength = (max(np.abs(plane.astype(int) - 128).max() for plane in planes) for planes in (left, whole))
    assert remains < strength / 16


def test_blurred_chroma_gets_an_edge_where_luma_has_one() -> None:
    """The network's ramp is 40 pixels wide here: plain interpolation would change by 10 % over four pixels."""
    codes, spec = two_halves(), still_spec(8)
    for plane in upsampled(codes, spec).planes(codes, spec, codes.shape):
        left, right = float(plane[240, 40]), float(plane[240, 600])
        assert abs(right - left) > 10
        assert (float(plane[240, 322]) - float(plane[240, 318])) / (right - left) > 0.3


@pytest.mark.few(6)
@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("divide", [(1, 1), (2, 2), (1, 2), (1, 4), (4, 4)])
@pytest.mark.parametrize("size", [(480, 640), (241, 333), (33, 35)])
def test_planes_have_every_shape_and_depth(bits: int, divide: tuple[int, int], size: tuple[int, int]) -> None:
    codes, spec = two_halves(*size, bits=bits), ColorSpec(Matrix.BT709, False, bits)
    shape = -(-size[0] // divide[0]), -(-size[1] // divide[1])
    cb, cr = upsampled(codes, spec).planes(codes, spec, shape)
    middle = 1 << bits - 1
    assert cb.shape == cr.shape == shape
    assert cb.dtype == codes.dtype
    assert cr[shape[0] // 2, 1] > middle
    assert cr[shape[0] // 2, -2] < cr[shape[0] // 2, 1]


def test_strips_are_seamless() -> None:
    rng = np.random.default_rng(3)
    codes, spec = rng.integers(0, 256, (700, 500), np.uint8), still_spec(8)
    made = upsampled(codes, spec)
    whole = np.concatenate([cb for _, _, cb, _ in made.strips(codes, spec, codes.shape)])
    height = len(made.coefficients)
    for row in (127, 128, 129, 255, 256, 650):
        place = (row + 0.5) * height / 700 - 0.5
        above = int(place)
        part = place - above
        lines = made.coefficients[above] * (1 - part) + made.coefficients[min(above + 1, height - 1)] * part
        assert lines[0, 0] * spec.luma(codes[row])[0] + lines[0, 1] == pytest.approx(whole[row, 0], abs=0.5)
    assert len(whole) == 700


@pytest.mark.parametrize("bits", [8, 16])
def test_every_colour_made_fits_the_gamut(bits: int) -> None:
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 1 << bits, (300, 300)).astype(np.uint8 if bits == 8 else np.uint16)
    spec = still_spec(bits)
    for _, luma, cb, cr in upsampled(codes, spec).strips(codes, spec, codes.shape):
        for offset in rgb_offsets(cb, cr, spec.matrix):
            assert (luma + offset).min() >= -1e-4
            assert (luma + offset).max() <= 1 + 1e-4


@pytest.mark.few(5)
@pytest.mark.parametrize("orientation", EXIF_TURNS)
def test_a_turned_picture_is_coloured_upright_and_painted_as_stored(orientation: int) -> None:
    turn, spec = EXIF_TURNS[orientation], still_spec(8)
    upright = np.float32(two_halves(300, 400))
    stored = turn.stored(upright).astype(np.uint8)
    _, cr = upsampled(stored, spec, turn).planes(stored, spec, stored.shape)
    colours = turn.upright(np.float32(cr))
    assert colours[:, 50].mean() > 140
    assert colours[:, 350].mean() < 128


def test_upright_of_exif_six_is_a_clockwise_quarter() -> None:
    stored = np.float32([[1, 2, 3], [4, 5, 6]])
    assert EXIF_TURNS[6].upright(stored).tolist() == [[4, 1], [5, 2], [6, 3]]
    assert EXIF_TURNS[8].upright(stored).tolist() == [[3, 6], [2, 5], [1, 4]]
    assert EXIF_TURNS[5].upright(stored).tolist() == [[1, 4], [2, 5], [3, 6]]
    assert EXIF_TURNS[7].upright(stored).tolist() == [[6, 3], [5, 2], [4, 1]]
