"""A photograph at the size of a screen, recoloured at once as its corrections change: the network is asked once."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from engines.decoding import likely_colours
from engines.network import Prediction
from pipeline.color.colorizer import Colorizer
from pipeline.color.hints import adjustments
from pipeline.color.spaces import F32, chroma_and_room, still_spec
from pipeline.color.upsampling import upsample
from pipeline.corrections import Correction
from pipeline.errors import InputError
from pipeline.media.stills import read_still
from pipeline.options import Options, TreatAs
from pipeline.photo.page import Picture, adjusted_answer, look_at
from pipeline.results import Treatment

SIDE = 1280
_QUALITY = 90
_LIKELY = 6
_UNLIKELY = 0.01
_BITS = 8

Rgb = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ScreenPhoto:
    """One page of a photograph, upright, with what the network said of it.

    ``luma`` (h, w), 0..1 in sRGB, has at most `SIDE` pixels on its longer side.
    """

    picture: Picture
    luma: F32
    prediction: Prediction

    def before(self) -> Rgb:
        """Return the photograph without colour, (h, w, 3)."""
        grey = np.asarray(np.rint(self.luma * 255), np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)

    def after(self, correction: Correction, options: Options) -> Rgb:
        """Return the photograph as it would come out with ``correction`` over ``options``, (h, w, 3)."""
        wanted = correction.applied(options)
        picture, spec = self.picture.model_input, still_spec(_BITS)
        asked = adjustments(saturation=wanted.saturation, hints=wanted.hints)
        ab, beside = adjusted_answer(picture, self.prediction.ab[0], asked)
        upsampled = upsample(picture, ab, spec).times(beside)
        turn = picture.turn
        stored = np.ascontiguousarray(np.rint(turn.stored(self.luma) * 255), np.uint8)
        strips = [spec.rgb_codes(luma, cb, cr) for _, luma, cb, cr in upsampled.strips(stored, spec, stored.shape)]
        whole = np.concatenate(strips)
        planes = [turn.upright(np.asarray(whole[..., channel], np.float32)) for channel in range(3)]
        return np.asarray(np.stack(planes, axis=-1), np.uint8)

    def likely_colors(self, x: float, y: float) -> list[str]:
        """Return the colours that the network thinks likely at a place, ``#RRGGBB`` at the place's own lightness.

        ``x`` and ``y`` are shares of width and height. The likeliest comes first; none where the network does not say.
        """
        evidence = self.prediction.evidence
        if evidence is None:
            return []
        row, column = _place(x, y, evidence.logits.shape[2:])
        there = np.ascontiguousarray(evidence.logits[:1, :, row : row + 1, column : column + 1])
        colors, shares = likely_colours(there, evidence.centres, count=_LIKELY)
        luma = self.luma[_place(x, y, self.luma.shape)]
        found = [
            _hex(luma, colors[0, number, :, 0, 0]) for number in range(_LIKELY) if shares[0, number, 0, 0] > _UNLIKELY
        ]
        return list(dict.fromkeys(found))


def _place(x: float, y: float, shape: tuple[int, ...]) -> tuple[int, int]:
    return min(int(y * shape[0]), shape[0] - 1), min(int(x * shape[1]), shape[1] - 1)


def _hex(luma: float, ab: F32) -> str:
    spec = still_spec(_BITS)
    plane = np.full((1, 1), luma, np.float32)
    (cb, cr), room = chroma_and_room(plane, np.asarray(ab, np.float32).reshape(2, 1, 1), spec.matrix)
    red, green, blue = spec.rgb_codes(plane, cb * room, cr * room)[0, 0]
    return f"#{red:02X}{green:02X}{blue:02X}"


def open_screen_photo(path: Path, colorizer: Colorizer) -> ScreenPhoto:
    """Read the photograph at ``path`` and ask the network about its first page. Raises `InputError`."""
    still = read_still(path)
    picture = look_at(still, colorizer, Options(treat_as=TreatAs.MONOCHROME))
    if picture.treatment is not Treatment.COLOUR_IT:
        raise InputError(f"{path}: holds black and white only, which have no room for colour")
    height, width = still.luma.shape
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    codes = cv2.resize(still.luma, size, interpolation=cv2.INTER_AREA)
    luma = picture.spec.luma(np.asarray(codes, still.luma.dtype))
    if picture.space is not None:
        luma = picture.space.seen(luma)
    return ScreenPhoto(
        picture, np.clip(picture.model_input.turn.upright(luma), 0, 1), colorizer.examine(picture.model_input)
    )


def jpeg(picture: Rgb) -> bytes:
    """Return ``picture`` (h, w, 3) as JPEG, chroma at full size."""
    out = BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=_QUALITY, subsampling=0)
    return out.getvalue()
