"""Colour stands still inside a shot, knows nothing of other shots, and leaves no trails."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest

from engines.network import Prediction
from pipeline.color.frame_record import FrameRecord, Link
from pipeline.color.key_frame_predictions import Predict, PredictionSettings
from pipeline.color.model_input import ModelInput
from pipeline.color.temporal import predict_chroma, smoothed
from pipeline.results import Treatment
from tests.pipeline.color.scenes import (
    HEIGHT,
    STRIDE,
    WIDTH,
    box,
    box_chroma,
    flat,
    pan,
    passing,
    texture,
)

Answer = Callable[[int], np.ndarray]


def placed(
    frames: Sequence[np.ndarray], *, cuts: Sequence[int] = (0,), blends: Sequence[int] = (), weight: int = 1
) -> list[FrameRecord]:
    made = []
    for number, luma in enumerate(frames):
        frame = FrameRecord(index=number, model_input=ModelInput(luma), weight=weight)
        frame.link = Link.CUT if number in cuts else Link.BLEND if number in blends else Link.SAME
        made.append(frame)
    return made


def run(frames: list[FrameRecord], answer: Answer, *, every: int | None = 1) -> list[FrameRecord]:
    return list(smoothed(frames, settings(asking(frames, answer), every)))


def settings(predict: Predict, every: int | None = 1) -> PredictionSettings:
    return PredictionSettings(predict=predict, stride=STRIDE, every=every)


def asking(frames: list[FrameRecord], answer: Answer, asked: list[int] | None = None) -> Predict:
    numbers = {id(frame.model_input): frame.index for frame in frames}

    def predict(pictures: Sequence[ModelInput]) -> list[Prediction]:
        found = [numbers[id(picture)] for picture in pictures]
        if asked is not None:
            asked.extend(found)
        return [Prediction(answer(number)[None]) for number in found]

    return predict


def noisy(number: int) -> np.ndarray:
    """What a restless network says: another colour every frame."""
    return np.random.default_rng(number).normal((20, -10), 15, (WIDTH // STRIDE, HEIGHT // STRIDE, 2)).astype("f4").T


def flickering(number: int) -> np.ndarray:
    return flat(20 + 15 * (-1) ** number, 0)


@pytest.mark.few(3)
@pytest.mark.parametrize("every", [1, 3, None])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 12, 13, 29])
def test_every_frame_comes_out_once_and_in_order(every: int | None, count: int) -> None:
    made = run(placed(pan(count, speed=1)), noisy, every=every)
    assert [picture.index for picture in made] == list(range(count))
    assert all(picture.ab.shape == (2, HEIGHT // STRIDE, WIDTH // STRIDE) for picture in made)
    assert all(picture.ab.dtype == np.float32 and np.isfinite(picture.ab).all() for picture in made)


def test_no_frames_give_none() -> None:
    assert run([], noisy) == []


@pytest.mark.parametrize("speed", [0, 3])
def test_flicker_of_the_network_is_taken_out(speed: int) -> None:
    made = run(placed(pan(24, speed=speed)), flickering)
    change = [np.abs(a.ab - b.ab).mean() for a, b in pairwise(made)]
    assert max(change) < 0.15 * 15


@pytest.mark.few(1)
@pytest.mark.parametrize("every", [1, None])
def test_a_shot_is_coloured_as_if_it_were_alone(every: int | None) -> None:
    """A run that resumes at a cut gives the same bits."""
    shots = [pan(7, speed=1, seed=1), pan(18, speed=2, seed=2), pan(5, speed=0, seed=3)]
    cuts = [0, 7, 25]
    whole = run(placed([frame for shot in shots for frame in shot], cuts=cuts), noisy, every=every)
    for cut, shot in zip(cuts, shots, strict=True):
        alone = run(placed(shot), lambda number, cut=cut: noisy(cut + number), every=every)
        for ours, theirs in zip(whole[cut : cut + len(shot)], alone, strict=True):
            np.testing.assert_array_equal(ours.ab, theirs.ab)


def test_no_colour_crosses_a_cut_between_like_pictures() -> None:
    made = run(placed([texture(1, width=WIDTH)] * 12, cuts=[0, 6]), lambda number: flat(60 if number < 6 else -60, 0))
    np.testing.assert_allclose(made[5].ab[0], 60, rtol=1e-5)
    np.testing.assert_allclose(made[6].ab[0], -60, rtol=1e-5)


@pytest.mark.few(2)
@pytest.mark.parametrize("every", [1, 4, None])
def test_a_moving_thing_leaves_no_trail(every: int | None) -> None:
    speed, inside, outside = 4, 60.0, 0.0

    def answer(number: int) -> np.ndarray:
        return box_chroma(number, speed=speed, inside=inside, outside=outside)

    made = run(placed(passing(24, speed=speed)), answer, every=every)
    for number in range(4, 24):
        a = made[number].ab[0]
        rows, columns = (slice(part.start // STRIDE, part.stop // STRIDE) for part in box(number, speed=speed))
        trail = a[rows, : max(columns.start - 2, 0)]
        assert np.abs(trail - outside).mean() < 0.03 * inside, number
        assert a[rows.start + 2 : rows.stop - 2, columns.start + 2 : columns.stop - 2].mean() > 0.9 * inside, number


def test_a_new_thing_has_its_own_colour_at_once() -> None:
    ground = texture(1, width=WIDTH)
    with_thing = ground.copy()
    with_thing[40:88, 60:108] = texture(9)[:48, :48]
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[40:88, 60:108] = 50
    thing = np.stack([mask[::STRIDE, ::STRIDE], mask[::STRIDE, ::STRIDE] * 0])
    made = run(placed([ground] * 10 + [with_thing] * 10), lambda number: thing if number >= 10 else thing * 0)
    assert made[10].ab[0][13:19, 18:24].mean() > 40
    assert np.abs(made[9].ab[0][13:19, 18:24]).mean() < 8


def test_colour_does_not_drift_over_a_long_still_shot() -> None:
    made = run(placed([texture(1, width=WIDTH)] * 60), lambda number: flat(0.5 * number, 0))
    assert made[-1].ab[0].mean() - made[0].ab[0].mean() < 0.7 * 30


def test_inside_a_dissolve_the_new_answers_count() -> None:
    first, second = texture(1, width=WIDTH), texture(2, width=WIDTH)
    mix = [first * (1 - share) + second * share for share in np.linspace(0, 1, 9)]
    frames = [first] * 4 + [frame.astype(np.float32) for frame in mix] + [second] * 4

    def answer(number: int) -> np.ndarray:
        return flat(60 * (1 - np.clip((number - 4) / 8, 0, 1)), 0)

    made = run(placed(frames, blends=range(4, 13)), answer)
    for number in range(17):
        assert abs(float(made[number].ab[0].mean()) - float(answer(number)[0].mean())) < 10, number
    assert made[-1].ab[0].mean() < 6


def test_the_network_is_asked_for_what_every_says() -> None:
    for every, expected in ((1, list(range(14))), (5, [0, 5, 6, 7, 12, 13])):
        asked: list[int] = []
        frames = placed([texture(1, width=WIDTH)] * 14, cuts=[0, 7])
        list(smoothed(frames, settings(asking(frames, noisy, asked), every)))
        assert asked == expected


def test_frames_between_key_frames_have_the_colours_of_both() -> None:
    made = run(placed([texture(1, width=WIDTH)] * 9), lambda number: flat(40 if number == 0 else 0, 0), every=4)
    means = [float(picture.ab[0].mean()) for picture in made]
    assert means == sorted(means, reverse=True)
    assert means[0] - means[4] > max(a - b for a, b in pairwise(means))


def test_a_change_of_shape_counts_as_a_cut() -> None:
    small = texture(1, height=64, width=96)
    frames = placed([texture(1, width=WIDTH)] * 3 + [small] * 3)
    made = run(frames, lambda number: flat(10, 10) if number < 3 else np.full((2, 16, 24), -5, np.float32))
    assert [picture.ab.shape[1:] for picture in made] == [(32, 48)] * 3 + [(16, 24)] * 3
    np.testing.assert_allclose(made[3].ab, -5, rtol=1e-5)


@pytest.mark.few(2)
@pytest.mark.parametrize(("weight", "most"), [(1, 12), (32 << 20, 6), (1 << 30, 5)])
def test_few_frames_wait_for_those_after_them(weight: int, most: int) -> None:
    read, frames = 0, placed([texture(1, width=WIDTH)] * 40, weight=weight)

    def counted() -> Iterator[FrameRecord]:
        nonlocal read
        for frame in frames:
            read += 1
            yield frame

    done = 0
    for picture in smoothed(counted(), settings(asking(frames, noisy))):
        assert read - picture.index <= most + 4
        done += 1
    assert done == 40


def test_frames_that_keep_their_own_chroma_pass_in_their_places() -> None:
    frames = placed([texture(1, width=WIDTH)] * 20, cuts=[0])
    for frame in frames:
        frame.treatment = Treatment.COLOURED if frame.index // 5 % 2 else Treatment.KEPT
    made = list(predict_chroma(iter(frames), settings(asking(frames, lambda _: flat(30, 0)), None)))
    assert made == frames
    assert [frame.ab is not None for frame in made] == [n // 5 % 2 == 1 for n in range(20)]
