"""Photoshop's image resources, in JPEG (APP13) and TIFF (tag 34377): all are kept but thumbnails of the old picture.

Layout: Adobe, Photoshop File Formats Specification, "Image Resources Section".
"""

from __future__ import annotations

import struct

_SIGNATURES = (b"8BIM", b"PHUT", b"AgHg", b"DCSR", b"MeSa")
_THUMBNAILS = (1033, 1036)


def without_thumbnail(resources: bytes) -> bytes:
    """Return ``resources`` without thumbnails, no other byte changed; unchanged if they break off."""
    kept, position = [], 0
    while position + 12 <= len(resources):
        if resources[position : position + 4] not in _SIGNATURES:
            break
        (number,) = struct.unpack_from(">H", resources, position + 4)
        # A Pascal string, and data, both padded to an even number of bytes.
        named = position + 6 + (resources[position + 6] + 2) // 2 * 2
        if named + 4 > len(resources):
            break
        (size,) = struct.unpack_from(">I", resources, named)
        end = named + 4 + size + size % 2
        if named + 4 + size > len(resources):
            break
        if number not in _THUMBNAILS:
            kept.append(resources[position:end])
        position = end
    return b"".join((*kept, resources[position:]))
