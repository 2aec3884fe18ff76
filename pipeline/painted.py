"""The frames of a film on their way: decoded, coloured, painted."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice

import cv2
import numpy as np

from pipeline.color.film import FilmFrame
from pipeline.color.painter import Painter
from pipeline.color.shots import Link
from pipeline.color.sketch import Turn
from pipeline.color.spaces import ColorSpec, resolve_film
from pipeline.color.tone import SourceTone, ToneEvidence, evidence
from pipeline.color.triage import usual_tone
from pipeline.color.upsampling import Wash, wash
from pipeline.media.decode import frames
from pipeline.media.encode import VideoPlan
from pipeline.media.frames import Frame, Plane
from pipeline.media.probe import FilmInfo
from pipeline.media.sampling import sampled
from pipeline.media.tally import Tally
from pipeline.options import Options, TreatAs
from pipeline.stages import ahead

# Less than for photographs: frames are softer, and the network sees more of the scene at once.
_EVIDENCE_SIDE = 64
_SAMPLES = 12
_DEPTH = 4


@dataclass(frozen=True)
class Painted:
    """A frame with its final chroma, and how that came about; ``washed`` is None where it is the source's own."""

    shown: FilmFrame[Frame]
    washed: Wash | None

    @property
    def frame(self) -> Frame:
        """The frame itself."""
        return self.shown.item

    @property
    def begins_shot(self) -> bool:
        """Whether nothing of what was before this frame has to do with what comes from it on."""
        return self.shown.treated.placed.link is Link.CUT


@dataclass(frozen=True)
class FilmSource:
    """A film to colour, and how: everything that decoding and painting must agree on."""

    info: FilmInfo
    plan: VideoPlan
    spec: ColorSpec
    options: Options

    def with_options(self, options: Options) -> FilmSource:
        """Return the same film with other ``options`` for its colours."""
        return replace(self, options=options)

    def decoded(self, tally: Tally) -> Generator[Frame, None, None]:
        """Yield every frame of the film as it is; ``tally`` counts them."""
        return frames(
            self.info,
            self.plan.pixel_format,
            tally=tally,
            on_damage=self.options.on_damage,
            luma_weights=self.spec.matrix.value,
            deinterlace=self.plan.deinterlaces,
        )

    def painted(self, painter: Painter, tally: Tally, *, skip: int = 0) -> Generator[Painted, None, None]:
        """Yield every frame with its new chroma; reading and colouring each run ahead of what comes after.

        The first ``skip`` frames are read and counted, but not coloured and not yielded. If the one after them
        begins a shot, those that are yielded are what they would be otherwise.
        """

        def run_ahead(stage: Generator[Frame, None, None]) -> Generator[Frame, None, None]:
            return ahead(stage, depth=_DEPTH, name="decode", threads=self.options.threads)

        def paint() -> Generator[Painted, None, None]:
            turn = Turn(quarters=-self.info.rotation // 90 % 4)
            aspect = float(self.info.sample_aspect_ratio)
            with closing(run_ahead(self.decoded(tally))) as decoded:
                sketches = (
                    painter.sketch(frame, frame.luma, self.spec, size=painter.spec.size.film, turn=turn, aspect=aspect)
                    for frame in islice(decoded, skip, None)
                )
                usual = self._usual_tone()
                for shown in painter.film(sketches, evidence=self._evidence, options=self.options, usual=usual):
                    yield Painted(shown, self._paint(shown))

        return ahead(paint(), depth=_DEPTH, name="colour", threads=self.options.threads)

    def _paint(self, shown: FilmFrame[Frame]) -> Wash | None:
        frame = shown.item
        if shown.coloured is None:
            frame.keep()
            return None
        washed = wash(shown.coloured, self.spec)
        for part in frame.parts:
            frame.paint(*washed.planes(part.luma, self.spec, part.chroma_shape), lines=part.lines)
        return washed

    def _usual_tone(self) -> SourceTone | None:
        if self.info.pixel_format.is_grey or self.options.treat_as is not TreatAs.AUTO:
            return None
        weights = self.spec.matrix.value
        pictures = sampled(self.info, self.plan.pixel_format, count=_SAMPLES, luma_weights=weights)
        return usual_tone(map(self._evidence, pictures))

    def _evidence(self, frame: Frame) -> ToneEvidence:
        if self.info.pixel_format.is_grey:
            return evidence(np.zeros((1, 1), np.float32), None, None)
        luma, cb, cr = (reduced(plane) for plane in (frame.luma, *frame.chroma))
        return evidence(self.spec.luma(luma), self.spec.chroma(cb), self.spec.chroma(cr))


def film_source(info: FilmInfo, plan: VideoPlan, options: Options) -> FilmSource:
    """Return the film ``info`` with the colours that its tags, or else its size, say it has."""
    spec = resolve_film(
        matrix_tag=info.colors.matrix,
        range_tag=info.colors.range,
        width=info.width,
        height=info.height,
        bits=plan.pixel_format.bits,
        is_grey=info.pixel_format.is_grey,
        is_full_format=info.pixel_format.is_full_range,
    )
    return FilmSource(info, plan, spec, options)


def reduced(plane: Plane) -> Plane:
    """Return a plane of codes (H, W) at no more than 64 pixels a side, by area."""
    scale = min(1.0, _EVIDENCE_SIDE / max(plane.shape))
    size = max(1, round(plane.shape[1] * scale)), max(1, round(plane.shape[0] * scale))
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
