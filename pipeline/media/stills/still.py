"""A photograph once read, the pages written for it, and the interface that a file format implements for both."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.media.stills.metadata import Metadata, for_result
from pipeline.media.stills.xmp import AiColour
from pipeline.results import LumaCheck, Note

Plane = NDArray[np.uint8 | np.uint16]
Strip = NDArray[np.uint8 | np.uint16]
Carried = TypeVar("Carried")

# Points per side at which lossy chroma is compared, in whole blocks of JPEG.
_GRID, BLOCK = 512, 8


class ColourModel(StrEnum):
    """The last axis of a strip given to `write_still`.

    YCBCR is full-range BT.601 as defined by the JPEG File Interchange Format: Y' first, chroma centred on 128.
    """

    YCBCR = "ycbcr"
    RGB = "rgb"


class StillFormat(ABC):
    """A file format: one object in one module, and one entry in `pipeline.media.stills.registry`.

    ``name`` is for people, ``suffixes`` are in lower case, the usual one first. ``xmp_room`` is the maximum size of an
    XMP packet in bytes, None for no limit.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    xmp_room: ClassVar[int | None] = None

    def __str__(self) -> str:
        return self.name

    @property
    def result(self) -> StillFormat:
        """The format of results: the same, unless it cannot hold what a result carries."""
        return self

    @abstractmethod
    def sniff(self, head: bytes) -> bool:
        """Return whether a file with these first `registry.HEAD` bytes is of this format."""

    @abstractmethod
    def read(self, path: Path, *, pixel_limit: int) -> Still:
        """Decode a file. Raises `InputError`; `UnsupportedError` for a kind that is not coloured."""

    @abstractmethod
    def write(self, path: Path, pages: Sequence[Page]) -> tuple[Note, ...]:
        """Write ``pages``, of which most formats have one, with everything their stills carry.

        Returns what had to be converted or dropped. Raises `OutputError` if the format has no room, OSError.
        """

    @abstractmethod
    def verify(self, path: Path, pages: Sequence[Page]) -> tuple[PageCheck, ...]:
        """Decode the file to which ``pages`` were written, and compare it with them.

        Raises `VerificationError`, or `InputError` if the file cannot even be read.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class Still:
    """One photograph, decoded.

    ``luma``: (H, W), uint8 or uint16, full range, in the pixel order of the file: ``orientation`` (EXIF, 1 to 8) is
    not applied, and stays in the file. ``bits`` is 8 or 16. ``alpha`` has the shape and dtype of ``luma``, or is None;
    several extra samples, which TIFF may have, are (H, W, n).
    ``chroma`` is the source's own, small: BT.601 Cb and Cr, (2, h, w) of at most 256 pixels per side, -0.5..0.5; None
    for a file of grey samples. ``is_bilevel``: all samples are black or white. ``further`` holds the other pages of a
    multi-page file. ``own_rgb`` decodes the source's own R, G and B, (H, W, 3), if the result has another format.
    ``carried`` is only for the format that writes the result (`carried_as`): all further data that it needs.
    """

    path: Path
    format: StillFormat
    luma: Plane
    orientation: int
    colour_model: ColourModel
    alpha: Plane | None
    notes: tuple[Note, ...]
    metadata: Metadata
    carried: object = None
    chroma: NDArray[np.float32] | None = None
    is_bilevel: bool = False
    further: tuple[Still, ...] = ()
    own_rgb: Callable[[], Strip] | None = None

    @property
    def bits(self) -> int:
        """Bits of a sample, 8 or 16."""
        return 8 * int(self.luma.dtype.itemsize)

    @property
    def height(self) -> int:
        """Rows of the stored picture, before orientation."""
        return int(self.luma.shape[0])

    @property
    def width(self) -> int:
        """Columns of the stored picture, before orientation."""
        return int(self.luma.shape[1])

    def carried_as(self, kind: type[Carried]) -> Carried:
        """Return what the writing format left here. Raises TypeError if another one did."""
        if not isinstance(self.carried, kind):
            raise TypeError(f"{self.path}: carries {type(self.carried).__name__}, not {kind.__name__}")
        return self.carried


class Page:
    """A page to write, with a record of what was handed over, for comparison with the finished file.

    ``file_digest`` is set by lossy writers: the SHA-256 of the whole file as they wrote it.
    ``strips`` of new samples, or None if it stays unchanged, including the bytes of its pixels. ``fine`` are the blocks
    of `BLOCK` x `BLOCK` samples, (rows, columns), whose chroma lossy writers store more finely.

    Strips are full-size (rows, W, 3) arrays of the dtype of ``still.luma``, from top to bottom, H rows in total, in
    ``still.colour_model``. Iterating raises ValueError if they do not fit: a fault of the program.
    """

    def __init__(
        self,
        still: Still,
        strips: Iterator[Strip] | None,
        declared: AiColour | None = None,
        *,
        fine: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take ownership of the strips; ``declared`` is written to XMP beside new colours, None leaves XMP alone."""
        self.still = still
        self.declared = declared
        self.fine = fine
        self.is_kept = strips is None
        self.file_digest: bytes | None = None
        step = max(1, math.ceil(max(still.luma.shape) / _GRID))
        self.grid_rows, self.grid_columns = (_spread(size, step) for size in still.luma.shape)
        self._digest = hashlib.sha256()
        self._points: list[Strip] = []
        self.strips = iter(()) if strips is None else self._checked(strips)

    @cached_property
    def metadata(self) -> tuple[Metadata, tuple[Note, ...]]:
        """The metadata that the written page must carry, and notes about it."""
        return for_result(self.still.metadata, self.declared, xmp_room=self.still.format.result.xmp_room)

    @property
    def digest(self) -> bytes:
        """SHA-256 of all R, G and B samples that were handed over."""
        return self._digest.digest()

    @property
    def points(self) -> NDArray[np.uint8 | np.uint16]:
        """The samples at ``grid_rows`` and ``grid_columns``, whole blocks of 8 x 8, (rows, columns, 3)."""
        return np.concatenate(self._points)

    def strips_with_alpha(self) -> Iterator[Strip]:
        """Forward the strips, with the extra samples of the photograph after the three."""
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


@dataclass(frozen=True)
class PageCheck:
    """What was compared in one page, by name, and the difference of its luma from the source's."""

    luma: LumaCheck
    checks: Mapping[str, str]


def _spread(size: int, step: int) -> NDArray[np.int64]:
    """Return the positions in every ``step``-th run of `BLOCK`, and in the last, which may be shorter."""
    starts = np.unique(np.append(np.arange(0, size, step * BLOCK), (size - 1) // BLOCK * BLOCK))
    positions = (starts[:, None] + np.arange(BLOCK)).reshape(-1)
    return positions[positions < size]
