"""Model inputs: the small upright luma pictures that the network sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from engines.tensors import InputSize
from pipeline.color.spaces import F32, Codes, ColorSpec

Sample = TypeVar("Sample", bound=np.generic)


@dataclass(frozen=True)
class Turn:
    """How stored pixels become an upright picture: mirrored left to right first, then turned clockwise."""

    mirrored: bool = False
    quarters: int = 0

    def upright(self, stored: F32) -> F32:
        """Turn an array whose last two axes are stored rows and columns."""
        picture = stored[..., ::-1] if self.mirrored else stored
        return np.ascontiguousarray(np.rot90(picture, -self.quarters, axes=(-2, -1)))

    def upright_rgb(self, stored: npt.NDArray[Sample]) -> npt.NDArray[Sample]:
        """Turn a picture (h, w, 3)."""
        picture = stored[:, ::-1] if self.mirrored else stored
        return np.ascontiguousarray(np.rot90(picture, -self.quarters))

    def stored(self, upright: F32) -> F32:
        """Undo `upright`."""
        picture = np.rot90(upright, self.quarters, axes=(-2, -1))
        return np.ascontiguousarray(picture[..., ::-1] if self.mirrored else picture)

    def stored_place(self, x: float, y: float) -> tuple[float, float]:
        """Return the stored position of (x, y), both shares of the width and height, 0..1, of the upright picture."""
        for _ in range(self.quarters):
            x, y = y, 1 - x
        return 1 - x if self.mirrored else x, y


# EXIF 2.32, tag 274.
EXIF_TURNS = {
    1: Turn(),
    2: Turn(True, 0),
    3: Turn(False, 2),
    4: Turn(True, 2),
    5: Turn(True, 3),
    6: Turn(False, 1),
    7: Turn(True, 1),
    8: Turn(False, 3),
}


@dataclass(frozen=True)
class ModelInput:
    """A picture to colour: ``luma`` (h, w), 0..1, sRGB code values, upright; ``turn`` is how the source is turned.

    ``aspect`` is the width of the stored picture over its height, as displayed, if not that of ``luma``: networks may
    take only some sizes, or only squares.
    """

    luma: F32
    turn: Turn = Turn()
    aspect: float | None = None

    @property
    def stored_sides(self) -> tuple[float, float]:
        """Height and width of the stored picture, as displayed, in units of the shorter."""
        rows, columns = self.luma.shape[:: -1 if self.turn.quarters % 2 else 1]
        aspect = columns / rows if self.aspect is None else self.aspect
        return max(1, 1 / aspect), max(1, aspect)


def model_input(
    codes: Codes, spec: ColorSpec, *, size: InputSize, short: int, turn: Turn | None = None, aspect: float = 1.0
) -> ModelInput:
    """Reduce a luma plane (H, W) to a model input of a size the network takes, its shorter side ``short`` pixels.

    ``aspect`` is the width of a stored pixel over its height. See `engines.tensors.InputSize.shape`.
    """
    turn = turn or Turn()
    rows, columns = codes.shape
    small = _reduced(codes, size.shape(short, width=columns * aspect, height=rows))
    return ModelInput(turn.upright(spec.luma(small)), turn, columns * aspect / rows)


def _reduced(codes: Codes, shape: tuple[int, int]) -> Codes:
    """Reduce ``codes`` to ``shape`` (rows, columns) by averaging, first by halving, which is fast."""
    reduced = codes
    while all(side % 2 == 0 and side >= 2 * least for side, least in zip(reduced.shape, shape, strict=True)):
        size = reduced.shape[1] // 2, reduced.shape[0] // 2
        reduced = cv2.resize(reduced, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return cv2.resize(reduced, shape[::-1], interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
