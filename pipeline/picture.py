"""One picture of a photograph's file: what it is taken for, what the network sees of it, how it is painted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipeline.color.batching import Coloured
from pipeline.color.measures import doubt, measured
from pipeline.color.neutral import neutral_weight
from pipeline.color.page import beside_page, page
from pipeline.color.painter import Painter
from pipeline.color.sketch import EXIF_TURNS, Sketch
from pipeline.color.spaces import F32, Codes, ColorSpec, RgbSpace, still_spec
from pipeline.color.tone import SourceTone, Treatment, Verdict, evidence, judge, treatment
from pipeline.color.upsampling import Wash, wash
from pipeline.media.stills import ColourModel, Still, Strip, space_for_colour
from pipeline.options import Options
from pipeline.previews import preview
from pipeline.results import Measures, Note, NoteKind, Preview

_JUDGED_SIDE = 64
_PAGE_TINT = 0.02


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture with the verdict on it, what follows from it, and what the network would see of it.

    ``space`` is what its code values mean if not sRGB; the sketch is in sRGB.
    """

    still: Still
    spec: ColorSpec
    space: RgbSpace | None
    verdict: Verdict
    treatment: Treatment
    sketch: Sketch[None]
    doubt: float

    @property
    def is_coloured(self) -> bool:
        """Whether it gets new chroma; otherwise its file, or page, stays as it is."""
        return self.treatment is Treatment.COLOUR_IT

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was assumed about it, where that decided something."""
        if self.still.is_bilevel:
            text = "holds black and white only, which have no room for colour: kept as it is"
        elif self.treatment is Treatment.PASS_THROUGH:
            text = "taken for coloured already: kept as it is"
        elif self.treatment is Treatment.KEEP_TINT:
            text = "taken for tinted: the tint was kept"
        elif self.verdict.tone is SourceTone.TINTED:
            text = "taken for tinted: colour replaced the tint"
        else:
            return ()
        return (Note(NoteKind.ASSUMED, text),)


@dataclass(frozen=True, eq=False)
class Painted:
    """What becomes of a picture: full-size ``strips`` for `write_still`, None where it stays as it is."""

    strips: Iterator[Strip] | None
    measures: Measures
    preview: Preview


def look_at(still: Still, painter: Painter, options: Options) -> Picture:
    """Judge the tone of ``still`` and draw the sketch of it."""
    spec = still_spec(still.bits)
    verdict = _verdict(still, spec)
    what = treatment(verdict, tone=options.tone, treat_as=options.treat_as)
    described = space_for_colour(still.profile)
    space = None if described is None else RgbSpace.of_profile(described.primaries, described.curve)
    sketch = painter.sketch(None, still.luma, spec, size=painter.spec.size.photo, turn=EXIF_TURNS[still.orientation])
    return Picture(
        still=still,
        spec=spec,
        space=space,
        verdict=verdict,
        treatment=Treatment.PASS_THROUGH if still.is_bilevel else what,
        sketch=sketch if space is None else replace(sketch, luma=space.seen(sketch.luma)),
        doubt=doubt(verdict, options.treat_as),
    )


def paint(picture: Picture, answer: F32 | None, *, label: str) -> Painted:
    """Spread the network's ``answer``, ab (2, h, w), over the picture; None leaves it as it is.

    ``label`` is that of the preview.
    """
    still, turn = picture.still, picture.sketch.turn
    luma, chroma, clipped = turn.stored(picture.sketch.luma), still.chroma, 0.0
    strips: Iterator[Strip] | None = None
    if answer is not None:
        shape = answer.shape[1:]
        weight = neutral_weight(picture.sketch.luma, shape) * beside_page(picture.sketch.luma, shape)
        coloured = Coloured(picture.sketch, answer * weight)
        # Spreading carries colour over the edges of prints, hence once more.
        beside = beside_page(luma, luma.shape)
        shown = washed = wash(coloured, picture.spec).times(beside)
        if picture.space is not None:
            washed = wash(coloured, picture.spec, picture.space).times(beside)
        chroma, clipped = shown.small(luma, picture.spec.matrix), washed.clipped
        strips = _strips(washed, picture)
    return Painted(
        strips=strips,
        measures=measured(luma, chroma, picture.spec.matrix, clipped=clipped, doubt=picture.doubt),
        preview=preview(
            label,
            luma,
            before=still.chroma,
            after=chroma,
            matrix=picture.spec.matrix,
            turn=turn,
            aspect=still.width / still.height,
        ),
    )


def _verdict(still: Still, spec: ColorSpec) -> Verdict:
    """Judge the photographs, not the page they are mounted on; a tinted page makes a tinted picture of them."""
    if still.chroma is None:
        return judge([evidence(np.zeros((1, 1), np.float32), None, None)])
    height, width = still.chroma.shape[1:]
    scale = min(1.0, _JUDGED_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    codes: Codes = cv2.resize(still.luma, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    luma = spec.luma(codes)
    chroma = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in still.chroma])
    mounted = page(luma, chroma)
    if mounted is None:
        return judge([evidence(luma, *chroma)])
    # Prints mix with the page along their edges. What is black has no say in the tone.
    around = cv2.dilate(mounted.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    verdict = judge([evidence(np.where(around, np.float32(0), luma), *chroma)])
    strength = float(np.hypot(*(np.median(plane[mounted]) for plane in chroma)))
    if verdict.tone is SourceTone.MONOCHROME and strength > _PAGE_TINT:
        return replace(verdict, tone=SourceTone.TINTED, reason=f"{verdict.reason}, on a tinted page")
    return verdict


def _strips(washed: Wash, picture: Picture) -> Iterator[Strip]:
    """Yield strips of rows (rows, width, 3): luma codes with chroma codes, or R, G and B."""
    still, spec = picture.still, picture.spec
    for first, luma, cb, cr in washed.strips(still.luma, spec, still.luma.shape):
        if still.colour_model is ColourModel.YCBCR:
            codes = still.luma[first : first + len(luma)]
            # Planes in memory: the writer takes them apart again.
            yield np.moveaxis(np.stack([codes, spec.chroma_codes(cb), spec.chroma_codes(cr)]), 0, -1)
        else:
            yield spec.rgb_codes(luma, cb, cr)
