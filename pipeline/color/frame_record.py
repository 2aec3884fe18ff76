"""One record per frame of a film, which gathers what is known of it on its way from luma to chroma.

A stage is a generator that takes records and yields the same records, one to one and in order; it sets the fields that
are its own, may read a bounded number of frames ahead, and makes no threads. What needs no frame after the one that it
is given is no stage, but a function; what is part of a stage is an object with ``push``, which returns the records that
are ready. Whoever takes records off the last stage counts them by ``index`` (`pipeline.film.shot_records.ShotLog`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

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
    """How a frame hangs together with the frame before it."""

    CUT = "cut"
    """First frame of the film, or first frame after a cut."""
    SAME = "same"
    """Same shot."""
    BLEND = "blend"
    """Inside a dissolve or a fade: both shots are visible, or neither."""


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class FrameRecord:
    """What is known of one frame. A field is absent until the stage that sets it has passed.

    ``index`` counts the frames of the film from 0; ``weight`` is how many bytes the frame holds while it waits.
    """

    index: int
    model_input: ModelInput
    weight: int = 0

    # Set by `pipeline.color.shots.find_shots`.
    thumbnail: Thumbnail = field(init=False)
    change: float = field(init=False)
    """How unlike the frame before it in its shot: about 0 to 1."""
    blend_reach: int = field(init=False)
    """Above 0 where it looks like the middle of a dissolve whose ends are so many frames away."""
    shot: int = field(init=False)
    """Numbered from 0; in a dissolve or fade the number changes once, at the middle."""
    link: Link = field(init=False)

    # Set by `pipeline.color.triage.judge_shots`: one verdict for a shot, and what follows from it.
    verdict: Verdict = field(init=False)
    treatment: Treatment = field(init=False)

    statements: tuple[Statement, ...] = ()
    """What a person states about this frame."""

    # Set by `pipeline.color.temporal.predict_chroma`, of frames that are coloured.
    step: Step | None = field(init=False, default=None)
    """The optical flow from the frame before it; None for the first of a shot."""
    prediction: Estimate | None = field(init=False, default=None)
    """What the network's answer came to (`key_frame_answers`), where it was asked."""
    estimate: Estimate = field(init=False)
    """What that and all earlier frames of the shot say."""
    ab: F32 | None = field(init=False, default=None)
    """The final chroma (2, h / stride, w / stride), CIELAB, upright; None where the source's own stays."""

    # Set by `pipeline.film.frames.paint`.
    upsampled: Upsampled | None = field(init=False, default=None)


Record = TypeVar("Record", bound=FrameRecord)
