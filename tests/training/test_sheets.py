from __future__ import annotations

import numpy as np
import pytest

from training.sheets import Strip, draw_sheet


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
