"""Limits for untrusted pictures, checked from the header before any pixel is decoded."""

from __future__ import annotations

from pathlib import Path

from pipeline.media.stills.samples import damaged, refuse

PIXEL_LIMIT = 400_000_000

# A header may claim few pixels in an endless file; what genuine pictures carry besides pixels fits below this.
_FILE_FLOOR = 256 << 20
_BYTES_PER_PIXEL = 16


def check_size(path: Path, width: int, height: int, *, pixel_limit: int) -> None:
    """Raise `InputError` if a picture of ``width`` x ``height`` is empty, too large, or its file far too long."""
    if width < 1 or height < 1:
        raise damaged(path, f"has no pixels ({width} x {height})")
    if width * height > pixel_limit:
        raise refuse(
            path,
            f"{width} x {height} is more than {pixel_limit / 1e6:.0f} million pixels",
            advice="If the picture is real, cut it into parts. If not, its header is damaged or hostile: copy it again "
            "from its source.",
        )
    size = path.stat().st_size
    if size > max(_FILE_FLOOR, _BYTES_PER_PIXEL * width * height):
        raise damaged(path, f"{size} bytes is far more than {width} x {height} pixels can need")
