"""Check of a finished film and its source by the ffmpeg program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

from pipeline.media.ffmpeg import NotCheckedError, RefusedError, find_program, see_frames, see_streams
from pipeline.media.probe import FilmInfo
from pipeline.media.stream_plan import Action
from pipeline.media.writer import Written
from pipeline.wording import count

T = TypeVar("T")
_NAME = "ffmpeg program"


@dataclass
class Findings:
    """What was checked, what could not be checked and why, and what is wrong, if anything.

    ``times`` are the times of all frames of the result in seconds, empty if it was not decoded.
    """

    checks: dict[str, str] = field(default_factory=dict)
    not_checked: dict[str, str] = field(default_factory=dict)
    times: tuple[Fraction, ...] = ()
    objection: str = ""


def ffmpeg_check(source: FilmInfo, found: FilmInfo, written: Written, *, frames: int) -> Findings:
    """Decode the result ``found`` of ``frames`` frames with the ffmpeg program, and compare streams with ``source``.

    For a lossless result, ``source`` is decoded as well, and luma must be equal, frame by frame.
    """
    findings = Findings()
    try:
        program = find_program()
    except NotCheckedError as error:
        findings.not_checked[_NAME] = str(error)
        return findings
    _frames(findings, program, source, found, written, frames)
    if not findings.objection:
        _streams(findings, program, found, written, frames)
    return findings


def _frames(findings: Findings, program: str, source: FilmInfo, found: FilmInfo, written: Written, frames: int) -> None:
    name = f"{_NAME}: picture"
    seen = _asked(findings, name, lambda: see_frames(program, found.path, found.stream_index, frames=frames))
    if seen is None:
        return
    findings.times = seen.times
    findings.checks[name] = f"decodes {count(len(seen.times), 'frame')} without an error, at the same times"
    if len(seen.times) != frames:
        findings.objection = f"it decodes {len(seen.times)} frames, must be {frames}"
    if not written.video.encoder.is_lossless or findings.objection:
        return
    name = f"{_NAME}: luma"
    if reason := _incomparable(source, written):
        findings.not_checked[name] = reason
        return
    original = _asked(
        findings, name, lambda: see_frames(program, source.path, source.stream_index, frames=frames), is_source=True
    )
    if original is None:
        return
    if original.luma != seen.luma:
        findings.objection = "luma is not that of the source, bit for bit"
    findings.checks[name] = f"bit for bit that of the source, {count(len(seen.luma), 'frame')}"


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


def _streams(findings: Findings, program: str, found: FilmInfo, written: Written, frames: int) -> None:
    name = f"{_NAME}: streams"
    seen = _asked(findings, name, lambda: see_streams(program, found.path, frames=frames))
    if seen is None:
        return
    kinds = [kind for kind, _ in seen]
    carried = [plan.stream for plan in written.streams if plan.action in (Action.COPY, Action.CONVERT)]
    wanted = ["video", *(stream.type for stream in carried)]
    for kind in ("video", "audio", "subtitle"):
        if kinds.count(kind) != wanted.count(kind):
            findings.objection = f"it finds {kinds.count(kind)} {kind} streams, must be {wanted.count(kind)}"
    findings.checks[name] = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def _asked(findings: Findings, name: str, question: Callable[[], T], *, is_source: bool = False) -> T | None:
    try:
        return question()
    except NotCheckedError as error:
        findings.not_checked[name] = str(error)
    except RefusedError as error:
        if is_source:
            findings.not_checked[name] = f"the source: {error}"
        else:
            findings.objection = str(error)
    return None
