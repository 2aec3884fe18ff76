from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.conftest import synthetic_photo
from tests.training.evaluation_sets import score_rivals, write_pictures, write_rivals
from training.evaluate import find_set, rival_systems
from training.sheets import Strip, draw_sheet, draw_strip, save_sheet, spread, worst

pytestmark = pytest.mark.slow


def _strip(colour: tuple[int, int, int], *widths: int) -> Strip:
    tiles = tuple(np.full((40, width, 3), colour, np.uint8) for width in widths)
    return Strip(tiles, tuple(f"a rather long label {number}" for number in range(len(widths))))


@pytest.mark.parametrize("across", [1, 2, 5])
def test_every_tile_is_on_the_sheet_whole_and_unaltered(across: int) -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    strips = [_strip(colours[0], 30, 50), _strip(colours[1], 70), _strip(colours[2], 20, 20, 20)]
    sheet = np.asarray(draw_sheet(strips, across=across))
    for colour, strip in zip(colours, strips, strict=True):
        found = (sheet == colour).all(axis=-1)
        assert found.sum() == sum(tile.shape[0] * tile.shape[1] for tile in strip.tiles)


def test_labels_are_written_above_their_tiles() -> None:
    sheet = np.asarray(draw_sheet([_strip((250, 0, 0), 60)], across=1))
    top = int(np.flatnonzero((sheet == (250, 0, 0)).all(axis=-1).any(axis=1))[0])
    assert sheet[:top].max() > 150


def test_a_strip_shows_the_truth_grey_and_every_system_with_its_error(tmp_path: Path) -> None:
    pictures = find_set(write_rivals(tmp_path / "set"))
    scores = score_rivals(tmp_path / "set")
    strip = draw_strip(pictures, 1, rival_systems(pictures), truth=True, scores=scores, height=72)
    assert len(strip.tiles) == 4
    assert strip.labels[:3] == ("set/1", "grey", "0.0  perfect")
    assert strip.labels[3] == f"{scores[2].pictures[1].ciede2000:.1f}  swapped"
    truth = synthetic_photo(1)
    assert (strip.tiles[0] == truth).all()
    assert np.ptp(strip.tiles[1], axis=-1).max() == 0
    assert (strip.tiles[3] == truth[..., ::-1]).all()


def test_an_old_photograph_is_shown_grey_even_if_it_is_toned(tmp_path: Path) -> None:
    pictures = find_set(write_pictures(tmp_path / "old", {"a.png": synthetic_photo(0)}))
    strip = draw_strip(pictures, 0, {}, truth=False)
    assert strip.labels == ("old/a",)
    assert np.ptp(strip.tiles[0], axis=-1).max() == 0


def test_the_worst_pictures_of_all_sets_come_first(tmp_path: Path) -> None:
    bold = np.zeros((32, 32, 3), np.uint8)
    bold[..., 2] = 255
    easy = write_pictures(tmp_path / "easy", {"a.png": np.full((32, 32, 3), 90, np.uint8), "b.png": bold // 2})
    hard = write_pictures(tmp_path / "hard", {"c.png": bold})
    greys = [score_rivals(folder)[0] for folder in (easy, hard)]
    assert worst(greys, 2) == [("hard", 0), ("easy", 1)]
    assert len(worst(greys, 9)) == 3


@pytest.mark.parametrize(
    ("count", "most", "expected"), [(3, 40, [0, 1, 2]), (10, 4, [0, 3, 6, 9]), (5, 1, [0]), (1, 3, [0])]
)
def test_pictures_are_spread_over_the_set(count: int, most: int, expected: list[int]) -> None:
    assert spread(count, most) == expected


def test_a_saved_sheet_is_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = save_sheet([_strip((250, 0, 0), 30, 50)], tmp_path / "new" / "sheet.png")
    assert [one.name for one in path.parent.iterdir()] == ["sheet.png"]
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        assert (np.asarray(sheet) == (250, 0, 0)).all(axis=-1).sum() == 40 * 80
