"""A film in memory: frames in, coloured frames out, with the coherence that a file has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from pipeline.color.colorizer import Colorizer
from pipeline.errors import UsageError
from pipeline.film.in_memory import colorize_frames
from pipeline.options import Hint, Options, TreatAs
from tests.films import moving_luma
from tests.photos import rgb_of, tinted

WEIGHTS = np.array([0.299, 0.587, 0.114])


def moving(count: int, *, bits: int = 8) -> list[np.ndarray]:
    return [moving_luma(number, width=96, height=64, bits=bits) for number in range(count)]


@pytest.mark.few(1)
@pytest.mark.parametrize("bits", [8, 16])
def test_every_frame_comes_back_in_order_with_its_luma(bits: int, colorizer: Colorizer) -> None:
    frames = moving(30, bits=bits)
    made = list(colorize_frames(iter(frames), colorizer=colorizer))
    assert len(made) == 30
    for grey, frame in zip(frames, made, strict=True):
        assert (frame.shape, frame.dtype) == ((*grey.shape, 3), grey.dtype)
        assert np.abs(frame @ WEIGHTS - grey).max() <= 0.51
        assert np.ptp(frame.astype(int), axis=2).max() > 5


@pytest.mark.slow
def test_grey_frames_in_rgb_are_coloured_like_grey_ones(colorizer: Colorizer) -> None:
    frames = moving(12)
    as_rgb = [np.repeat(frame[..., None], 3, axis=2) for frame in frames]
    made, expected = (list(colorize_frames(one, colorizer=colorizer)) for one in (as_rgb, frames))
    assert all(map(np.array_equal, made, expected))


def test_a_shot_in_colour_comes_back_as_it_is(colorizer: Colorizer) -> None:
    own = [rgb_of(frame, *tinted(frame)) for frame in moving(12)]
    options = Options(treat_as=TreatAs.COLOUR)
    assert all(map(np.array_equal, colorize_frames(own, options, colorizer=colorizer), own))


@pytest.mark.slow
def test_frames_are_read_as_they_are_needed(colorizer: Colorizer) -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield moving_luma(taken, width=96, height=64)

    coloured = colorize_frames(endless(), colorizer=colorizer)
    for _ in range(20):
        next(coloured)
    coloured.close()
    assert taken <= 20 + 60


def test_what_is_no_frame_and_hints_are_errors_of_use(colorizer: Colorizer) -> None:
    with pytest.raises(UsageError, match="array of float32"):
        next(colorize_frames([np.zeros((4, 4), np.float32)], colorizer=colorizer))
    with pytest.raises(UsageError, match="alpha"):
        next(colorize_frames([np.zeros((32, 32, 4), np.uint8)], colorizer=colorizer))
    with pytest.raises(UsageError, match="frame 0: is a Image, not an array") as caught:
        next(colorize_frames([Image.new("L", (32, 32))], colorizer=colorizer))  # type: ignore[list-item]
    assert "numpy.asarray" in caught.value.advice
    hinted = Options(hints=(Hint(x=0, y=0, color="neutral"),))
    with pytest.raises(UsageError, match="hints"):
        next(colorize_frames(moving(1), hinted, colorizer=colorizer))
