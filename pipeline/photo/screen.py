"""A photograph at screen size, recoloured instantly as its corrections change: the network runs only once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from engines.decoding import likely_colours
from engines.network import Prediction
from pipeline.color.colorizer import Colorizer
from pipeline.color.hints import ColorHint, adjustments
from pipeline.color.references import Reference
from pipeline.color.spaces import F32, chroma_and_room, still_spec
from pipeline.color.upsampling import Upsampled, upsample
from pipeline.errors import InputError
from pipeline.media.stills import Still, read_still
from pipeline.options import Options
from pipeline.photo.picture import (
    CalmParts,
    Picture,
    PredictedChroma,
    adjusted_chroma,
    calm_parts,
    keeping_own,
    prepare_picture,
    treatment_of,
)
from pipeline.photo.reference_pictures import predicted_chroma
from pipeline.results import Treatment
from pipeline.sizes import size_within

SIDE = 1280
_QUALITY = 90
_LIKELY = 6
_UNLIKELY = 0.01
_BITS = 8

Rgb = npt.NDArray[np.uint8]


@dataclass(eq=False)
class ScreenPhoto:
    """One page of a photograph, upright, with the network's prediction. Not to be shared between threads.

    ``codes`` (h, w) is the stored luma, 8 bits, sRGB, with at most `SIDE` pixels on its longer side; ``pages`` is the
    number of pages in the file.
    """

    picture: Picture
    codes: Rgb
    prediction: Prediction
    colorizer: Colorizer
    number: int = 1
    pages: int = 1
    _predicted: tuple[Reference | None, PredictedChroma] | None = field(default=None, init=False)

    @cached_property
    def luma(self) -> F32:
        """The luma as displayed, (h, w), 0..1."""
        return self.picture.model_input.turn.upright(still_spec(_BITS).luma(self.codes))

    @cached_property
    def _calm(self) -> CalmParts:
        return calm_parts(self.picture.model_input, self.prediction.ab[0])

    def before(self) -> Rgb:
        """Return the original photograph, (h, w, 3)."""
        chroma, spec = self.picture.still.chroma, still_spec(_BITS)
        if chroma is None:
            return np.repeat(np.rint(self.luma * 255).astype(np.uint8)[..., None], 3, axis=2)
        rows, columns = self.codes.shape
        cb, cr = (np.asarray(cv2.resize(plane, (columns, rows)), np.float32) for plane in chroma)
        return self._upright(np.asarray(spec.rgb_codes(spec.luma(self.codes), cb, cr), np.uint8))

    def is_coloured(self, options: Options) -> bool:
        """Return whether it gets new chroma; otherwise it stays as it is."""
        return treatment_of(self.picture.still, self.picture.verdict, options).is_new

    def after(self, options: Options, reference: Reference | None = None) -> Rgb:
        """Return the result with ``options`` and the colours of ``reference``, (h, w, 3)."""
        if not self.is_coloured(options):
            return self.before()
        picture = replace(self.picture, treatment=Treatment.COLOURED, treat_as=options.treat_as)
        seen, spec = picture.model_input, still_spec(_BITS)
        wanted = adjustments(saturation=options.saturation, hints=options.hints, page=self.number)
        made, beside = adjusted_chroma(seen, self._predicted_with(reference), wanted, self._calm)
        upsampled = upsample(seen, made.ab, spec, hints=wanted.hints, change=made.change).times(beside)
        return self._rgb(keeping_own(upsampled, picture, made))

    def with_chroma(self, ab: F32, hints: Sequence[ColorHint]) -> Rgb:
        """Return the picture with ``ab`` (2, h, w), CIELAB, upright, in place of the network's, (h, w, 3).

        ``hints`` are exact, and have changed ``ab`` already.
        """
        return self._rgb(upsample(self.picture.model_input, ab, still_spec(_BITS), hints=hints))

    def likely_colors(self, x: float, y: float) -> list[str]:
        """Return the colours that the network considers likely at a position, ``#RRGGBB`` at its own lightness."""
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

    def _predicted_with(self, reference: Reference | None) -> PredictedChroma:
        known = self._predicted
        if known is None or known[0] is not reference:
            known = reference, predicted_chroma(self.prediction, self.picture, self.colorizer, reference)
            self._predicted = known
        return known[1]

    def _rgb(self, upsampled: Upsampled) -> Rgb:
        spec = still_spec(_BITS)
        strips = upsampled.strips(self.codes, spec, self.codes.shape)
        return self._upright(np.concatenate([spec.rgb_codes(luma, cb, cr) for _, luma, cb, cr in strips]))

    def _upright(self, stored: npt.NDArray[np.uint8 | np.uint16]) -> Rgb:
        return np.asarray(self.picture.model_input.turn.upright_rgb(stored), np.uint8)


def _place(x: float, y: float, shape: tuple[int, ...]) -> tuple[int, int]:
    return min(int(y * shape[0]), shape[0] - 1), min(int(x * shape[1]), shape[1] - 1)


def _hex(luma: float, ab: F32) -> str:
    spec = still_spec(_BITS)
    plane = np.full((1, 1), luma, np.float32)
    (cb, cr), room = chroma_and_room(plane, np.asarray(ab, np.float32).reshape(2, 1, 1), spec.matrix)
    red, green, blue = spec.rgb_codes(plane, cb * room, cr * room)[0, 0]
    return f"#{red:02X}{green:02X}{blue:02X}"


def open_screen_photo(path: Path, colorizer: Colorizer, *, number: int = 1) -> ScreenPhoto:
    """Read page ``number`` of the photograph at ``path`` and run the network on it. Raises `InputError`."""
    whole = read_still(path)
    stills = (whole, *whole.further)
    if not 1 <= number <= len(stills):
        raise InputError(f"{path}: has no page {number}", advice=f"It has {len(stills)}.")
    still = stills[number - 1]
    if still.is_bilevel:
        raise InputError(f"{path}: holds only black and white, which leaves no room for colour")
    return screen_photo(still, colorizer, number=number, pages=len(stills))


def screen_photo(
    still: Still, colorizer: Colorizer, *, number: int = 1, pages: int = 1, size: int | None = None
) -> ScreenPhoto:
    """Return ``still`` at screen size with the network's prediction, made at ``size`` as in `prepare_picture`."""
    picture = prepare_picture(still, colorizer, Options(), number=number, size=size)
    shown = size_within(SIDE, still.width, still.height)
    codes = cv2.resize(still.luma, shown, interpolation=cv2.INTER_AREA)
    luma = picture.color_spec.luma(np.asarray(codes, still.luma.dtype))
    if picture.space is not None:
        luma = picture.space.seen(luma)
    # Full-size pixels are not held in memory while the photograph is being edited.
    small = np.ascontiguousarray(np.rint(np.clip(luma, 0, 1) * 255), np.uint8)
    picture = replace(picture, still=replace(still, luma=small, alpha=None, further=(), own_rgb=None, carried=None))
    return ScreenPhoto(picture, small, colorizer.examine(picture.model_input), colorizer, number, pages)


def jpeg(picture: Rgb) -> bytes:
    """Encode ``picture`` (h, w, 3) as JPEG with chroma at full size."""
    out = BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=_QUALITY, subsampling=0)
    return out.getvalue()
