"""Contact sheet: one coloured frame of every shot of a film, as a preview before a long run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from pipeline.color.colorizer import Colorizer, given_or_opened
from pipeline.color.measures import small_rgb
from pipeline.color.model_input import ModelInput
from pipeline.color.shots import find_shots
from pipeline.color.spaces import F32
from pipeline.color.statements import Statement, hints_in
from pipeline.color.temporal import predict_alone
from pipeline.color.triage import judge_shots
from pipeline.color.upsampling import upsample
from pipeline.film.colouring import records
from pipeline.film.frames import FilmFrame, FilmSource, beside, film_source
from pipeline.film.reference_frames import NO_REFERENCES, FilmReferences
from pipeline.film.stated_frames import StatedFrames, stated_frames
from pipeline.film_time import time_text
from pipeline.media.film_plan import plan_film
from pipeline.media.read_log import ReadLog
from pipeline.media.stills import OWN_SYSTEM, AiColour, declare_ai_colour
from pipeline.options import Options
from pipeline.originals import Originals
from pipeline.progress import Progress, Silent, announced
from pipeline.publish import check_target, publishing
from pipeline.results import Treatment

SUFFIXES = (".jpg", ".jpeg")
# The frame shown for a shot: the last with a statement about it, else the last of these that the shot has.
_LOOKED_AT = {0, 12, 48}
_MOST = 240
_SIDE = 320
_TEXT, _GAP = 14, 6
_QUALITY = 90
_COMMENT = "preview: one frame of every shot of a film"


@dataclass(frozen=True, eq=False)
class _Shown:
    """A frame to show: small ``luma`` (h, w), 0..1, and ``chroma`` (2, h, w) if it keeps that of the source.

    ``stated`` are a person's statements about it; ``is_coloured`` tells that it gets new colour.
    """

    label: str
    seen: ModelInput
    luma: F32
    chroma: F32 | None
    stated: tuple[Statement, ...]
    is_coloured: bool


@dataclass(frozen=True, kw_only=True)
class ContactSheet:
    """The finished sheet, which shows ``shown`` of ``shots`` shots, spread evenly."""

    output: Path
    shots: int
    shown: int


def sheet_output(source: Path) -> Path:
    """Return ``film.preview.jpg`` beside ``source``."""
    return beside(source, ".preview.jpg")


def write_contact_sheet(
    source: Path,
    output: Path,
    options: Options,
    *,
    references: FilmReferences = NO_REFERENCES,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
) -> ContactSheet:
    """Write ``output``, JPEG, with a coloured frame of every shot of the film ``source`` and the time of each.

    Every frame is decoded to find the cuts. One frame of each shot is coloured on its own, without the filter along
    time that the film will get, but with the hints and ``references`` for it or for other frames of its scene. Raises
    the errors of `colorize_video`.
    """
    progress, originals = progress or Silent(), Originals((source, *references.paths))
    planned = plan_film(source, options)
    check_target(output, overwrite=options.overwrite, originals=originals)
    film = film_source(planned.info, planned.video, options, references)
    with given_or_opened(colorizer, options, progress=progress) as opened:
        with announced(progress, str(source), planned.info.frame_count, "frames"):
            stated = stated_frames(film, opened)
            shown = list(_shown(film, opened, stated, progress))
        some = shown[:: -(-len(shown) // _MOST) or 1]
        declared = AiColour(system=OWN_SYSTEM, version=opened.weights) if any(one.is_coloured for one in some) else None
        pictures = (_coloured(one, film, opened, stated) for one in some)
        sheet = _sheet([(one.label, picture) for one, picture in zip(some, pictures, strict=True)])
    with publishing(output, overwrite=options.overwrite, originals=originals) as temporary:
        xmp = b"" if declared is None else declare_ai_colour(None, declared)[0]
        sheet.save(temporary, "JPEG", quality=_QUALITY, xmp=xmp, comment=_COMMENT)
    return ContactSheet(output=output, shots=len(shown), shown=len(some))


def _shown(film: FilmSource, colorizer: Colorizer, stated: StatedFrames, progress: Progress) -> Iterator[_Shown]:
    """Yield a frame of every shot, in order."""
    last: _Shown | None = None
    shot, number = -1, 0
    has_references = bool(film.references.paths)
    with closing(film.decode(ReadLog(luma=False))) as decoded:
        frames = find_shots(records(decoded, film, colorizer, stated))
        judged = judge_shots(
            frames, film.tone_evidence, film.options, usual=lambda: film.usual_tone, has_references=has_references
        )
        for record in judged:
            progress.advance(str(film.info.path))
            if record.shot != shot:
                if last is not None:
                    yield last
                last, shot, number = None, record.shot, 0
            if record.statements or (number in _LOOKED_AT and (last is None or not last.stated)):
                last = _looked_at(record, film)
            number += 1
    if last is not None:
        yield last


def _looked_at(record: FilmFrame, film: FilmSource) -> _Shown:
    frame = record.frame
    height, width = frame.luma.shape
    aspect = float(film.info.sample_aspect_ratio) * width / height
    size = (_SIDE, max(1, round(_SIDE / aspect))) if aspect >= 1 else (max(1, round(_SIDE * aspect)), _SIDE)
    luma = film.color_spec.luma(
        np.asarray(cv2.resize(frame.luma, size, interpolation=cv2.INTER_AREA), frame.luma.dtype)
    )
    own = None
    if not record.treatment.is_new:
        own = np.stack(film.small_chroma(frame))
    is_coloured = record.treatment is Treatment.COLOURED
    return _Shown(time_text(frame.timestamp.seconds), record.model_input, luma, own, record.statements, is_coloured)


def _coloured(shown: _Shown, film: FilmSource, colorizer: Colorizer, stated: StatedFrames) -> Image.Image:
    """Return the frame in colour, upright."""
    chroma, matrix = shown.chroma, film.color_spec.matrix
    if chroma is None:
        ab = predict_alone(
            shown.seen,
            colorizer.examine(shown.seen),
            colorizer.prediction_settings(film.options, stated.statements()),
            stated=shown.stated,
        )
        chroma = upsample(shown.seen, ab, film.color_spec, hints=hints_in(shown.stated)).small(shown.luma, matrix)
    rgb = small_rgb(shown.luma, chroma, matrix, side=_SIDE)
    return Image.fromarray(np.rint(shown.seen.turn.upright_rgb(rgb) * 255).astype(np.uint8))


def _sheet(pictures: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    width = max((picture.width for _, picture in pictures), default=_SIDE)
    height = max((picture.height for _, picture in pictures), default=_SIDE)
    columns = max(1, round((len(pictures) * (height + _TEXT + _GAP) / (width + _GAP)) ** 0.5))
    rows = -(-len(pictures) // columns) or 1
    sheet = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + _TEXT + _GAP) + _GAP), (24, 24, 24))
    pen = ImageDraw.Draw(sheet)
    for number, (label, picture) in enumerate(pictures):
        left = _GAP + number % columns * (width + _GAP)
        top = _GAP + number // columns * (height + _TEXT + _GAP)
        sheet.paste(picture, (left + (width - picture.width) // 2, top))
        pen.text((left, top + height), label, fill=(230, 230, 230))
    return sheet
