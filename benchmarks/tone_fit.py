"""The tables that the judgement of tone is made with, fitted to photographs and to prints made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.color.tone_odds import LIMIT, standardised, terms

Figures = npt.NDArray[np.float64]
Expand = Callable[[Figures], Figures]

_RIDGE = 3.0
_ROUNDS = 25
_WIDTH = 120


@dataclass(frozen=True, eq=False)
class Table:
    """A logistic regression: of figures in standard deviations, ``expand`` makes the terms that are weighted."""

    centres: Figures
    scales: Figures
    weights: Figures
    expand: Expand

    def log_odds(self, figures: Figures) -> float:
        """Return the natural logarithm of the odds that the picture of ``figures`` is coloured."""
        return float(self.expand(standardised(figures, self.centres, self.scales)) @ self.weights)

    def lines(self, prefix: str = "") -> str:
        """Return the table as Python."""
        named = zip(("CENTRES", "SCALES", "WEIGHTS"), (self.centres, self.scales, self.weights), strict=True)
        return "".join(_array(prefix + name, values) for name, values in named)


def linear(standard: Figures) -> Figures:
    """Return 1 and the ``standard`` figures (n,): (1 + n,)."""
    return np.concatenate([[1.0], standard])


def fitted_table(
    coloured: Sequence[Figures],
    prints: Sequence[Figures],
    *,
    expand: Expand = terms,
    of: tuple[int, int] | None = None,
) -> Table:
    """Fit a logistic regression by Newton's method, with a ridge.

    ``of`` says how many of either kind there were before the doubtful ones were chosen; all of these count as much as
    all of those. As many as are given if None.
    """
    many, few = of or (len(coloured), len(prints))
    rows = np.stack([*coloured, *prints])
    is_coloured = np.arange(len(rows)) < len(coloured)
    share = np.where(is_coloured, 1 / many, 1 / few)
    share *= len(rows) / share.sum()
    centres, scales = rows.mean(axis=0), rows.std(axis=0)
    expanded = np.stack([expand(np.clip((row - centres) / scales, -LIMIT, LIMIT)) for row in rows])
    ridge = _RIDGE * np.eye(expanded.shape[1])
    ridge[0, 0] = 1e-6
    weights = np.zeros(expanded.shape[1])
    for _ in range(_ROUNDS):
        odds = 1 / (1 + np.exp(-np.clip(expanded @ weights, -30, 30)))
        slope = expanded.T @ (share * (odds - is_coloured)) + ridge @ weights
        curve = (expanded * (share * odds * (1 - odds))[:, None]).T @ expanded + ridge
        weights -= np.linalg.solve(curve, slope)
    return Table(centres, scales, weights, expand)


def module(words: str, tables: Iterable[str]) -> str:
    """Return a Python module that holds ``tables``; ``words`` say what they were fitted to."""
    imports = "from __future__ import annotations\n\nimport numpy as np"
    return f'"""{words}"""\n\n{imports}\n\n# fmt: off\n{"".join(tables)}# fmt: on\n'


def _array(name: str, values: Figures) -> str:
    lines, line = [f"{name} = np.array(["], "   "
    for value in values:
        item = f" {float(f'{value:.4g}'):g},"
        if len(line) + len(item) > _WIDTH:
            lines.append(line)
            line = "   "
        line += item
    return "\n".join([*lines, line, "])"]) + "\n"
