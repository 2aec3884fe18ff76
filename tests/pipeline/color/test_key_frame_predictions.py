"""The network runs where it must, and not more often."""

from itertools import pairwise

import pytest

from pipeline.color.key_frame_predictions import KeyFrames
from pipeline.color.optical_flow import Follower, Step, view
from pipeline.color.spaces import F32
from tests.pipeline.color.scenes import STRIDE, pan, texture


def steps(frames: list[F32]) -> list[Step | None]:
    views = [view(frame, stride=STRIDE) for frame in frames]
    follower = Follower()
    return [None, *(follower.step(before, after) for before, after in pairwise(views))]


STILL = steps([texture(1, width=192)] * 20)


@pytest.mark.parametrize(("every", "asked"), [(1, list(range(20))), (4, [0, 4, 8, 12, 16]), (6, [0, 6, 12, 18])])
def test_each_nth_frame_is_asked_for(every: int, asked: list[int]) -> None:
    keys = KeyFrames(every)
    assert [number for number, step in enumerate(STILL) if keys.is_next(step)] == asked


def test_a_still_shot_needs_few_answers_but_not_none() -> None:
    keys = KeyFrames(None)
    assert [number for number, step in enumerate(STILL) if keys.is_next(step)] == [0, 8, 16]


def test_fast_motion_needs_more_answers_than_a_still_shot() -> None:
    keys = KeyFrames(None)
    assert sum(keys.is_next(step) for step in steps(pan(20, speed=12))) > 3


@pytest.mark.parametrize("every", [12, None])
def test_a_picture_that_cannot_be_followed_is_asked_for_at_once(every: int | None) -> None:
    keys = KeyFrames(every)
    frames = [texture(1, width=192)] * 3 + [texture(2, width=192)] * 3
    assert [number for number, step in enumerate(steps(frames)) if keys.is_next(step)] == [0, 3]


def test_the_last_frame_of_a_shot_is_asked_for() -> None:
    keys = KeyFrames(8)
    assert [number for number, step in enumerate(STILL[:12]) if keys.is_next(step, last=number == 11)] == [0, 8, 11]


def test_frames_of_a_dissolve_are_all_asked_for() -> None:
    keys = KeyFrames(8)
    asked = [number for number, step in enumerate(STILL[:12]) if keys.is_next(step, blending=3 <= number < 6)]
    assert asked == [0, 3, 4, 5]
