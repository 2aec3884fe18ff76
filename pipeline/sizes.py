"""Sizes of small pictures."""

from __future__ import annotations


def size_within(side: int, width: float, height: float) -> tuple[int, int]:
    """Return (width, height), in OpenCV's order, of a picture scaled to fit a square of ``side`` pixels.

    The aspect ratio is kept, no side is below 1 pixel, and nothing is enlarged.
    """
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
