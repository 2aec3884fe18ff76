"""Shots are found where they were made, and only there: hand-made sequences with known cuts, flashes and blends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import pytest

from pipeline.color.frame_record import FrameRecord, Link
from pipeline.color.model_input import ModelInput
from pipeline.color.shots import find_shots
from tests.pipeline.color.scenes import pan, passing, texture

LENGTH = 30


def placed(frames: Sequence[np.ndarray], **more: int) -> list[FrameRecord]:
    return list(find_shots(records(frames), **more))


def records(frames: Sequence[np.ndarray]) -> Iterator[FrameRecord]:
    return (FrameRecord(index=n, model_input=ModelInput(frame)) for n, frame in enumerate(frames))


def cuts(found: Sequence[FrameRecord]) -> list[int]:
    return [frame.index for frame in found if frame.link is Link.CUT]


def blended(found: Sequence[FrameRecord]) -> list[int]:
    return [frame.index for frame in found if frame.link is Link.BLEND]


def still(seed: int, count: int = LENGTH) -> list[np.ndarray]:
    picture = texture(seed, width=192)
    return [picture.copy() for _ in range(count)]


def shaken(frames: Sequence[np.ndarray], *, seed: int = 0) -> list[np.ndarray]:
    """Flicker of 15 %, grain, and a gate that lets the film jump by a few pixels."""
    rng = np.random.default_rng(seed)
    made = []
    for frame in frames:
        jump = np.float32([[1, 0, rng.normal(0, 1.5)], [0, 1, rng.normal(0, 1.5)]])
        moved = cv2.warpAffine(frame, jump, frame.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        worn = moved * rng.uniform(0.85, 1.15) + rng.normal(0, 0.05, frame.shape)
        made.append(np.clip(worn, 0, 1).astype(np.float32))
    return made


SCENES = {
    "still pictures": [still(1), still(2), still(3)],
    "camera moves": [pan(LENGTH, speed=2, seed=4), pan(LENGTH, speed=3, seed=5)[::-1], still(6)],
    "things move": [passing(LENGTH, speed=4), still(7), pan(LENGTH, speed=2, seed=8)],
    "short shots": [still(9, 3), still(10, 4), still(11, 12), still(12, 5)],
}


@pytest.mark.few(2)
@pytest.mark.parametrize("worn", [False, True])
@pytest.mark.parametrize("name", SCENES)
def test_every_cut_is_found_and_no_other(name: str, *, worn: bool) -> None:
    scene = SCENES[name]
    frames = [frame for shot in scene for frame in shot]
    starts = np.cumsum([0, *(len(shot) for shot in scene)])[:-1].tolist()
    found = placed(shaken(frames) if worn else frames)
    assert cuts(found) == starts
    assert [frame.index for frame in found] == list(range(len(frames)))
    assert [frame.shot for frame in found] == [n for n, shot in enumerate(scene) for _ in shot]


@pytest.mark.few(2)
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("level", [0.02, 0.98])
def test_a_flash_or_a_dark_gap_is_no_cut(level: float, length: int) -> None:
    frames = shaken(pan(2 * LENGTH, speed=2))
    for n in range(LENGTH, LENGTH + length):
        frames[n] = frames[n] * np.float32(0.05) + np.float32(level * 0.95)
    assert cuts(placed(frames)) == [0]


def test_a_frame_of_blots_is_no_cut() -> None:
    frames = still(1, 2 * LENGTH)
    frames[LENGTH] = texture(99, width=192)
    assert cuts(placed(frames)) == [0]


@pytest.mark.few(2)
@pytest.mark.parametrize("speed", [1, 5, 12])
def test_a_moving_camera_cuts_nothing(speed: int) -> None:
    assert cuts(placed(pan(40, speed=speed))) == [0]


@pytest.mark.few(2)
@pytest.mark.parametrize("length", [8, 12, 20])
def test_a_dissolve_is_blended_and_changes_shots_once(length: int) -> None:
    before, after = pan(LENGTH + length, speed=1, seed=20), pan(LENGTH + length, speed=1, seed=21)[::-1]
    shares = np.linspace(0, 1, length + 2, dtype=np.float32)[1:-1]
    mixed = [(1 - s) * a + s * b for s, a, b in zip(shares, before[LENGTH:], after, strict=False)]
    found = placed([*before[:LENGTH], *mixed, *after[length:]])
    assert cuts(found) == [0]
    middle = LENGTH + length // 2
    assert {middle - 1, middle, middle + 1} <= set(blended(found))
    assert [frame.shot for frame in found[:LENGTH]] == [0] * LENGTH
    assert [frame.shot for frame in found[LENGTH + length :]] == [1] * LENGTH
    assert min(blended(found)) >= LENGTH - 9
    assert max(blended(found)) < LENGTH + length + 9


def test_a_fade_through_black_changes_shots_once_without_a_cut() -> None:
    ramp = np.linspace(1, 0, 10, dtype=np.float32)
    black = [np.zeros((128, 192), np.float32)] * 6
    first, second = still(1, LENGTH), still(2, LENGTH)
    frames = [*first, *(first[0] * s for s in ramp), *black, *(second[0] * s for s in ramp[::-1]), *second]
    found = placed(frames)
    assert cuts(found) == [0]
    assert found[0].shot == 0
    assert {frame.shot for frame in found[-LENGTH:]} == {1}
    assert set(range(LENGTH + 10, LENGTH + 16)) <= set(blended(found))


def test_another_shape_is_a_cut() -> None:
    small = [frame[:96] for frame in still(1)]
    assert cuts(placed([*still(1), *small])) == [0, LENGTH]


@pytest.mark.few(1)
@pytest.mark.parametrize("look_ahead", [12, 24])
def test_what_is_found_after_a_cut_does_not_depend_on_what_was_before(look_ahead: int) -> None:
    shots = [shaken(passing(LENGTH, speed=4)), shaken(pan(25, speed=3, seed=30)), shaken(still(31, 20)), still(32, 9)]
    frames = [frame for shot in shots for frame in shot]
    whole = placed(frames, look_ahead=look_ahead)
    for start in cuts(whole)[1:]:
        alone = placed(frames[start:], look_ahead=look_ahead)
        assert [frame.link for frame in alone] == [frame.link for frame in whole[start:]]
        assert [frame.shot for frame in alone] == [frame.shot - whole[start].shot for frame in whole[start:]]


def test_no_more_than_the_look_ahead_is_read_before_a_frame_comes_out() -> None:
    read = 0

    def counted() -> Iterator[FrameRecord]:
        nonlocal read
        for frame in records(still(1, 60)):
            read += 1
            yield frame

    for number, _ in enumerate(find_shots(counted(), look_ahead=16)):
        assert read <= number + 1 + 16


def test_too_short_a_look_ahead_is_refused() -> None:
    with pytest.raises(ValueError, match="12"):
        placed(still(1), look_ahead=11)
