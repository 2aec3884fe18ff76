"""Shots are judged one by one, and in doubt by what most of the film is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.color.frame_record import FrameRecord, Link
from pipeline.color.model_input import ModelInput
from pipeline.color.tone import ToneEvidence, evidence, judge
from pipeline.color.triage import judge_shots, usual_tone
from pipeline.options import Options, Tone, TreatAs
from pipeline.results import SourceTone, Treatment
from tests.pipeline.color.test_tone import SEPIA, coloured, scene, toned

GREY = evidence(scene(), np.zeros_like(scene()), np.zeros_like(scene()))
SEPIA_TONED = evidence(*toned(scene(), SEPIA))
COLOURED = evidence(*coloured())
DARK = evidence(np.zeros((192, 256), np.float32), *(np.zeros((192, 256), np.float32) for _ in range(2)))
FADED = (evidence(*coloured(chroma=float(chroma))) for chroma in np.linspace(0.02, 0.4, 20))
DOUBTFUL = next(seen for seen in FADED if 0 < judge([seen] * 9).confidence < 0.4)


@dataclass(eq=False, kw_only=True)
class Seen(FrameRecord):
    seen: ToneEvidence


def judged(
    *shots: Sequence[ToneEvidence], options: Options | None = None, usual: SourceTone | None = None
) -> list[Seen]:
    return list(judge_shots(records(*shots), lambda frame: frame.seen, options or Options(), usual=lambda: usual))


def records(*shots: Sequence[ToneEvidence]) -> Iterator[Seen]:
    picture = ModelInput(np.zeros((2, 2), np.float32))
    for number, shot in enumerate(shots):
        for place, seen in enumerate(shot):
            frame = Seen(index=0, model_input=picture, seen=seen)
            frame.shot, frame.link = number, Link.SAME if place else Link.CUT
            yield frame


def runs(frames: Sequence[Seen]) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for frame in frames:
        seen = frame.shot, frame.treatment.value
        if not found or found[-1] != seen:
            found.append(seen)
    return found


def test_every_shot_has_its_own_verdict_and_frames_stay_in_order() -> None:
    frames = judged([GREY] * 20, [COLOURED] * 3, [SEPIA_TONED] * 12, [GREY])
    assert runs(frames) == [(0, "coloured"), (1, "kept as it is"), (2, "coloured"), (3, "coloured")]
    assert [frame.verdict.tone for frame in frames[23:35]] == [SourceTone.TINTED] * 12
    assert len(frames) == 36


def test_a_tint_is_kept_if_asked_for() -> None:
    frames = judged([SEPIA_TONED] * 9, options=Options(tone=Tone.KEEP))
    assert {frame.treatment for frame in frames} == {Treatment.TINT_KEPT}


def test_a_shot_that_begins_in_the_dark_is_judged_when_there_is_light() -> None:
    frames = judged([DARK] * 30 + [COLOURED] * 10)
    assert {frame.treatment for frame in frames[-9:]} == {Treatment.KEPT}


def test_the_user_overrules_the_evidence() -> None:
    frames = judged([COLOURED] * 9, options=Options(treat_as=TreatAs.MONOCHROME))
    assert {frame.treatment for frame in frames} == {Treatment.COLOURED}


def test_a_doubtful_shot_is_what_most_of_the_film_is() -> None:
    for usual in SourceTone:
        assert {frame.verdict.tone for frame in judged([DOUBTFUL] * 9, usual=usual)} == {usual}


@pytest.mark.parametrize("usual", list(SourceTone))
def test_a_clear_shot_is_what_it_is_whatever_the_film(usual: SourceTone) -> None:
    frames = judged([GREY] * 9, [COLOURED] * 9, usual=usual)
    assert frames[0].verdict.tone is SourceTone.MONOCHROME
    assert frames[-1].verdict.tone is SourceTone.COLOUR


def test_the_film_is_not_sampled_for_shots_that_are_clear() -> None:
    asked = list[None]()
    list(
        judge_shots(
            records([GREY] * 9, [COLOURED]), lambda frame: frame.seen, Options(), usual=lambda: asked.append(None)
        )
    )
    assert not asked


def test_the_usual_tone_of_a_film() -> None:
    assert usual_tone([COLOURED] * 9 + [DARK] * 9 + [GREY] * 2) is SourceTone.COLOUR
    assert usual_tone([SEPIA_TONED] * 8) is SourceTone.TINTED
    assert usual_tone([COLOURED] * 5 + [GREY] * 5) is None
    assert usual_tone([COLOURED] * 3) is None
    assert usual_tone([]) is None
