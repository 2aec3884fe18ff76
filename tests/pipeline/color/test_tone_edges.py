"""Colour follows things: it changes at their edges. Stains do not."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.color.spaces import F32
from pipeline.color.tint_fit import fitted
from pipeline.color.tone_edges import edge_figures
from tests.pipeline.color.things import HEIGHT, WIDTH, stained_print, things

EVERYTHING = np.ones((HEIGHT, WIDTH), np.bool_)
SEEDS = range(5)


def stacked(chroma: F32) -> F32:
    return np.ascontiguousarray(np.moveaxis(chroma, 0, -1))


def edges(luma: F32, chroma: F32) -> np.ndarray:
    planes = stacked(chroma)
    left_over = planes - fitted(luma, planes, EVERYTHING).tint.reshape(planes.shape)
    found = edge_figures(luma, left_over, EVERYTHING)
    assert found is not None
    return found


@pytest.mark.few(2)
@pytest.mark.parametrize("seed", SEEDS)
def test_colour_changes_across_the_edges_of_things_and_stains_do_not(seed: int) -> None:
    luma, chroma = things(seed)
    in_colour, stained = edges(luma, chroma), edges(luma, stained_print(luma, seed=seed))
    assert in_colour[0] > stained[0] + 0.3
    assert in_colour[1] > stained[1]


@pytest.mark.few(2)
@pytest.mark.parametrize("seed", SEEDS)
def test_how_much_more_colour_changes_at_edges_does_not_depend_on_how_pale_it_is(seed: int) -> None:
    luma, chroma = things(seed)
    assert edges(luma, chroma)[0] == pytest.approx(edges(luma, chroma / 3)[0], abs=0.15)


def test_what_shows_nothing_has_no_figures() -> None:
    luma, chroma = things(0)
    assert edge_figures(luma, stacked(chroma), ~EVERYTHING) is None
    assert edge_figures(np.full_like(luma, 0.5), stacked(chroma), EVERYTHING) is None
