"""What a photograph is once it is read, and what a file format must be able to do with one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.media.stills.metadata import Metadata
from pipeline.results import Note

if TYPE_CHECKING:
    from pipeline.media.stills.page import Page
    from pipeline.media.stills.verification import PageCheck

Plane = NDArray[np.uint8 | np.uint16]
Strip = NDArray[np.uint8 | np.uint16]
Carried = TypeVar("Carried")


class ColourModel(StrEnum):
    """What a strip given to `write_still` holds in its last axis.

    YCBCR is full-range BT.601 as JPEG File Interchange Format defines it: Y' first, chroma centred on 128.
    """

    YCBCR = "ycbcr"
    RGB = "rgb"


class StillFormat(ABC):
    """A file format: one object in one module, and one entry in `pipeline.media.stills.registry`.

    ``name`` is for people, ``suffixes`` are in lower case, the usual one first. ``xmp_room`` is how many bytes an XMP
    packet may have, None for any number.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    xmp_room: ClassVar[int | None] = None

    def __str__(self) -> str:
        return self.name

    @property
    def result(self) -> StillFormat:
        """The format that results have: the same, unless it cannot hold what a result carries."""
        return self

    @abstractmethod
    def sniff(self, head: bytes) -> bool:
        """Tell from the first `registry.HEAD` bytes of a file whether it is of this format."""

    @abstractmethod
    def read(self, path: Path, *, pixel_limit: int) -> Still:
        """Decode a file. Raises `InputError`; `UnsupportedError` for a kind that is not coloured."""

    @abstractmethod
    def write(self, path: Path, pages: Sequence[Page]) -> tuple[Note, ...]:
        """Write ``pages``, one of which most formats have, with all that their stills carry.

        Returns what had to be converted or dropped. Raises `OutputError` where the format has no room, OSError.
        """

    @abstractmethod
    def verify(self, path: Path, pages: Sequence[Page]) -> tuple[PageCheck, ...]:
        """Decode the file that ``pages`` were written to, and compare it with them.

        Raises `VerificationError`, or `InputError` where the file cannot even be read.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class Still:
    """One photograph, decoded.

    ``luma``: (H, W), uint8 or uint16, full range, in the pixel order of the file: ``orientation`` (EXIF, 1 to 8) is
    not applied, and stays in the file. ``bits`` is 8 or 16. ``alpha`` has the shape and dtype of ``luma``, or is None;
    several extra samples, which TIFF may have, are (H, W, n).
    ``chroma`` is the source's own, small: BT.601 Cb and Cr, (2, h, w) of at most 256 pixels a side, -0.5..0.5; None
    for a file of grey samples. ``is_bilevel``: there are no samples but black and white. ``further`` holds the other
    pages of a file of several. ``own_rgb`` decodes the source's own R, G and B, (H, W, 3), where the result has
    another format.
    ``carried`` is for the format that writes the result alone (`carried_as`): what it needs beside all this.
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
