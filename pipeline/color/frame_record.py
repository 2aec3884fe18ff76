"""The record of a film frame, which collects everything known about it between luma and chroma.

A stage is a generator that takes records and yields the same records, one to one and in order; it sets its own fields,
may read a bounded number of frames ahead, and starts no threads. Processing that needs no later frames is a function,
not a stage; part of a stage is an object with ``push``, which returns the records that are ready. The consumer of the
last stage checks the records by ``index`` (`pipeline.film.shot_records.ShotLog`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from pipeline.color.hints import ColorHint
from pipeline.color.model_input import ModelInput
from pipeline.color.optical_flow import Step
from pipeline.color.similarity import Thumbnail
from pipeline.color.spaces import F32
from pipeline.color.statements import Statement
from pipeline.color.temporal_filter import Estimate
from pipeline.color.tone import Verdict
from pipeline.color.upsampling import Upsampled
from pipeline.results import Treatment


class Link(Enum):
    """How a frame is related to the frame before it."""

    CUT = "cut"
    """First frame of the film, or first frame after a cut."""
    SAME = "same"
    """Same shot."""
    BLEND = "blend"
    """Inside a dissolve or a fade: both shots are visible, or neither."""


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class FrameRecord:
    """Everything known about one frame. A field is absent until a stage has set it.

    ``index`` counts the frames of the film from 0; ``weight`` is the number of bytes held while the frame waits.
    """

    index: int
    model_input: ModelInput
    weight: int = 0

    # Set by `pipeline.color.shots.find_shots`.
    thumbnail: Thumbnail = field(init=False)
    change: float = field(init=False)
    """Difference from the frame before it in its shot: about 0 to 1."""
    blend_reach: int = field(init=False)
    """Distance in frames to the ends of a dissolve of which this looks like the middle, else 0."""
    shot: int = field(init=False)
    """Numbered from 0; in a dissolve or fade the number changes once, at the middle."""
    link: Link = field(init=False)

    # Set by `pipeline.color.triage.judge_shots`: one verdict for a shot, and the resulting treatment.
    verdict: Verdict = field(init=False)
    treatment: Treatment = field(init=False)

    statements: tuple[Statement, ...] = ()
    """A person's statements about this frame."""

    # Set by `pipeline.color.temporal.predict_chroma`, for frames to be coloured.
    step: Step | None = field(init=False, default=None)
    """Optical flow from the frame before it; None for the first of a shot."""
    prediction: Estimate | None = field(init=False, default=None)
    """Estimate from the prediction (`key_frame_predictions`), for key frames."""
    estimate: Estimate = field(init=False)
    """Estimate from this and all earlier frames of the shot."""
    ab: F32 | None = field(init=False, default=None)
    """The final chroma (2, h / stride, w / stride), CIELAB, upright; None if that of the source is kept."""

    hints: tuple[ColorHint, ...] = ()
    """The hints of its statements, and those of frames close by, carried along the motion."""

    # Set by `pipeline.film.frames.paint`.
    upsampled: Upsampled | None = field(init=False, default=None)


Record = TypeVar("Record", bound=FrameRecord)
