"""One engine serves several films at once, and none gets the colours of another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.color.batching import Coloured
from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.color.model_input import ModelInput, Turn
from pipeline.options import Options
from pipeline.stages import several


def model_inputs(film: int) -> list[ModelInput[int]]:
    rng = np.random.default_rng(film)
    return [ModelInput(n, rng.random((64, 96), np.float32), Turn(), 0) for n in range(24)]


def answers(colorizer: Colorizer, film: int) -> list[Coloured[int]]:
    frames = model_inputs(film)
    return [ready for first in range(0, len(frames), 4) for ready in colorizer.coloured(frames[first : first + 4])]


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_films_side_by_side_get_their_own_colours(tiny: Path, engine: str) -> None:
    with open_colorizer(Options(engine=engine, model=str(tiny))) as colorizer:
        films = {film: answers(colorizer, film) for film in range(6)}

        def work(film: int) -> tuple[int, list[Coloured[int]]]:
            return film, answers(colorizer, film)

        for film, found in several(iter(films), work, workers=6, name="film", stop=lambda: None):
            for ours, alone in zip(found, films[film], strict=True):
                np.testing.assert_array_equal(ours.ab, alone.ab)
