"""Odds that a picture with certain figures is coloured, not toned, by logistic regressions in turn.

The first uses the distance of chroma from one tint, the second also where it changes. The third decides doubtful cases
with the colours that the network expects. `pipeline.color.tone_table`, `pipeline.color.tone_edges_table` and
`pipeline.color.tone_expectation_table` hold their tables, which `python -m benchmarks.tone` makes with ``--fit``,
``--fit-edges`` and ``--fit-expectation``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.color import tone_edges_table as edges
from pipeline.color import tone_expectation_table as expectation
from pipeline.color.tone_table import CENTRES, SCALES, WEIGHTS

Figures = npt.NDArray[np.float64]

_MOST_BY_EDGES = 5.0
_MOST_BY_EXPECTATION = 3.9  # what is in doubt without the network stays in doubt
_FULL_TINT = 0.03  # strength from which a tint's hue counts in full
LIMIT = 4.0  # standard deviations from the centre, to which figures are limited


def standardised(figures: Figures, centres: Figures, scales: Figures) -> Figures:
    """Return ``figures`` in standard deviations from their centres, bounded by `LIMIT`."""
    return np.clip((figures - centres) / scales, -LIMIT, LIMIT)


def terms(standard: Figures) -> Figures:
    """Return 1, the ``standard`` figures (n,) and their products, each pair once: (1 + n + n (n + 1) / 2,)."""
    first, second = np.triu_indices(len(standard))
    return np.concatenate([[1.0], standard, standard[first] * standard[second]])


def linear_terms(standard: Figures) -> Figures:
    """Return 1 and the ``standard`` figures (n,): (1 + n,)."""
    return np.concatenate([[1.0], standard])


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


def expectation_terms(figures: Figures, expected: Figures, tint: Figures, strength: float) -> Figures:
    """Return the input of the third table: ``figures``, ``expected``, and the latter times the hue of the tint.

    ``figures`` are those of the first two tables with their result, ``expected`` are `expected_colours.FIGURES`;
    ``tint`` (2,) is the mean chroma, Cb and Cr, ``strength`` its root mean square.
    """
    hue = tint / (np.hypot(*tint) + 1e-6) * min(strength / _FULL_TINT, 1.0)
    return np.concatenate([figures, hue, expected, expected * hue[0], expected * hue[1]])


def log_odds_with_expectation(given: Figures) -> float:
    """Return the log odds of a picture that is doubtful without the third table, from its `expectation_terms`.

    They are 0 if both are equally likely among such pictures, and bounded by `_MOST_BY_EXPECTATION`.
    """
    standard = standardised(given, expectation.CENTRES, expectation.SCALES)
    odds = float(linear_terms(standard) @ expectation.WEIGHTS)
    return min(max(odds, -_MOST_BY_EXPECTATION), _MOST_BY_EXPECTATION)
