"""Numbers with what they count, in messages."""

from __future__ import annotations


def count(number: int, thing: str) -> str:
    """Return ``1 film`` or ``2,000 films``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
