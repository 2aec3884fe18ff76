"""Read and write bits of entropy-coded data, many at a time. Positions count bits from the first byte's highest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Bits that a window provides, starting at any bit of its first byte.
_PIECE = 32 - 7
# Number of strings whose pieces fit in the cache and take little memory.
_STRINGS_AT_ONCE = 1 << 13


def windows(data: bytes) -> NDArray[np.uint32]:
    """Return, for every byte, that and the next three as one number; beyond the data all bits are ones."""
    return np.ndarray(len(data), ">u4", data + b"\xff\xff\xff", strides=(1,)).astype(np.uint32)


def sixteen_bits(windows: NDArray[np.uint32], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Read the sixteen bits starting at each of the positions (int64, any shape), as numbers.

    Positions beyond the data read its end.
    """
    found: NDArray[np.int64] = windows.take(positions >> 3, mode="clip") << (positions & 7) >> 16 & 65535
    return found


def counted(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0, 1, ... up to each of the numbers: ``[2, 3]`` gives ``[0, 1, 0, 1, 2]``."""
    return np.arange(numbers.sum()) - np.repeat(np.cumsum(numbers) - numbers, numbers)


def joined(
    heads: NDArray[np.int64],
    head_bits: NDArray[np.int64],
    windows: NDArray[np.uint32],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> bytes:
    """Concatenate strings of bits: each a head of up to 25 bits, then the data's from begin to end.

    All arguments are int64 of one length. The last byte is padded with ones.
    """
    sizes = head_bits + ends - begins
    offsets = np.cumsum(sizes) - sizes
    total = int(sizes.sum())
    words = np.zeros(total // 32 + 2, np.int64)
    for first in range(0, len(heads), _STRINGS_AT_ONCE):
        some = slice(first, first + _STRINGS_AT_ONCE)
        _put(words, offsets[some], heads[some], head_bits[some])
        pieces = -(-(ends[some] - begins[some]) // _PIECE)
        into = _PIECE * counted(pieces)
        positions = np.repeat(begins[some], pieces) + into
        bits = np.minimum(np.repeat(ends[some], pieces) - positions, _PIECE)
        values = (windows[positions >> 3] << (positions & 7) & 0xFFFFFFFF) >> 32 - bits
        _put(words, np.repeat(offsets[some] + head_bits[some], pieces) + into, values, bits)
    fill = np.array([-total % 8])
    _put(words, np.array([total]), (1 << fill) - 1, fill)
    return words.astype(">u4").tobytes()[: -(-total // 8)]


def _put(
    words: NDArray[np.int64], offsets: NDArray[np.int64], values: NDArray[np.int64], bits: NDArray[np.int64]
) -> None:
    """Add values of ``bits`` bits each, 0 to 25, to words of 32 bits that are still zero there."""
    shifted = values << 56 - (offsets & 31) - bits
    np.add.at(words, offsets >> 5, shifted >> 24)
    np.add.at(words, (offsets >> 5) + 1, shifted << 8 & 0xFFFFFFFF)
