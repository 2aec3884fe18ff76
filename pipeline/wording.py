"""Numbers with what they count, and names, in messages."""

from __future__ import annotations


def count(number: int, thing: str) -> str:
    """Return ``1 film`` or ``2,000 films``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def encodable(text: str) -> str:
    """Return ``text`` with ``?`` for what no encoding has: names of files may hold bytes that are no UTF-8."""
    return text.encode(errors="replace").decode()
