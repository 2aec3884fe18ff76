"""Small pictures of before and after, for the report."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.color.measures import small_rgb
from pipeline.color.model_input import Turn
from pipeline.color.spaces import F32, Matrix
from pipeline.results import Preview

_SIDE = 256
_QUALITY = 80


def preview(
    label: str,
    luma: F32,
    *,
    before: F32 | None,
    after: F32 | None,
    matrix: Matrix,
    turn: Turn | None = None,
    aspect: float | None = None,
) -> Preview:
    """Return JPEG files, at most 256 pixels a side, of a picture before and after, turned for display.

    ``luma`` (h, w), 0..1, is the small picture; ``before`` and ``after`` (2, h', w'), -0.5..0.5, are Cb and Cr of the
    source and of the result, of any size, None for grey; all in stored orientation, which ``turn`` makes upright.
    ``aspect`` is width over height of the stored picture as shown, if it differs from ``luma``.
    """
    pictures = (_jpeg(small_rgb(luma, chroma, matrix, side=_SIDE, aspect=aspect), turn) for chroma in (before, after))
    return Preview(label=label, before=next(pictures), after=next(pictures))


def _jpeg(rgb: F32, turn: Turn | None) -> bytes:
    upright = (turn or Turn()).upright_rgb(rgb)
    codes: npt.NDArray[np.uint8] = np.rint(upright[..., ::-1] * np.float32(255)).astype(np.uint8)
    made, file = cv2.imencode(".jpg", np.ascontiguousarray(codes), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not made:
        raise RuntimeError(f"a preview of {codes.shape} could not be encoded")
    return file.tobytes()
