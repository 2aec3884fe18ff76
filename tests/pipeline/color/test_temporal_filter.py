"""Opinions are joined by weight, lose it on the way, and colours don't drift."""

import numpy as np
import pytest

from pipeline.color.optical_flow import Path, Step
from pipeline.color.temporal_filter import Anchor, Estimate, from_behind, joined
from tests.pipeline.color.scenes import COLUMNS, ROWS, flat


def still(trust: float = 1.0) -> Path:
    places = np.stack(np.meshgrid(np.arange(COLUMNS), np.arange(ROWS)), axis=-1).astype(np.float32)
    return Path(places, np.full((ROWS, COLUMNS, 1), trust, np.float32))


STILL = Step(past=still(), future=still())


def test_opinions_count_by_their_weight() -> None:
    heavy = Estimate(Estimate.of(flat(10, -20)).chroma, np.full((ROWS, COLUMNS, 1), 3, np.float32))
    both = heavy.joined(Estimate.of(flat(50, 20)))
    np.testing.assert_allclose(both.chroma[0, 0], (20, -10), rtol=1e-6)
    assert both.weight.max() == both.weight.min() == 4


def test_a_lacking_opinion_changes_nothing() -> None:
    one = Estimate.of(flat(10, -20))
    assert joined(one, None) is one
    assert joined(None, one) is one
    assert joined(None, None) is None


@pytest.mark.parametrize("trust", [1.0, 0.5])
def test_weight_fades_with_every_frame_and_with_distrust(trust: float) -> None:
    carried = Estimate.of(flat(10, -20)).carried(still(trust), 0.8)
    np.testing.assert_allclose(carried.weight, 0.8 * trust, rtol=1e-6)
    np.testing.assert_allclose(carried.chroma[..., 0], 10, rtol=1e-5)


def test_without_trust_colour_remains_but_any_answer_overrules_it() -> None:
    lost = Estimate.of(flat(60, 0)).carried(still(0), 0.8)
    np.testing.assert_allclose(lost.chroma[..., 0], 60, rtol=1e-5)
    assert np.abs(Estimate.of(flat(0, 0)).joined(lost).chroma).max() < 0.1


def test_later_frames_are_heard_up_to_the_last() -> None:
    answers = [None, None, Estimate.of(flat(8, 0)), None, Estimate.of(flat(20, 0)), None]
    heard = from_behind(answers, [STILL] * 5, 0.5)
    weights = [None if estimate is None else float(estimate.weight.max()) for estimate in heard]
    assert weights == [0.3125, 0.625, 0.25, 0.5, None, None]
    assert heard[2] is not None
    np.testing.assert_allclose(heard[2].chroma[..., 0], 20, rtol=1e-6)


def test_the_anchor_holds_back_a_drift() -> None:
    anchor = Anchor()
    drifting = [Estimate.of(flat(number, 0)).chroma for number in range(40)]
    held = [anchor.hold(chroma, STILL if number else None) for number, chroma in enumerate(drifting)]
    np.testing.assert_array_equal(held[0], drifting[0])
    assert held[-1][..., 0].mean() < 0.75 * drifting[-1][..., 0].mean()


def test_the_anchor_lets_go_where_motion_is_not_trusted() -> None:
    anchor = Anchor()
    anchor.hold(Estimate.of(flat(50, 0)).chroma, None)
    fresh = Estimate.of(flat(-30, 10)).chroma
    lost = Step(past=still(0), future=still(0))
    np.testing.assert_allclose(anchor.hold(fresh, lost), fresh, atol=1e-5)
