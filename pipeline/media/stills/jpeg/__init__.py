"""JPEG: the coded luma of a photograph is carried over bit for bit, and chroma is added beside it.

Public names of this package: `JPEG`, its format, and `read_frame`, which reads the header of a JPEG embedded in another
file.
"""

from __future__ import annotations

from pipeline.media.stills.jpeg.format import JPEG
from pipeline.media.stills.jpeg.segments import DamagedJpegError, read_frame

__all__ = ["JPEG", "DamagedJpegError", "read_frame"]
