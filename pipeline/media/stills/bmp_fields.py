"""BMP with samples in arbitrary bits of a word: 16 or 32 bits per pixel, and a mask for each of R, G, B and alpha.

Pillow only reads the usual masks, and no 16-bit alpha. Layout: Microsoft, BITMAPINFOHEADER and BITMAPV4HEADER.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.media.stills.samples import damaged, rows_per_step
from pipeline.media.stills.still import Strip

_FILE_HEADER, _INFO_HEADER, _V3_HEADER = 14, 40, 56
_BIT_FIELDS, _ALPHA_BIT_FIELDS = 3, 6
_WORDS = {16: "<u2", 32: "<u4"}


@dataclass(frozen=True, kw_only=True)
class BitFields:
    """Where the rows begin, lowest row first unless ``is_top_down``, ``bits`` per word, and masks of the samples."""

    start: int
    width: int
    height: int
    bits: int
    is_top_down: bool
    masks: tuple[int, ...]

    @property
    def has_deep_samples(self) -> bool:
        """Whether a sample has more than 8 bits."""
        return any(mask.bit_count() > 8 for mask in self.masks)

    def pixels(self, path: Path) -> Strip:
        """Read R, G and B, and alpha if there is a mask, as uint8, or uint16 if samples are deep. Raises `InputError`.

        The highest code becomes white; the caller must check the size first.
        """
        data = path.read_bytes()
        stride = row_bytes(self.width, self.bits)
        if len(data) < self.start + stride * self.height:
            raise damaged(path, "cannot be decoded: its rows break off")
        rows = np.frombuffer(data, np.uint8, stride * self.height, self.start).reshape(self.height, stride)
        words = rows.view(_WORDS[self.bits])[:, : self.width]
        words = words if self.is_top_down else words[::-1]
        white = 65535 if self.has_deep_samples else 255
        pixels = np.empty((self.height, self.width, len(self.masks)), np.uint16 if self.has_deep_samples else np.uint8)
        step = rows_per_step(self.width)
        for top in range(0, self.height, step):
            for channel, mask in enumerate(self.masks):
                codes = (words[top : top + step] & mask).astype(np.float64)
                pixels[top : top + step, :, channel] = np.rint(codes * (white / mask)) if mask else 0
        return pixels


def row_bytes(width: int, bits: int) -> int:
    """Return the length of a row of ``width`` pixels of ``bits`` bits each: whole 32-bit words."""
    return -(-width * bits // 32) * 4


def bit_fields(path: Path) -> BitFields | None:
    """Return the layout of the samples in the BMP at ``path``; None for other kinds, and for masks with gaps.

    Raises `OSError`.
    """
    with path.open("rb") as file:
        head = file.read(_FILE_HEADER + _V3_HEADER)
    if len(head) < _FILE_HEADER + _V3_HEADER:
        return None
    start, size, width, height, bits, packing = struct.unpack_from("<IIii2xHI", head, 10)
    if size < _INFO_HEADER or packing not in (_BIT_FIELDS, _ALPHA_BIT_FIELDS) or bits not in _WORDS:
        return None
    masks = struct.unpack_from("<4I", head, _FILE_HEADER + _INFO_HEADER)
    has_alpha = masks[3] and (size >= _V3_HEADER or packing == _ALPHA_BIT_FIELDS)
    masks = masks if has_alpha else masks[:3]
    if not any(masks[:3]) or not all(map(_is_whole, masks)) or max(masks) >> bits:
        return None
    return BitFields(start=start, width=width, height=abs(height), bits=bits, is_top_down=height < 0, masks=masks)


def _is_whole(mask: int) -> bool:
    """Return whether the bits of ``mask`` are contiguous."""
    run = mask // (mask & -mask) if mask else 0
    return run & (run + 1) == 0
