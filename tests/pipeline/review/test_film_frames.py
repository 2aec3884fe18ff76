"""A frame of a film on the review page is coloured by what the film itself is coloured by."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.corrections import Correction, CorrectionFile
from pipeline.errors import UsageError
from pipeline.options import Hint, Options, Quality
from pipeline.review.catalogue import FILM, FileCatalogue
from pipeline.review.studio import Place, Studio
from tests.engines.two import write_two_model
from tests.films import make_film
from tests.sampled import sampled

NAME = "film.mkv"


def blocks(number: int) -> np.ndarray:
    """Luma of a film that stands still: blocks, each of its own lightness and its own grain."""
    del number
    rng = np.random.default_rng(3)
    picture = np.kron(rng.integers(90, 170, (5, 7)), np.ones((32, 32))) + rng.normal(0, 6, (160, 224))
    return np.clip(picture, 0, 255).astype(np.uint8)


def painted(luma: np.ndarray, *, a: float, b: float) -> np.ndarray:
    """Return ``luma`` in one colour, as B, G and R."""
    lab = cv2.cvtColor(np.repeat(luma[..., None], 3, axis=2).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    lab[..., 1:] = a, b
    return np.rint(cv2.cvtColor(lab, cv2.COLOR_Lab2BGR) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Colorizer]:
    model = write_two_model(tmp_path_factory.mktemp("two"), temperature=0.5)
    with open_colorizer(Options(engine="onnxruntime", model=str(model))) as opened:
        yield opened


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make_film(tmp_path / NAME, codec="ffv1", width=224, height=160, times=range(8), luma=blocks)


def shown(studio: Studio, catalogue: FileCatalogue, time: float, correction: Correction | None = None) -> np.ndarray:
    made = studio.after(catalogue.find(NAME), Place(time=time), correction or Correction())
    assert not made.is_kept
    return np.asarray(Image.open(BytesIO(made.content)), float)


def rendered(catalogue: FileCatalogue, colorizer: Colorizer, correction: Correction) -> np.ndarray:
    """Return the first frame of the result."""
    catalogue.correct(NAME, CorrectionFile(correction=correction))
    with av.open(str(catalogue.render(NAME, colorizer))) as made:
        return np.asarray(next(made.decode(video=0)).to_ndarray(format="rgb24"), float)


@pytest.mark.slow
@pytest.mark.few(1)
@pytest.mark.parametrize(
    "lends",
    sampled(
        ["reference beside", "frame beside", "kept picture", "hint elsewhere", "hint here"],
        "frame beside",
        "hint elsewhere",
    ),
)
def test_a_frame_is_shown_with_what_the_film_is_coloured_by(
    lends: str, film: Path, tmp_path: Path, two: Colorizer
) -> None:
    catalogue = FileCatalogue([(FILM, film, tmp_path / "made.mkv")], Options(overwrite=True, quality=Quality.MASTER))
    studio, correction = Studio(two, catalogue), Correction()
    plain = shown(studio, catalogue, 0.01)
    green = painted(blocks(0), a=-30, b=35)
    if lends == "reference beside":
        assert cv2.imwrite(str(tmp_path / "film.ref.png"), green)
    elif lends == "frame beside":
        (tmp_path / "film.refs").mkdir()
        assert cv2.imwrite(str(tmp_path / "film.refs" / "000005.png"), green)
    elif lends == "kept picture":
        content = cv2.imencode(".png", green)[1].tobytes()
        correction = Correction(references=(studio.keep_reference(catalogue.find(NAME), content),))
    else:
        time = 0.01 if lends == "hint here" else 0.25
        correction = Correction(hints=(Hint(x=0.5, y=0.5, color="#3A5FCD", reach=0.2, time=time),))
    there = shown(studio, catalogue, 0.01, correction)
    assert np.abs(there - plain).max() > 20
    made = rendered(catalogue, two, correction)
    # What a hint says of another frame is carried along the motion in the film alone.
    share = 0.5 if lends == "hint elsewhere" else 0.25
    assert np.abs(there - made).mean() < share * np.abs(plain - made).mean()
    assert np.array_equal(shown(studio, catalogue, 0.01, correction), there)


def test_what_a_render_refuses_is_refused_here_too(film: Path, tmp_path: Path, tiny: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "film.ref.png"), painted(blocks(0), a=-30, b=35))
    catalogue = FileCatalogue([(FILM, film, tmp_path / "made.mkv")], Options(overwrite=True))
    with (
        open_colorizer(Options(engine="onnxruntime", model=str(tiny))) as opened,
        pytest.raises(UsageError, match="cannot use it"),
    ):
        shown(Studio(opened, catalogue), catalogue, 0.01)
