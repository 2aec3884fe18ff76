"""What the ffmpeg program has to say about a finished film and its source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

from pipeline.media.ffmpeg import NotCheckedError, RefusedError, find_program, see_frames, see_streams
from pipeline.media.probe import FilmInfo
from pipeline.media.stream_plan import Action
from pipeline.media.writer import Written

T = TypeVar("T")
_NAME = "ffmpeg program"


@dataclass
class Estimate:
    """What was checked and found, what could not be and why, and what is wrong, if anything.

    ``times`` are those of all frames of the result in seconds, empty if it was not decoded.
    """

    checks: dict[str, str] = field(default_factory=dict)
    not_checked: dict[str, str] = field(default_factory=dict)
    times: tuple[Fraction, ...] = ()
    objection: str = ""


def ffmpeg_check(source: FilmInfo, found: FilmInfo, written: Written, *, frames: int) -> Estimate:
    """Let the ffmpeg program decode the result ``found`` of ``frames`` frames, and compare streams with ``source``.

    For a lossless result it decodes ``source`` as well, and luma must be the same, frame by frame.
    """
    estimate = Estimate()
    try:
        program = find_program()
    except NotCheckedError as error:
        estimate.not_checked[_NAME] = str(error)
        return estimate
    _frames(estimate, program, source, found, written, frames)
    if not estimate.objection:
        _streams(estimate, program, found, written, frames)
    return estimate


def _frames(estimate: Estimate, program: str, source: FilmInfo, found: FilmInfo, written: Written, frames: int) -> None:
    name = f"{_NAME}: picture"
    seen = _asked(estimate, name, lambda: see_frames(program, found.path, found.stream_index, frames=frames))
    if seen is None:
        return
    estimate.times = seen.times
    estimate.checks[name] = f"decodes {len(seen.times):,} frames without an error, at the same times"
    if len(seen.times) != frames:
        estimate.objection = f"it decodes {len(seen.times)} frames, must be {frames}"
    if not written.video.encoder.is_lossless or estimate.objection:
        return
    name = f"{_NAME}: luma"
    if reason := _incomparable(source, written):
        estimate.not_checked[name] = reason
        return
    original = _asked(
        estimate, name, lambda: see_frames(program, source.path, source.stream_index, frames=frames), is_source=True
    )
    if original is None:
        return
    if original.luma != seen.luma:
        estimate.objection = "luma is not that of the source, bit for bit"
    estimate.checks[name] = f"bit for bit that of the source, {len(seen.luma):,} frames"


def _incomparable(source: FilmInfo, written: Written) -> str:
    if source.sequence is not None:
        return "the source is a folder of pictures"
    pixels = source.pixel_format
    if pixels.is_rgb or pixels.luma_step != 1 or pixels.is_big_endian or pixels.bits != written.video.pixel_format.bits:
        return f"the source holds luma in another form ({pixels.name})"
    if source.has_crop:
        return "the program cuts the source to its clean aperture"
    if written.video.deinterlaces:
        return "the result is deinterlaced"
    return ""


def _streams(estimate: Estimate, program: str, found: FilmInfo, written: Written, frames: int) -> None:
    name = f"{_NAME}: streams"
    seen = _asked(estimate, name, lambda: see_streams(program, found.path, frames=frames))
    if seen is None:
        return
    kinds = [kind for kind, _ in seen]
    carried = [plan.stream for plan in written.streams if plan.action in (Action.COPY, Action.CONVERT)]
    wanted = ["video", *(stream.type for stream in carried)]
    for kind in ("video", "audio", "subtitle"):
        if kinds.count(kind) != wanted.count(kind):
            estimate.objection = f"it finds {kinds.count(kind)} {kind} streams, must be {wanted.count(kind)}"
    estimate.checks[name] = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def _asked(estimate: Estimate, name: str, question: Callable[[], T], *, is_source: bool = False) -> T | None:
    try:
        return question()
    except NotCheckedError as error:
        estimate.not_checked[name] = str(error)
    except RefusedError as error:
        if is_source:
            estimate.not_checked[name] = f"the source: {error}"
        else:
            estimate.objection = str(error)
    return None
