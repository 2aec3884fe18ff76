"""Which program this is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

PRODUCT = "autochrome"
# The product is called Autochrome; on the package index that name is a stranger's.
DISTRIBUTION = "autochrome-archive"


@cache
def program_version() -> str:
    """Return the version of this program, or ``source`` where it runs from its source folder, not installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "source"
