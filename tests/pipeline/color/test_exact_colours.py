"""Within the reach of a hint, every pixel of the finished picture has the stated colour, whatever its luma."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engines.tensors import InputSize
from pipeline.color.hints import Adjustments, ColorHint
from pipeline.color.model_input import EXIF_TURNS, model_input
from pipeline.color.spaces import Codes, chroma_from_ab, still_spec
from pipeline.color.upsampling import Upsampled, upsample

SPEC = still_spec(8)
NETWORK, SQUARE = (InputSize(multiple=32, film=160, photo=256, square=square) for square in (False, True))


def grainy(height: int, width: int) -> Codes:
    """Return luma of all levels, independent from pixel to pixel."""
    return np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)


def hinted(codes: Codes, *hints: ColorHint, size: InputSize = NETWORK, orientation: int = 1) -> Upsampled:
    """Return the chroma of a picture that is green but for ``hints``, which are on it as shown."""
    seen = model_input(codes, SPEC, size=size, short=size.photo, turn=EXIF_TURNS[orientation])
    rows, columns = (side // 4 for side in seen.luma.shape)
    made = Adjustments(hints=hints).applied(np.full((2, rows, columns), -20, np.float32), seen.luma)
    return upsample(seen, made.ab, SPEC, hints=hints, change=made.change)


def planes(upsampled: Upsampled, codes: Codes) -> np.ndarray:
    """Return Cb and Cr (2, h, w)."""
    return np.concatenate([np.stack(strip[2:]) for strip in upsampled.strips(codes, SPEC, codes.shape)], axis=1)


def stated(codes: Codes, hint: ColorHint) -> np.ndarray:
    ab = np.broadcast_to(np.array(hint.ab, np.float32)[:, None, None], (2, *codes.shape))
    return chroma_from_ab(SPEC.luma(codes), ab, SPEC.matrix)


def apart(shape: tuple[int, ...], x: float, y: float) -> np.ndarray:
    """Return the distance of every pixel from a place, in short sides."""
    down, across = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.hypot(down - y * shape[0], across - x * shape[1]) / min(shape)


@pytest.mark.few(3)
@pytest.mark.parametrize("shape", [(90, 70), (300, 205), (150, 450)])
@pytest.mark.parametrize("size", [NETWORK, SQUARE], ids=["network", "square network"])
@pytest.mark.parametrize("ab", [(70.0, 50.0), (0.0, 0.0), (20.0, -60.0)])
@pytest.mark.parametrize("reach", [0, 0.01, 0.2])
def test_every_pixel_within_the_reach_has_the_stated_colour(
    shape: tuple[int, int], size: InputSize, ab: tuple[float, float], reach: float
) -> None:
    codes = grainy(*shape)
    hint = ColorHint(x=0.31, y=0.62, ab=ab, reach=reach)
    made, wanted = planes(hinted(codes, hint, size=size), codes), stated(codes, hint)
    is_near = apart(shape, 0.31, 0.62) <= reach
    is_near[int(0.62 * shape[0]), int(0.31 * shape[1])] = True
    assert np.abs(made - wanted)[:, is_near].max() < 0.003
    assert np.abs(made - wanted)[:, apart(shape, 0.31, 0.62) > reach + 0.2].max() > 0.05


@pytest.mark.few(2)
@pytest.mark.parametrize("orientation", EXIF_TURNS)
def test_turned_and_mirrored_pictures_have_it_at_the_same_place(orientation: int) -> None:
    codes, turn = grainy(200, 320), EXIF_TURNS[orientation]
    hint = ColorHint(x=0.25, y=0.7, ab=(70.0, 50.0), reach=0.03)
    shown = turn.upright(planes(hinted(codes, hint, orientation=orientation), codes) - stated(codes, hint))
    assert np.abs(shown)[:, apart(shown.shape[1:], 0.25, 0.7) <= 0.03].max() < 0.003


@pytest.mark.parametrize("orientation", [1, 6])
def test_squares_are_those_that_the_reach_touches(orientation: int) -> None:
    codes, turn = grainy(203, 321), EXIF_TURNS[orientation]
    upsampled = hinted(codes, ColorHint(x=0.25, y=0.7, ab=(70.0, 50.0), reach=0.06), orientation=orientation)
    assert upsampled.exact is not None
    squares = upsampled.exact.squares(8, *codes.shape)
    each = squares.repeat(8, axis=0).repeat(8, axis=1)[: codes.shape[0], : codes.shape[1]]
    distance = apart(turn.upright(codes).shape, 0.25, 0.7)
    shown = turn.upright(each)
    assert shown[distance <= 0.06].all()
    assert not shown[distance > 0.06 + 8 * math.sqrt(2) / 203].any()


def test_a_small_picture_of_it_shows_the_same() -> None:
    codes = grainy(400, 600)
    hint = ColorHint(x=0.5, y=0.5, ab=(70.0, 50.0), reach=0.1)
    upsampled = hinted(codes, hint)
    np.testing.assert_allclose(upsampled.small(SPEC.luma(codes), SPEC.matrix), planes(upsampled, codes), atol=1e-3)


def test_the_edge_of_the_reach_is_soft_on_whatever_lies_there() -> None:
    """The hint is on something dark; the light things around are coloured within the reach, and no disc is seen."""
    codes = np.full((1500, 1500), 180, np.uint8)
    codes[:, :740] = 60
    hint = ColorHint(x=0.49, y=0.5, ab=(60.0, 30.0), reach=0.02)
    made = planes(hinted(codes, hint), codes)[1, 750, 745:]
    assert made[0] > 0.15
    assert np.abs(np.diff(made)).max() < 0.04


def test_between_hints_colour_changes_gradually() -> None:
    codes = np.full((1000, 1000), 128, np.uint8)
    hints = ColorHint(x=0.48, y=0.5, ab=(40.0, 0.0)), ColorHint(x=0.52, y=0.5, ab=(-40.0, 0.0))
    between = planes(hinted(codes, *hints), codes)[1, 500, 470:530]
    assert between[10] > 0.1
    assert between[-10] < -0.1
    assert np.abs(np.diff(between)).max() < 0.04


def test_of_two_hints_that_reach_a_pixel_that_with_more_weight_decides() -> None:
    codes = grainy(300, 300)
    own = ColorHint(x=0.5, y=0.5, ab=(40.0, 0.0), reach=0.05)
    carried = ColorHint(x=0.52, y=0.5, ab=(-40.0, 0.0), reach=0.05, weight=0.5)
    for hints in ((own, carried), (carried, own)):
        made = planes(hinted(codes, *hints), codes)
        is_near = apart(codes.shape, 0.5, 0.5) <= 0.05
        assert np.abs(made - stated(codes, own))[:, is_near].max() < 0.003


def test_a_faint_hint_does_not_lend_its_colour_to_the_fading_edge_of_a_strong_one() -> None:
    codes = np.full((200, 200), 120, np.uint8)
    strong = ColorHint(x=0.3, y=0.5, ab=(-40, 40), reach=0.05)
    faint = ColorHint(x=0.42, y=0.5, ab=(60, 20), reach=0.05, weight=1 / 8)
    seen = model_input(codes, SPEC, size=NETWORK, short=256)
    green = np.full((2, *(side // 4 for side in seen.luma.shape)), -20, np.float32)
    alone, both = (planes(upsample(seen, green, SPEC, hints=hints), codes) for hints in ((strong,), (strong, faint)))
    aim = stated(codes, faint)
    assert (np.abs(both - alone) <= 0.2 * np.abs(aim - alone) + 0.003).all()
    assert np.abs(both - alone).max() > 0.03
