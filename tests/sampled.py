"""Select the parameters for the fast tests from many: the rest are similar, and slow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(values: Iterable[Any], *fast: Any) -> list[Any]:
    """Return ``values`` for ``pytest.mark.parametrize``, with all except those in ``fast`` marked slow.

    A ``value`` that is a tuple is one parameter. Raises `ValueError` if one of ``fast`` is not in ``values``.
    """
    found = list(values)
    if strangers := [one for one in fast if one not in found]:
        raise ValueError(f"{strangers} are not among {found}")
    return [value if value in fast else pytest.param(value, marks=pytest.mark.slow) for value in found]
