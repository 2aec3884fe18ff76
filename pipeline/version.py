"""Name and version of this program."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

PRODUCT = "autochrome"
# The product is called Autochrome; on the package index that name belongs to another project.
DISTRIBUTION = "autochrome-archive"


@cache
def program_version() -> str:
    """Return the version of this program, or ``source`` if it runs from its source folder without being installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "source"
