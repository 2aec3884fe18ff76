"""Verify a finished file against what was handed to its writer: decoded whole, sample by sample, block by block.

A result gets its name only after this, so every check must hold for every sound file: bounds are proved, not tuned.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import VerificationError
from pipeline.media.stills.metadata import Metadata
from pipeline.media.stills.samples import luma_of_rgb, rows_per_step
from pipeline.media.stills.still import BLOCK, Page, PageCheck
from pipeline.results import LumaCheck, Proof

# Luma of rounded R, G and B differs at most by this from the luma they were made for.
_ROUNDING = 1
# Error of integer transforms and sample rounding, in addition to quantisation (ITU-T T.83 allows less).
_TRANSFORM = 1.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """One page of a finished file as decoded by its own reader.

    ``pixels``: (H, W, 3 and extra samples), R, G and B; for JPEG, Y', Cb and Cr.
    """

    pixels: NDArray[Any]
    orientation: int
    metadata: Metadata


def verify_lossless(path: Path, page: Page, found: Found) -> PageCheck:
    """Compare a page of R, G and B, written losslessly: every sample must equal the one handed over.

    Raises `VerificationError`.
    """
    still = page.still
    _check_shape(path, page, found)
    digest = hashlib.sha256()
    step = rows_per_step(still.width)
    for top in range(0, still.height, step):
        digest.update(np.ascontiguousarray(found.pixels[top : top + step, :, :3]).data)
    if digest.digest() != page.digest:
        raise failed(path, "its samples are not those that were made")
    if still.alpha is not None:
        extra = found.pixels[..., 3:]
        if not np.array_equal(extra[..., 0] if still.alpha.ndim == 2 else extra, still.alpha):
            raise failed(path, "its alpha channel is not that of the source")
    luma = _luma_check(luma_of_rgb(found.pixels), still.luma)
    if luma.max_error > _ROUNDING:
        raise failed(path, f"its luma is off by {luma.max_error} codes")
    return PageCheck(luma, {"picture": _picture(page), "samples": "each as it was made", **_blocks(path, page, found)})


def verify_ycbcr(
    path: Path, page: Page, found: Found, *, luma_table: tuple[int, ...] | None, chroma_table: tuple[int, ...]
) -> PageCheck:
    """Compare a page of Y', Cb and Cr, coded with these quantisation tables; ``luma_table`` None: luma carried over.

    By Parseval's theorem the squared error of a block is at most the sum of (q / 2)^2 over its table: the root mean
    square over 64 samples is then at most sqrt(sum of q^2) / 16, in each block. Raises `VerificationError`.
    """
    still = page.still
    _check_shape(path, page, found)
    luma = _luma_check(found.pixels[..., 0], still.luma)
    if luma_table is None and luma.max_error:
        raise failed(path, f"its luma is off by {luma.max_error} codes, and was to be carried over")
    if luma_table is not None and luma.psnr_db is not None:
        error = 255 / 10 ** (luma.psnr_db / 20)
        if error > quantisation_error(luma_table):
            raise failed(path, f"its luma is off by {error:.1f} codes, root mean square: more than its table allows")
    error, allowed = _worst_block(page, found), quantisation_error(chroma_table)
    if error > allowed:
        text = f"its chroma is off by {error:.1f} codes, root mean square, in one block: more than its table allows"
        raise failed(path, text)
    chroma = f"within {error:.1f} codes, root mean square, of what was made; its quantisation allows {allowed:.1f}"
    return PageCheck(luma, {"picture": _picture(page), "chroma": chroma, **_blocks(path, page, found)})


def _worst_block(page: Page, found: Found) -> float:
    """Return the largest error of chroma in a block, root mean square in codes; what a block lacks counts as none."""
    points = found.pixels[page.grid_rows][:, page.grid_columns, 1:].astype(np.float32)
    squares = np.square(points - page.points[..., 1:])
    for axis, positions in enumerate((page.grid_rows, page.grid_columns)):
        squares = np.add.reduceat(squares, np.flatnonzero(positions % BLOCK == 0), axis=axis)
    return math.sqrt(float(squares.max())) / BLOCK


def quantisation_error(table: tuple[int, ...]) -> float:
    """Return the largest root mean square error, in codes, that a table of 64 quantisation steps can cause."""
    return math.sqrt(sum(step * step for step in table)) / 16 + _TRANSFORM


def failed(path: Path, what: str) -> VerificationError:
    """Return the error of a result whose verification failed."""
    return VerificationError(
        f"{path}: the finished result failed verification: {what}",
        advice="It was not given its name, and the source is untouched. Run it again; if it fails again, test memory "
        "and disk, and report it.",
    )


def _check_shape(path: Path, page: Page, found: Found) -> None:
    still = page.still
    extra = 0 if still.alpha is None else 1 if still.alpha.ndim == 2 else still.alpha.shape[2]
    wanted = (*still.luma.shape, 3 + extra)
    if found.pixels.shape != wanted or found.pixels.dtype != still.luma.dtype:
        raise failed(path, f"it holds {found.pixels.shape} {found.pixels.dtype}, not {wanted} {still.luma.dtype}")
    if found.orientation != still.orientation:
        raise failed(path, f"its orientation is {found.orientation}, not {still.orientation}")


def _luma_check(found: NDArray[Any], wanted: NDArray[Any]) -> LumaCheck:
    top = float(np.iinfo(wanted.dtype).max)
    squares, largest = 0.0, 0
    step = rows_per_step(wanted.shape[1])
    for row in range(0, wanted.shape[0], step):
        error = found[row : row + step].astype(np.int32) - wanted[row : row + step]
        largest = max(largest, int(np.abs(error).max()))
        squares += float(np.einsum("ij,ij->", error, error, dtype=np.float64))
    bits = 8 * wanted.dtype.itemsize
    if not largest:
        return LumaCheck(proof=Proof.EXACT, frames=1, bits=bits)
    psnr = 10 * math.log10(top * top * wanted.size / squares)
    return LumaCheck(proof=Proof.MEASURED, frames=1, bits=bits, psnr_db=psnr, worst_psnr_db=psnr, max_error=largest)


def _picture(page: Page) -> str:
    still = page.still
    return f"decoded whole, {still.width} x {still.height}, {still.bits} bits"


def _blocks(path: Path, page: Page, found: Found) -> dict[str, str]:
    """Compare profile, EXIF, XMP and all other blocks with those that the page must carry."""
    wanted, _ = page.metadata
    if found.metadata.profile != wanted.profile:
        raise failed(path, "its ICC profile is not the one it must have")
    if found.metadata.exif != wanted.exif:
        raise failed(path, "its EXIF is not that of the source")
    if found.metadata.xmp != wanted.xmp:
        raise failed(path, "its XMP is not the one it must have")
    if missing := wanted.missing(found.metadata):
        raise failed(path, f"{', '.join(missing)} of the source {'is' if len(missing) == 1 else 'are'} not in it")
    checks = {}
    if wanted.profile is not None:
        is_same = wanted.profile == page.still.metadata.profile
        checks["ICC profile"] = "that of the source" if is_same else "made from that of the source, for colour"
    if wanted.exif is not None:
        checks["EXIF"] = "that of the source"
    if wanted.xmp is not None:
        checks["XMP"] = "that of the source" if page.declared is None else "declares AI colour"
    if wanted.other:
        checks["metadata"] = f"{len(wanted.other)} further blocks as in the source"
    return checks
