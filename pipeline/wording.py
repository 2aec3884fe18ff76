"""Format counts and names for messages."""

from __future__ import annotations


def count(number: int, thing: str) -> str:
    """Return ``1 film`` or ``2,000 films``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def encodable(text: str) -> str:
    """Return ``text`` with ``?`` for what cannot be encoded: file names may contain bytes that are not UTF-8."""
    return text.encode(errors="replace").decode()
