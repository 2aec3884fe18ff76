"""Album pages: prints are coloured, the page around and between them is not, nor is it taken for colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.color.album_page import beside_page, page
from pipeline.color.colorizer import Colorizer
from pipeline.options import Options, Tone
from pipeline.photo.one import colorize_photo
from pipeline.results import PhotoResult
from tests.photos import rgb_of, save, scene, tinted

WHITE, BLACK, CREAM = (232, 232, 232), (40, 40, 40), (235, 222, 190)
PRINT = scene(width=280, height=190)
PLACES = ((40, 40), (40, 380), (290, 40), (290, 380))  # two rows of two; the gap between columns is 60 wide


def album(paper: tuple[int, int, int], prints: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(2)
    made = np.array(paper) + rng.normal(0, 2, (530, 700, 1))
    for top, left in PLACES:
        made[top : top + 190, left : left + 280] = prints if prints.ndim == 3 else prints[..., None]
    return np.rint(np.clip(made, 0, 255)).astype(np.uint8)


def result_of(source: Path, colorizer: Colorizer, options: Options | None = None) -> PhotoResult:
    result = colorize_photo(
        source, source.parent / "out" / source.name, colorizer=colorizer, options=options or Options()
    )
    assert isinstance(result, PhotoResult), result
    return result


@pytest.mark.few(1)
@pytest.mark.parametrize("paper", [WHITE, BLACK, CREAM])
def test_the_gaps_between_prints_stay_neutral(
    paper: tuple[int, int, int], tmp_path: Path, colorizer: Colorizer
) -> None:
    result = result_of(save(tmp_path / "a.png", album(paper, PRINT)), colorizer)
    assert result.treatment == "coloured"
    made = np.ptp(np.asarray(Image.open(result.output), int), axis=2)
    assert made[:, 340:360].max() <= 2
    assert made[255:265].max() <= 2
    assert made[80:190, 80:280].mean() > 3


@pytest.mark.slow
def test_grey_prints_on_a_cream_page_are_a_tinted_picture(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.png", album(CREAM, PRINT))
    result = result_of(source, colorizer)
    assert result.tones == ("tinted",)
    assert any("colour replaced the tint" in note.text for note in result.notes)
    source = source.rename(tmp_path / "b.png")
    kept = result_of(source, colorizer, Options(tone=Tone.KEEP))
    assert kept.output.read_bytes() == source.read_bytes()


@pytest.mark.few(1)
@pytest.mark.parametrize("paper", [WHITE, BLACK, CREAM])
def test_colour_prints_are_seen_whatever_page_they_are_on(
    paper: tuple[int, int, int], tmp_path: Path, colorizer: Colorizer
) -> None:
    result = result_of(save(tmp_path / "a.png", album(paper, rgb_of(PRINT, *tinted(PRINT)))), colorizer)
    assert (result.tones, result.treatment) == (("colour",), "kept as it is")


def test_a_page_reaches_into_the_gaps_and_not_into_the_prints() -> None:
    luma = np.float32(album(WHITE, PRINT)[..., 0]) / 255
    found = page(luma)
    assert found is not None
    assert found[:, 345:355].mean() > 0.95
    assert found[60:210, 60:300].mean() < 0.02
    weight = beside_page(luma, (132, 176))
    assert weight.shape == (132, 176)
    assert weight[:, 86:89].mean() < 0.05


def test_a_photograph_without_a_page_has_none() -> None:
    sky = scene(width=352, height=256)
    assert page(np.float32(sky) / 255) is None
    assert beside_page(np.float32(sky) / 255, (64, 88)).min() == 1
    assert page(np.full((64, 64), 0.5, np.float32)) is None
