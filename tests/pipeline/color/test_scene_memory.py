"""Evidence is put together before one colour is chosen, and a scene comes back in the colours that it had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from engines.decoding import compressed
from engines.network import Prediction
from pipeline.color.frame_record import FrameRecord, Link
from pipeline.color.key_frame_predictions import PredictionSettings
from pipeline.color.model_input import ModelInput
from pipeline.color.prototypes import Prototypes
from pipeline.color.scene_memory import SceneMemory
from pipeline.color.temporal import Scenes, smoothed
from tests.pipeline.color.scenes import STRIDE, WIDTH, box, box_chroma, flat, pan, texture, told

RED, GREEN, BROWN, BLUE = flat(50, 20), flat(-40, 30), flat(15, 25), flat(0, -50)


def coloured(
    shots: Sequence[Sequence[np.ndarray]],
    says: Callable[[int, np.ndarray], Prediction],
    *,
    memory: SceneMemory | None = None,
    first: int = 0,
    every: int | None = None,
) -> tuple[list[np.ndarray], SceneMemory]:
    """Return the chroma of all frames, and the memory after them."""
    frames: list[FrameRecord] = []
    for shot in shots:
        for number, luma in enumerate(shot):
            frame = FrameRecord(index=first + len(frames), model_input=ModelInput(luma), weight=1)
            frame.link = Link.SAME if number else Link.CUT
            frames.append(frame)
    known = {id(frame.model_input): says(frame.index, frame.model_input.luma) for frame in frames}
    scenes = Scenes(memory)
    settings = PredictionSettings(predict=lambda seen: [known[id(one)] for one in seen], stride=STRIDE, every=every)
    made = list(smoothed(frames, settings, scenes=scenes))
    return [frame.ab for frame in made if frame.ab is not None], scenes.memory


def mean(ab: np.ndarray) -> np.ndarray:
    return np.asarray(ab.mean(axis=(1, 2)))


@pytest.mark.slow
def test_what_frames_agree_on_wins_and_not_the_mean_of_their_colours() -> None:
    """One half of the frames says red or brown, the other brown or green: brown it is, which none thought likeliest."""

    def says(number: int, luma: np.ndarray) -> Prediction:
        other = RED if number % 2 else GREEN
        return told(luma, (other, 0.55), (BROWN, 0.45))

    still = [texture(1, width=WIDTH)] * 24
    made, _ = coloured([still], says, every=1)
    for ab in made:
        found, brown = mean(ab), mean(BROWN)
        assert found @ brown / (np.linalg.norm(found) * np.linalg.norm(brown)) > 0.995, "another hue"
        assert np.linalg.norm(brown) - 3 < np.linalg.norm(found) < 1.3 * np.linalg.norm(brown)


def test_a_networks_knee_holds_in_films_as_in_photographs() -> None:
    """A still picture is as colourful as the network's own answer, in its vivid half and in its pale one."""
    luma, half = texture(1, width=WIDTH), WIDTH // STRIDE // 2
    colour = np.concatenate([flat(60, 10)[..., :half], flat(-8, 12)[..., half:]], axis=-1)
    said = told(luma, (colour, 1.0))
    assert said.evidence is not None
    answer = compressed(said.ab[0].transpose(1, 2, 0), 28.0).transpose(2, 0, 1)
    bent = Prediction(np.ascontiguousarray(answer[None]), replace(said.evidence, knee=28.0))
    made, _ = coloured([[luma] * 12], lambda *_: bent, every=4)
    for ab in made:
        for side in (slice(2, half - 2), slice(half + 2, None)):
            assert np.linalg.norm(mean(ab[..., side]) - mean(answer[..., side])) < 0.08 * np.linalg.norm(
                mean(answer[..., side])
            )


def test_a_scene_comes_back_in_the_colour_that_it_had() -> None:
    """A B A: the network has another opinion of A when it returns."""
    scene, reverse = pan(40, speed=1, seed=1), pan(16, speed=1, seed=2)

    def says(number: int, luma: np.ndarray) -> Prediction:
        if 20 <= number < 36:
            return told(luma, (BLUE, 1.0))
        return told(luma, (RED, 1.0) if number < 20 else (GREEN, 1.0))

    made, memory = coloured([scene[:20], reverse, scene[20:]], says)
    assert np.abs(mean(made[36]) - mean(made[19])).max() < 3
    assert np.abs(mean(made[25]) - mean(BLUE)).max() < 4
    assert len(memory.scenes) == 2


@pytest.mark.slow
def test_a_cut_to_another_picture_lets_no_colour_through() -> None:
    made, _ = coloured(
        [pan(20, speed=1, seed=1), pan(20, speed=1, seed=2)],
        lambda number, luma: told(luma, (RED, 1.0) if number < 20 else (GREEN, 1.0)),
    )
    assert np.abs(mean(made[19]) - mean(RED)).max() < 4
    assert np.abs(mean(made[20]) - mean(GREEN)).max() < 4


@pytest.mark.slow
def test_a_new_thing_keeps_its_own_evidence() -> None:
    ground = texture(1, width=WIDTH)
    with_thing = ground.copy()
    with_thing[40:88, 64:112] = 0.7 + 0.25 * (np.arange(48)[:, None] // 2 % 2)
    colours = np.zeros_like(BLUE)
    colours[:, 10:22, 16:28] = RED[:, :12, :12] - BLUE[:, :12, :12]

    def says(number: int, luma: np.ndarray) -> Prediction:
        return told(luma, (BLUE + (colours if number >= 30 else 0), 1.0))

    made, _ = coloured([[ground] * 30 + [with_thing] * 12], says)
    inside = made[31][:, 13:19, 19:25]
    assert np.linalg.norm(mean(inside) - mean(RED)) < 0.15 * np.linalg.norm(mean(RED) - mean(BLUE))
    assert np.abs(mean(made[29][:, 13:19, 19:25]) - mean(BLUE)).max() < 8
    assert np.abs(mean(made[35][:, :, :10]) - mean(BLUE)).max() < 4


@pytest.mark.slow
def test_what_has_moved_while_its_scene_was_away_leaves_no_colour_behind() -> None:
    speed, back = 4, 24
    moving = []
    for number in range(back + 8):
        moving.append(texture(1, width=WIDTH))
        moving[-1][box(number, speed=speed)] = 0.7 + 0.25 * (np.arange(48)[:, None] // 2 % 2)

    def says(number: int, luma: np.ndarray) -> Prediction:
        at = number if number < 8 else back + number - 20
        return told(luma, (BLUE if 8 <= number < 20 else box_chroma(at, speed=speed, inside=50, outside=-30), 1.0))

    made, _ = coloured([moving[:8], pan(12, speed=1, seed=7), moving[back:]], says)
    rows, columns = (slice(part.start // STRIDE + 2, part.stop // STRIDE - 2) for part in box(back, speed=speed))
    was = slice(2 + 2, 2 + 10)
    assert made[20][0, rows, columns].mean() > 25
    assert made[20][0, rows, was].mean() < -24


@pytest.mark.slow
def test_a_run_that_resumes_with_the_memory_gives_the_same_bits() -> None:
    shots = [pan(30, speed=1, seed=1)[:14], pan(12, speed=2, seed=2), pan(30, speed=1, seed=1)[14:]]

    def says(number: int, luma: np.ndarray) -> Prediction:
        colour = np.random.default_rng(number).normal(0, 30, (2, 32, 48)).astype(np.float32)
        return told(luma, (colour, 1.0))

    whole, _ = coloured(shots, says)
    for number in (1, 2):
        start = sum(len(shot) for shot in shots[:number])
        _, memory = coloured(shots[:number], says)
        resumed, _ = coloured(shots[number:], says, memory=memory, first=start)
        for ours, theirs in zip(resumed, whole[start:], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_without_its_memory_a_run_would_not_give_the_same_bits() -> None:
    shots = [pan(30, speed=1, seed=1)[:14], pan(30, speed=1, seed=1)[14:]]

    def says(number: int, luma: np.ndarray) -> Prediction:
        return told(luma, (RED if number < 14 else GREEN, 1.0))

    whole, _ = coloured(shots, says)
    alone, _ = coloured(shots[1:], says, first=14)
    assert np.abs(mean(whole[14]) - mean(alone[0])).max() > 20


@pytest.mark.slow
def test_the_memory_is_bounded() -> None:
    shots = [[texture(seed, width=WIDTH)] * 3 for seed in range(12)]
    for count in (1, 7, 8, 9, 12):
        _, memory = coloured(shots[:count], lambda _, luma: told(luma, (RED, 1.0)))
        assert len(memory.scenes) == min(count, 8)
    prototypes = Prototypes.none(5, 3)
    rng = np.random.default_rng(0)
    for _ in range(20):
        prototypes = prototypes.added(rng.normal(0, 5, (200, 5)).astype("f4"), np.zeros((200, 3), np.float32))
    assert len(prototypes.weight) == 256


@pytest.mark.slow
def test_a_scene_unseen_for_long_has_less_to_say() -> None:
    scene = pan(40, speed=1, seed=1)

    def says(number: int, luma: np.ndarray) -> Prediction:
        return told(luma, (RED, 1.0) if number < 20 else (GREEN, 1.0))

    _, memory = coloured([scene[:20]], says)
    soon, late = (coloured([scene[20:]], says, memory=memory, first=first)[0] for first in (60, 20_000))
    assert mean(soon[-1])[0] > mean(late[-1])[0] + 20
