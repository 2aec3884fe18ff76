"""TIFF: read by tifffile, written strip by strip, with every other tag carried over; `TIFF` is the format."""

from __future__ import annotations

from pipeline.media.stills.tiff.format import TIFF

__all__ = ["TIFF"]
