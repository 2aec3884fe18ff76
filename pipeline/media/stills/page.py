"""One page on its way into a file, and a record of what was handed over, to compare the finished file with."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.media.stills.metadata import Metadata, for_result
from pipeline.media.stills.still import ColourModel, Still, Strip
from pipeline.media.stills.xmp import AiColour
from pipeline.results import Note

# Points a side at which lossy chroma is compared.
_GRID = 512


class Page:
    """A page to write: ``strips`` of new samples, or None where it stays as it is, bytes of its pixels included.

    Strips are full-size (rows, W, 3) arrays of the dtype of ``still.luma``, from top to bottom, together H rows, in
    ``still.colour_model``. Iterating raises ValueError if they do not fit: a fault of the program.
    """

    def __init__(self, still: Still, strips: Iterator[Strip] | None, declared: AiColour | None = None) -> None:
        """Take over the strips; ``declared`` is written to XMP beside new colours, None leaves XMP as it was."""
        self.still = still
        self.declared = declared
        self.is_kept = strips is None
        step = max(1, math.ceil(max(still.luma.shape) / _GRID))
        self.grid_rows, self.grid_columns = (_spread(size, step) for size in still.luma.shape)
        self._digest = hashlib.sha256()
        self._points: list[Strip] = []
        self.strips = iter(()) if strips is None else self._checked(strips)

    @cached_property
    def metadata(self) -> tuple[Metadata, tuple[Note, ...]]:
        """What the written page must carry, and what there is to say about it."""
        return for_result(self.still.metadata, self.declared, xmp_room=self.still.format.result.xmp_room)

    @property
    def digest(self) -> bytes:
        """SHA-256 of all R, G and B samples that were handed over."""
        return self._digest.digest()

    @property
    def points(self) -> NDArray[np.uint8 | np.uint16]:
        """The samples at ``grid_rows`` and ``grid_columns``, (rows, columns, 3)."""
        return np.concatenate(self._points)

    def strips_with_alpha(self) -> Iterator[Strip]:
        """Pass on the strips, with the extra samples of the photograph behind the three."""
        top = 0
        alpha = self.still.alpha
        for strip in self.strips:
            if alpha is None:
                yield strip
            else:
                rows = alpha[top : top + len(strip)]
                rows = rows if rows.ndim == 3 else rows[..., None]
                yield np.concatenate((strip, rows), axis=2)
            top += len(strip)

    def whole(self) -> Strip:
        """Return all strips as one array (H, W, 3)."""
        pixels: Strip = np.empty((*self.still.luma.shape, 3), self.still.luma.dtype)
        top = 0
        for strip in self.strips:
            pixels[top : top + len(strip)] = strip
            top += len(strip)
        return pixels

    def _checked(self, strips: Iterator[Strip]) -> Iterator[Strip]:
        still, top = self.still, 0
        for strip in strips:
            if strip.ndim != 3 or strip.shape[1:] != (still.width, 3) or strip.dtype != still.luma.dtype:
                raise ValueError(
                    f"strip {strip.shape} {strip.dtype} does not fit {still.luma.shape} {still.luma.dtype}"
                )
            if top + len(strip) > still.height:
                raise ValueError(f"strips go beyond row {still.height}")
            self._record(top, strip)
            yield strip
            top += len(strip)
        if top != still.height:
            raise ValueError(f"strips end at row {top} of {still.height}")

    def _record(self, top: int, strip: Strip) -> None:
        if self.still.colour_model is ColourModel.RGB:
            self._digest.update(np.ascontiguousarray(strip).data)
            return
        rows = self.grid_rows[(self.grid_rows >= top) & (self.grid_rows < top + len(strip))] - top
        self._points.append(strip[rows][:, self.grid_columns])


def _spread(size: int, step: int) -> NDArray[np.int64]:
    """Places from the first to the last, ``step`` apart."""
    return np.unique(np.append(np.arange(0, size, step), size - 1))
