"""One engine serves several films at once, and none gets the colours of another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.color.model_input import ModelInput
from pipeline.options import Options
from pipeline.stages import several
from tests.sampled import sampled


def answers(colorizer: Colorizer, film: int) -> list[np.ndarray]:
    rng = np.random.default_rng(film)
    frames = [ModelInput(rng.random((64, 96), np.float32)) for _ in range(24)]
    return [ab for first in range(0, len(frames), 4) for ab in colorizer.predict(frames[first : first + 4])]


@pytest.mark.parametrize("engine", sampled(["openvino", "onnxruntime"], "onnxruntime"))
def test_films_side_by_side_get_their_own_colours(tiny: Path, engine: str) -> None:
    with open_colorizer(Options(engine=engine, model=str(tiny))) as colorizer:
        films = {film: answers(colorizer, film) for film in range(6)}

        def work(film: int) -> tuple[int, list[np.ndarray]]:
            return film, answers(colorizer, film)

        for film, found in several(iter(films), work, workers=6, name="film", stop=lambda: None):
            for ours, alone in zip(found, films[film], strict=True):
                np.testing.assert_array_equal(ours, alone)


def test_pictures_of_all_shapes_get_their_own_colours_in_order(colorizer: Colorizer) -> None:
    rng = np.random.default_rng(0)
    pictures = [ModelInput(rng.random((64, 96 if n % 3 else 64), np.float32)) for n in range(40)]
    for together, picture in zip(colorizer.predict(pictures), pictures, strict=True):
        np.testing.assert_allclose(together, colorizer.predict([picture])[0], atol=1e-3)
