"""How likely a picture with certain figures is coloured, not toned: a logistic regression.

`pipeline.color.tone_table` holds its table, which `python -m benchmarks.tone --fit` makes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.color.tone_table import CENTRES, SCALES, WEIGHTS

Figures = npt.NDArray[np.float64]

LIMIT = 4.0  # standard deviations from the centre, beyond which a figure says no more


def terms(standard: Figures) -> Figures:
    """Return 1, the ``standard`` figures (n,) and their products, each pair once: (1 + n + n (n + 1) / 2,)."""
    first, second = np.triu_indices(len(standard))
    return np.concatenate([[1.0], standard, standard[first] * standard[second]])


def log_odds_of_colour(figures: Figures) -> float:
    """Return the natural logarithm of the odds that the picture of these `tint_fit.FIGURES` is coloured.

    As likely as not is 0, where pictures of both kinds are as many.
    """
    standard = np.clip((figures - CENTRES) / SCALES, -LIMIT, LIMIT)
    return float(terms(standard) @ WEIGHTS)
