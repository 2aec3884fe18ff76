"""One picture of a photograph: its classification, its model input, and how chroma is written to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.color.album_page import beside_page
from pipeline.color.colorizer import Colorizer
from pipeline.color.hints import Adjusted, Adjustments, Features, adjustments
from pipeline.color.measures import doubt, measured
from pipeline.color.model_input import EXIF_TURNS, ModelInput
from pipeline.color.neutral_areas import neutral_weight
from pipeline.color.previews import preview
from pipeline.color.scan_tone import JUDGED_SIDE, Appears, ScanTone, appearance, scan_tone
from pipeline.color.spaces import F32, Codes, ColorSpec, RgbSpace, still_spec
from pipeline.color.tone import Verdict, evidence, judge, treatment
from pipeline.color.upsampling import Upsampled, upsample
from pipeline.media.stills import (
    BLOCK,
    OWN_SYSTEM,
    ColourModel,
    Still,
    Strip,
    declares_ai_colour,
    is_taken_by_camera,
    space_for_colour,
)
from pipeline.options import Options, TreatAs, hints_in_shares
from pipeline.results import Doubt, Measures, Note, NoteKind, Preview, SourceTone, Treatment
from pipeline.sizes import size_within

_UNSURE = 0.5  # confidence up to which a classification is in doubt


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture with its classification, what follows from that, and its model input.

    ``space`` is the colour space of its code values if not sRGB; the model input is in sRGB. ``is_own`` means that it
    is kept because its metadata says that this program has coloured it.
    """

    still: Still
    color_spec: ColorSpec
    space: RgbSpace | None
    found: ScanTone
    treatment: Treatment
    model_input: ModelInput
    treat_as: TreatAs
    adjustments: Adjustments
    is_own: bool = False

    @property
    def is_coloured(self) -> bool:
        """Whether it gets new chroma; otherwise its file, or page, stays as it is."""
        return self.treatment.is_new

    @property
    def verdict(self) -> Verdict:
        """The classification of its own chroma."""
        return self.found.verdict

    @property
    def own_colour(self) -> F32 | None:
        """Where it keeps its own colour although it gets new chroma elsewhere: float32 (h, w), 0..1."""
        return self.found.coloured_part if self.is_coloured and self.treat_as is TreatAs.AUTO else None

    @property
    def doubt(self) -> Doubt | None:
        """Why its treatment should be checked, and what it may be instead; None if there is no doubt."""
        verdict = self.verdict
        is_decided = self.still.is_bilevel or self.is_own or self.treat_as is not TreatAs.AUTO
        if is_decided or self.treatment is Treatment.TINT_KEPT:
            return None
        if self.own_colour is not None:
            return Doubt(reason=f"coloured on a small part, {_share(self.found)} of it", instead=SourceTone.COLOUR)
        if verdict.confidence > _UNSURE:
            return None
        if self.is_coloured:
            return Doubt(reason="its own colours may have been replaced", instead=SourceTone.COLOUR)
        return Doubt(reason="may be a toned print, not coloured yet", instead=SourceTone.TINTED)

    @property
    def notes(self) -> tuple[Note, ...]:
        """Assumptions made about it that decided something."""
        if self.is_own:
            text = "a result of Autochrome: kept as it is; --treat-as monochrome colours it again"
        elif self.still.is_bilevel:
            text = "holds only black and white, which leaves no room for colour: kept as it is"
        elif self.treatment is Treatment.KEPT:
            text = "taken for coloured already: kept as it is"
        elif self.treatment is Treatment.TINT_KEPT:
            text = "taken for tinted: the tint was kept"
        elif self.verdict.tone is SourceTone.TINTED:
            text = f"taken for tinted: {'grey' if self.treatment is Treatment.GREY else 'colour'} replaced the tint"
        elif self.doubt is not None:
            text = "taken for monochrome"
        else:
            return ()
        if self.own_colour is not None:
            text += f"; a part that has colour ({_share(self.found)} of the picture) keeps it"
        if self.doubt is not None:
            text += f"; in doubt ({self.doubt.reason}): {self.doubt.reverse} decides otherwise"
        return (Note(NoteKind.ASSUMED, text),)


@dataclass(frozen=True, eq=False)
class PredictedChroma:
    """The network's prediction for a picture: ``ab`` (2, h, w), and its ``features``, if hints need them."""

    ab: F32
    features: Features | None = None


@dataclass(frozen=True, eq=False)
class PictureResult:
    """The outcome for a picture: full-size ``strips`` for `write_still`, or None if it stays as it is.

    ``fine`` are the blocks in which colours are exact, as `Page` takes them; None if there are no hints.
    """

    strips: Iterator[Strip] | None
    fine: npt.NDArray[np.bool_] | None
    measures: Measures
    preview: Preview


def upright_size(still: Still) -> tuple[int, int]:
    """Return (width, height) of ``still`` as displayed."""
    is_turned = EXIF_TURNS[still.orientation].quarters % 2
    return (still.height, still.width) if is_turned else (still.width, still.height)


def prepare_picture(
    still: Still, colorizer: Colorizer, options: Options, *, number: int = 1, size: int | None = None
) -> Picture:
    """Classify the tone of ``still``, page ``number`` of its file, and make its model input.

    ``size`` is the shorter side of the model input, by default the network's own for photographs.
    """
    spec = still_spec(still.bits)
    turn = EXIF_TURNS[still.orientation]
    found = _judged(still, spec, appearance(turn) if options.treat_as is TreatAs.AUTO else None)
    hints = hints_in_shares(options.hints, {number: upright_size(still)}, source=still.path)
    space = space_of(still)
    model_input = colorizer.model_input(still.luma, spec, size=size or colorizer.spec.size.photo, turn=turn)
    return Picture(
        still=still,
        color_spec=spec,
        space=space,
        found=found,
        treatment=treatment_of(still, found.verdict, options),
        model_input=model_input if space is None else replace(model_input, luma=space.seen(model_input.luma)),
        treat_as=options.treat_as,
        adjustments=adjustments(saturation=options.saturation, hints=hints, page=number),
        is_own=_is_own(still, options),
    )


def treatment_of(still: Still, verdict: Verdict, options: Options) -> Treatment:
    """Return how ``still``, whose chroma was classified as ``verdict``, is treated with ``options``."""
    return Treatment.KEPT if still.is_bilevel or _is_own(still, options) else treatment(verdict, options)


def _is_own(still: Still, options: Options) -> bool:
    return options.treat_as is TreatAs.AUTO and declares_ai_colour(still.metadata.xmp, OWN_SYSTEM)


def paint(picture: Picture, predicted: PredictedChroma | None, *, label: str) -> PictureResult:
    """Apply the ``predicted`` chroma to the picture at full size; None leaves it as it is.

    ``label`` is that of the preview.
    """
    still, turn = picture.still, picture.model_input.turn
    luma, chroma, clipped = turn.stored(picture.model_input.luma), still.chroma, 0.0
    strips: Iterator[Strip] | None = None
    fine = None
    if predicted is not None:
        calm = calm_parts(picture.model_input, predicted.ab)
        made, beside = adjusted_chroma(picture.model_input, predicted, picture.adjustments, calm)
        upsampled_in = partial(
            upsample,
            picture.model_input,
            made.ab,
            picture.color_spec,
            hints=picture.adjustments.hints,
            change=made.change,
        )
        shown = upsampled = keeping_own(upsampled_in().times(beside), picture, made)
        if picture.space is not None:
            upsampled = keeping_own(upsampled_in(picture.space).times(beside), picture, made)
        chroma, clipped = shown.small(luma, picture.color_spec.matrix), upsampled.clipped
        strips = _strips(upsampled, picture)
        fine = None if upsampled.exact is None else upsampled.exact.squares(BLOCK, *still.luma.shape)
    unsure = doubt(picture.verdict, picture.treat_as)
    return PictureResult(
        strips=strips,
        fine=fine,
        measures=measured(luma, chroma, picture.color_spec.matrix, clipped=clipped, doubt=unsure),
        preview=preview(
            label,
            luma,
            before=still.chroma,
            after=chroma,
            matrix=picture.color_spec.matrix,
            turn=turn,
            aspect=still.width / still.height,
        ),
    )


@dataclass(frozen=True, eq=False)
class CalmParts:
    """Areas without the network's colour: ``weight`` (h, w) of its prediction, ``beside`` of the stored model input."""

    weight: F32
    beside: F32


def calm_parts(picture: ModelInput, predicted: F32) -> CalmParts:
    """Return the areas of ``picture`` that stay neutral whatever a person asks for, for ``predicted`` ab (2, h, w)."""
    shape = predicted.shape[1:]
    luma = picture.turn.stored(picture.luma)
    return CalmParts(
        weight=neutral_weight(picture.luma, shape) * beside_page(picture.luma, shape),
        beside=beside_page(luma, luma.shape),
    )


def adjusted_chroma(
    picture: ModelInput, predicted: PredictedChroma, wanted: Adjustments, calm: CalmParts
) -> tuple[Adjusted, F32]:
    """Return the ``predicted`` chroma with neutral areas removed and a person's adjustments applied.

    The second value is a factor for the upsampled chroma, 0..1, in the file's orientation: upsampling carries colour
    across the edges of prints onto the page, where only a hint may put it.
    """
    made = wanted.applied(predicted.ab * calm.weight, picture.luma, predicted.features)
    height, width = picture.luma.shape
    stated = np.asarray(cv2.resize(made.share, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return made, np.maximum(calm.beside, picture.turn.stored(stated))


def keeping_own(upsampled: Upsampled, picture: Picture, made: Adjusted) -> Upsampled:
    """Return ``upsampled`` with the picture's own colour where that is kept, except where hints ``made`` another."""
    own, chroma = picture.own_colour, picture.still.chroma
    if own is None or chroma is None:
        return upsampled
    rows, columns = own.shape
    stated = cv2.resize(picture.model_input.turn.stored(made.share), (columns, rows), interpolation=cv2.INTER_LINEAR)
    return upsampled.keeping(chroma, own * (1 - np.asarray(stated, np.float32)))


def space_of(still: Still) -> RgbSpace | None:
    """Return the colour space of the code values of ``still``; None for sRGB and for profiles that define none."""
    described = space_for_colour(still.metadata.profile)
    return None if described is None else RgbSpace.of_profile(described.primaries, described.curve)


def _judged(still: Still, spec: ColorSpec, appears: Appears | None) -> ScanTone:
    if still.chroma is None:
        return ScanTone(judge([evidence(np.zeros((1, 1), np.float32), None, None)]))
    height, width = still.chroma.shape[1:]
    size = size_within(JUDGED_SIDE, width, height)
    codes: Codes = cv2.resize(still.luma, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    chroma = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in still.chroma])
    by_camera = is_taken_by_camera(still.metadata.exif)
    return scan_tone(spec.luma(codes), chroma, by_camera=by_camera, appears=appears)


def _share(found: ScanTone) -> str:
    return f"{max(0.1, 100 * found.coloured_share):.1f} %"


def _strips(upsampled: Upsampled, picture: Picture) -> Iterator[Strip]:
    """Yield strips of rows (rows, width, 3): luma codes with chroma codes, or R, G and B."""
    still, spec = picture.still, picture.color_spec
    for first, luma, cb, cr in upsampled.strips(still.luma, spec, still.luma.shape):
        if still.colour_model is ColourModel.YCBCR:
            codes = still.luma[first : first + len(luma)]
            # Planar in memory: the writer separates the planes again.
            yield np.moveaxis(np.stack([codes, spec.chroma_codes(cb), spec.chroma_codes(cr)]), 0, -1)
        else:
            yield spec.rgb_codes(luma, cb, cr)
