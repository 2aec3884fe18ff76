"""Sizes of small pictures."""

from __future__ import annotations


def size_within(side: int, width: float, height: float) -> tuple[int, int]:
    """Return width and height, as OpenCV takes them, of a picture made to fit a square of ``side`` pixels.

    The shape stays, no side is less than 1 pixel, and nothing is enlarged.
    """
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
