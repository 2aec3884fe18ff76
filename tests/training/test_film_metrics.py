"""The film metrics are what their definitions say, on pictures whose numbers are known beforehand."""

import math

import cv2
import numpy as np
import pytest

from training.cielab_numpy import lab_to_rgb, rgb_to_lab
from training.film_metrics import WarpError, cdc, histogram, jensen_shannon

pytestmark = pytest.mark.slow


def plain(code: int) -> np.ndarray:
    return np.full((8, 8, 3), code, np.uint8)


def textured(count: int, *, speed: int = 3, height: int = 120, width: int = 160) -> list[np.ndarray]:
    """Return luma codes of a camera that moves over a texture."""
    noise = np.random.default_rng(0).standard_normal((height, width + speed * count)).astype(np.float32)
    wide = np.clip(128 + 150 * cv2.GaussianBlur(noise, (0, 0), 2.5), 40, 215).astype(np.uint8)
    return [np.ascontiguousarray(wide[:, speed * n : speed * n + width]) for n in range(count)]


def painted(luma: np.ndarray, a: float, b: float) -> np.ndarray:
    lab = rgb_to_lab(np.repeat(luma[..., None], 3, axis=2))
    lab[..., 1:] = a, b
    lab[..., 0] = 40 + 0.2 * lab[..., 0]
    return lab_to_rgb(lab)


def test_histograms_are_shares_per_channel() -> None:
    picture = plain(0)
    picture[:4, :, 1] = 200
    shares = histogram(picture)
    assert shares.shape == (3, 256)
    assert shares[0, 0] == 1
    assert shares[1, 0] == shares[1, 200] == 0.5
    np.testing.assert_allclose(shares.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0.3, 0.7), (0.3, 0.7), 0.0),
        ((1, 0), (0, 1), math.log(2)),
        ((1, 0), (0.5, 0.5), 0.2157615543388357),
    ],
)
def test_jensen_shannon_is_the_divergence_in_nats(
    first: tuple[float, ...], second: tuple[float, ...], expected: float
) -> None:
    for p, q in ((first, second), (second, first)):
        assert jensen_shannon(np.array(p, float), np.array(q, float)) == pytest.approx(expected, abs=1e-12)


def test_cdc_is_a_third_of_each_dilation() -> None:
    """Black and white by turns: neighbours have nothing in common, every second frame is the same."""
    frames = [histogram(plain(255 * (number % 2))) for number in range(9)]
    assert cdc(frames) == pytest.approx(math.log(2) / 3)


def test_cdc_is_the_mean_of_the_channels() -> None:
    frames = []
    for number in range(9):
        picture = plain(90)
        picture[..., 2] = 255 * (number % 2)
        frames.append(histogram(picture))
    assert cdc(frames) == pytest.approx(math.log(2) / 9)


def test_a_still_film_has_a_cdc_of_zero() -> None:
    assert cdc([histogram(plain(7))] * 5) == 0


def test_cdc_needs_a_pair_for_every_dilation() -> None:
    with pytest.raises(ValueError, match="at least 5 frames, not 4"):
        cdc([histogram(plain(7))] * 4)


def test_colour_that_moves_with_its_things_has_no_warp_error() -> None:
    frames = textured(5)
    error = WarpError()
    for luma in frames:
        error.add(luma, {"still": painted(luma, 20, -10), "grey": np.repeat(luma[..., None], 3, axis=2)})
    assert error.value("grey") < 0.01
    assert error.value("still") < 0.7


def test_a_change_of_colour_along_the_motion_is_the_warp_error() -> None:
    error = WarpError()
    for number, luma in enumerate(textured(5)):
        error.add(luma, {"flicker": painted(luma, 20 + 6 * (number % 2), -10 + 8 * (number % 2))})
    assert error.value("flicker") == pytest.approx(10, abs=1)


def test_what_comes_into_view_does_not_count_as_change() -> None:
    """A camera moves over a ground that is green on its left and red on its right: nothing changes, all moves."""
    error = WarpError()
    for number, luma in enumerate(textured(8, speed=8)):
        picture = painted(luma, -30, 20)
        border = 130 - 8 * number
        picture[:, border:] = painted(luma[:, border:], 40, 20)
        error.add(luma, {"pan": picture})
    assert error.value("pan") < 1.5


def test_frames_on_both_sides_of_a_cut_are_not_compared() -> None:
    error = WarpError()
    for number, luma in enumerate(textured(6)):
        if number == 3:
            error.cut()
        error.add(luma, {"two shots": painted(luma, 30 if number < 3 else -30, 0)})
    assert error.value("two shots") < 0.7


def test_one_frame_has_no_warp_error() -> None:
    error = WarpError()
    error.add(textured(1)[0], {"alone": painted(textured(1)[0], 0, 0)})
    with pytest.raises(KeyError):
        error.value("alone")
