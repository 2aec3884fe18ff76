"""Odds that a picture with certain figures is coloured, not toned, by two logistic regressions in turn.

The first uses the distance of chroma from one tint, the second also where it changes. `pipeline.color.tone_table` and
`pipeline.color.tone_edges_table` hold their tables, which `python -m benchmarks.tone` makes with ``--fit`` and
``--fit-edges``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.color import tone_edges_table as edges
from pipeline.color.tone_table import CENTRES, SCALES, WEIGHTS

Figures = npt.NDArray[np.float64]

_MOST_BY_EDGES = 5.0
LIMIT = 4.0  # standard deviations from the centre, to which figures are limited


def standardised(figures: Figures, centres: Figures, scales: Figures) -> Figures:
    """Return ``figures`` in standard deviations from their centres, bounded by `LIMIT`."""
    return np.clip((figures - centres) / scales, -LIMIT, LIMIT)


def terms(standard: Figures) -> Figures:
    """Return 1, the ``standard`` figures (n,) and their products, each pair once: (1 + n + n (n + 1) / 2,)."""
    first, second = np.triu_indices(len(standard))
    return np.concatenate([[1.0], standard, standard[first] * standard[second]])


def log_odds_of_colour(figures: Figures) -> float:
    """Return the natural logarithm of the odds that the picture of these `tint_fit.FIGURES` is coloured.

    They are 0 if both are equally likely, given equally many pictures of both kinds.
    """
    return float(terms(standardised(figures, CENTRES, SCALES)) @ WEIGHTS)


def log_odds_with_edges(log_odds: float, figures: Figures) -> float:
    """Return ``log_odds`` updated with `tone_edges.FIGURES`.

    They change by `_MOST_BY_EDGES` at most: strong colours without edges, such as stage lights, are colours too.
    """
    standard = standardised(np.array([log_odds, *figures]), edges.CENTRES, edges.SCALES)
    change = float(terms(standard) @ edges.WEIGHTS) - log_odds
    return log_odds + min(max(change, -_MOST_BY_EDGES), _MOST_BY_EDGES)
