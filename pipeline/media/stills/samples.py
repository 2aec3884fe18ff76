"""Samples: luma from RGB, unusual bit depths, and strips of rows on their way into a file."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, UnsupportedError
from pipeline.media.stills.still import Plane
from pipeline.os_errors import unreadable
from pipeline.results import Note, NoteKind
from pipeline.sizes import size_within
from pipeline.wording import count

# ITU-R BT.601: the luma of JPEG and of nearly every picture file that does not say otherwise.
LUMA_WEIGHTS = (0.299, 0.587, 0.114)

_STRIP_SAMPLES = 1 << 21
_SMALL_SIDE = 256


def rows_per_step(width: int) -> int:
    """Return the number of rows in a work unit of a few megabytes."""
    return max(1, _STRIP_SAMPLES // max(1, width))


def luma_of_rgb(rgb: NDArray[Any]) -> Plane:
    """Return BT.601 luma (H, W) of full-range ``rgb`` (H, W, 3 or more), uint8 or uint16, rounded to the nearest code.

    Equal R, G and B give exactly that code.
    """
    luma = np.empty(rgb.shape[:2], rgb.dtype)
    step = rows_per_step(rgb.shape[1])
    for top in range(0, rgb.shape[0], step):
        rows = rgb[top : top + step]
        grey = rows[..., 0] * np.float64(LUMA_WEIGHTS[0])
        grey += rows[..., 1] * np.float64(LUMA_WEIGHTS[1])
        grey += rows[..., 2] * np.float64(LUMA_WEIGHTS[2])
        luma[top : top + step] = np.rint(grey).astype(rgb.dtype)
    return luma


def small_chroma(rgb: NDArray[Any]) -> NDArray[np.float32]:
    """Return BT.601 Cb and Cr, (2, h, w), -0.5..0.5, of full-range ``rgb`` (H, W, 3 or more), within 256 x 256."""
    size = small_size(rgb.shape[1], rgb.shape[0])
    small = np.asarray(cv2.resize(np.ascontiguousarray(rgb), size, interpolation=cv2.INTER_AREA), np.float32)
    small /= np.float32(np.iinfo(rgb.dtype).max)
    red, green, blue = (small[..., channel] for channel in range(3))
    luma = LUMA_WEIGHTS[0] * red + LUMA_WEIGHTS[1] * green + LUMA_WEIGHTS[2] * blue
    cb, cr = ((blue - luma) / (2 - 2 * LUMA_WEIGHTS[2])), ((red - luma) / (2 - 2 * LUMA_WEIGHTS[0]))
    return np.stack([cb, cr]).astype(np.float32)


def small_size(width: int, height: int) -> tuple[int, int]:
    """Return (width, height) of a small picture with the same aspect ratio: at most 256 pixels a side."""
    return size_within(_SMALL_SIDE, width, height)


def planes(pixels: NDArray[Any]) -> tuple[Plane, Plane | None, NDArray[np.float32] | None]:
    """Split full-range grey or RGB, alpha last, (H, W) or (H, W, 1 to 4), into luma, alpha and `small_chroma`.

    ``pixels`` are uint8 or uint16. Alpha is None if absent, and so is the chroma of grey.
    """
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    channels = pixels.shape[2]
    alpha = np.ascontiguousarray(pixels[..., -1]) if channels in (2, 4) else None
    if channels < 3:
        return np.ascontiguousarray(pixels[..., 0]), alpha, None
    return luma_of_rgb(pixels), alpha, small_chroma(pixels)


def expand_to_8_bits(codes: NDArray[Any], *, bits: int) -> NDArray[np.uint8]:
    """Scale codes of 1, 2 or 4 ``bits`` to 0..255: exact, as 255 is a multiple of 1, 3 and 15."""
    return (codes.astype(np.uint8) * np.uint8(255 // ((1 << bits) - 1))).astype(np.uint8)


def refuse(path: object, what: str, *, advice: str = "") -> UnsupportedError:
    """Return the error for a kind of picture that is not coloured, with the same wording for all formats."""
    return UnsupportedError(
        f"{path}: {what}", advice=advice or "Save it as 8- or 16-bit grey or RGB TIFF or PNG, and colour that."
    )


def damaged(path: object, what: object) -> InputError:
    """Return the error for a picture that cannot be read, with the same wording for all formats."""
    return InputError(
        f"{path}: {what}",
        advice="Copy it again from its source or a backup. If no copy is better, open it in another program and save "
        "what is left as TIFF.",
    )


def undecodable(path: Path, error: Exception) -> InputError:
    """Return the error with a decoder's message about a picture; Python's messages about a failed decoder help nobody.

    An operating system error about an unreadable disk says nothing about the picture, and is reported as such.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return unreadable(path, error)
    reason = str(error).strip()
    if not reason or isinstance(error, UnicodeError | LookupError | TypeError | ArithmeticError | struct.error):
        reason = "its parts contradict each other"
    return damaged(path, f"cannot be decoded: {reason}")


def trailing(name: str, size: int) -> tuple[Note, ...]:
    """Return a note that bytes after the end of the picture's file format are left behind."""
    text = f"{count(size, 'byte')} after the end of the {name} not carried over"
    return (Note(NoteKind.DROPPED, text),) if size else ()
