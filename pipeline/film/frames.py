"""A film to colour: its frames are decoded and reduced for the network, and in the end upsampled and written."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from pipeline.color.colorizer import Colorizer
from pipeline.color.frame_record import FrameRecord, Link
from pipeline.color.model_input import ModelInput, Turn
from pipeline.color.spaces import F32, ColorSpec, resolve_film
from pipeline.color.statements import Statement
from pipeline.color.tone import ToneEvidence, evidence
from pipeline.color.triage import usual_tone
from pipeline.color.upsampling import upsample
from pipeline.film.reference_frames import NO_REFERENCES, FilmReferences
from pipeline.media.decode import frames
from pipeline.media.frames import Frame, Plane
from pipeline.media.probe import ColorTags, FilmInfo
from pipeline.media.read_log import ReadLog
from pipeline.media.sampling import sampled
from pipeline.media.video_plan import VideoPlan
from pipeline.options import Options, TreatAs, hints_in_shares
from pipeline.originals import is_folder
from pipeline.results import SourceTone
from pipeline.sizes import size_within

# Less than for photographs: frames are softer, and the network sees more of the scene at once.
_EVIDENCE_SIDE = 64
_SAMPLES = 12
# Start of the declaration in the metadata of every result, in a comment or a separate tag.
DECLARATION = "Colour made by artificial intelligence: Autochrome"
# Its replacement if every shot kept its colours; must be no longer than the declaration.
NO_NEW_COLOUR = "The source's own colours, kept: Autochrome"


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class FilmFrame(FrameRecord):
    """Record of a frame with the frame itself at full size: its luma is final, its chroma will be written."""

    frame: Frame

    @property
    def begins_shot(self) -> bool:
        """Whether the frames from this one on are independent of the frames before it."""
        return self.link is Link.CUT


@dataclass(frozen=True)
class FilmSource:
    """A film to colour and its settings: everything that decoding, colouring and encoding must agree on.

    ``is_own`` tells that the film declares itself a result of this program, so it is treated as coloured.
    ``elsewhere`` are statements about frames that it does not have, if it is a part of another film.
    """

    info: FilmInfo
    plan: VideoPlan
    color_spec: ColorSpec
    options: Options
    references: FilmReferences = NO_REFERENCES
    is_own: bool = False
    elsewhere: tuple[Statement, ...] = ()

    @property
    def colors(self) -> ColorTags:
        """Colour tags of the result: those of the source, plus the assumed ones, with which the chroma was made."""
        matrix = self.color_spec.matrix_tag if self.color_spec.assumed_matrix else self.info.colors.matrix
        return replace(self.info.colors, matrix=matrix, range=self.color_spec.range_tag)

    def decode(self, read_log: ReadLog) -> Generator[Frame, None, None]:
        """Yield every frame of the film unchanged; ``read_log`` counts them."""
        return frames(
            self.info,
            self.plan.pixel_format,
            read_log=read_log,
            on_damage=self.options.on_damage,
            luma_weights=self.color_spec.matrix.value,
            deinterlace=self.plan.deinterlaces,
        )

    def record(self, index: int, frame: Frame, colorizer: Colorizer) -> FilmFrame:
        """Return the record of decoded frame number ``index``, with its model input."""
        luma = frame.luma
        return FilmFrame(index=index, model_input=self.model_input(luma, colorizer), weight=luma.nbytes, frame=frame)

    def model_input(self, luma: Plane, colorizer: Colorizer) -> ModelInput:
        """Return the model input for a frame's ``luma`` (H, W)."""
        return colorizer.model_input(
            luma,
            self.color_spec,
            size=colorizer.spec.size.film,
            turn=self._turn,
            aspect=float(self.info.sample_aspect_ratio),
        )

    def model_shape(self, colorizer: Colorizer) -> tuple[int, int]:
        """Return rows and columns of the upright model inputs."""
        size, width = colorizer.spec.size, self.info.width * float(self.info.sample_aspect_ratio)
        rows, columns = size.shape(size.film, width=width, height=self.info.height)
        return (columns, rows) if self._turn.quarters % 2 else (rows, columns)

    @property
    def _turn(self) -> Turn:
        return Turn(quarters=-self.info.rotation // 90 % 4)

    @cached_property
    def usual_tone(self) -> SourceTone | None:
        """The tone of most of the film, by a few frames from all over it; None if unclear or not needed."""
        if self.info.pixel_format.is_grey or self.options.treat_as is not TreatAs.AUTO:
            return None
        weights = self.color_spec.matrix.value
        pictures = sampled(self.info, self.plan.pixel_format, count=_SAMPLES, luma_weights=weights)
        return usual_tone(map(self._evidence, pictures))

    def tone_evidence(self, record: FilmFrame) -> ToneEvidence:
        """Return the evidence on tone in the frame's own chroma, before it is overwritten."""
        return self._evidence(record.frame)

    def _evidence(self, frame: Frame) -> ToneEvidence:
        if self.info.pixel_format.is_grey:
            return evidence(np.zeros((1, 1), np.float32), None, None)
        return evidence(self.color_spec.luma(reduced(frame.luma)), *self.small_chroma(frame))

    def small_chroma(self, frame: Frame) -> list[F32]:
        """Return the frame's own Cb and Cr, each (h, w), -0.5..0.5, at most 64 pixels a side."""
        return [self.color_spec.chroma(reduced(plane)) for plane in frame.chroma]


def paint(record: FilmFrame, spec: ColorSpec) -> None:
    """Write a frame's chroma, upsampled along its luma; without new chroma, that of the source is kept."""
    if record.ab is None:
        record.frame.keep()
        return
    record.upsampled = upsample(record.model_input, record.ab, spec, hints=record.hints)
    for area in record.frame.paint_areas:
        planes = record.upsampled.planes(area.luma, spec, area.chroma_shape)
        record.frame.paint(*planes, lines=area.lines)


def film_source(
    info: FilmInfo, plan: VideoPlan, options: Options, references: FilmReferences = NO_REFERENCES
) -> FilmSource:
    """Return the film ``info`` with its colour specification from its tags, or else from its size.

    A result of this program is not coloured again, unless ``options`` say how to treat it.
    """
    spec = resolve_film(
        matrix_tag=info.colors.matrix,
        range_tag=info.colors.range,
        width=info.width,
        height=info.height,
        bits=plan.pixel_format.bits,
        is_grey=info.pixel_format.is_grey,
        is_full_format=info.pixel_format.is_full_range,
    )
    is_own = options.treat_as is TreatAs.AUTO and any(text.startswith(DECLARATION) for text in info.metadata.values())
    if is_own:
        options = replace(options, treat_as=TreatAs.COLOUR)
    hints = hints_in_shares(options.hints, {1: upright_size(info)}, source=info.path)
    return FilmSource(info, plan, spec, replace(options, hints=hints), references, is_own)


def upright_size(info: FilmInfo) -> tuple[int, int]:
    """Return width and height, in pixels, of a film's frames as shown."""
    return (info.height, info.width) if info.rotation // 90 % 2 else (info.width, info.height)


def beside(source: Path, suffix: str) -> Path:
    """Return the path of ``source``, a film or a folder of pictures, with its suffix replaced by ``suffix``."""
    whole = source if source.name not in ("", "..") else source.resolve()
    return whole.with_name(f"{whole.name if is_folder(whole) else whole.stem}{suffix}")


def reduced(plane: Plane) -> Plane:
    """Reduce a plane of codes (H, W) to at most 64 pixels a side, by area."""
    size = size_within(_EVIDENCE_SIDE, plane.shape[1], plane.shape[0])
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
