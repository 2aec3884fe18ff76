from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("torch", reason="torch is not installed")

import torch  # noqa: E402

from training.hints import draw_hints  # noqa: E402


def _hints(share: float, seed: int = 0, count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    truth = torch.arange(1.0, 1 + 2 * 16 * 24).reshape(1, 2, 16, 24).expand(count, -1, -1, -1)
    return draw_hints(truth, torch.Generator().manual_seed(seed), share=share), truth


def test_without_a_share_nobody_gets_hints() -> None:
    hints, _ = _hints(0.0)
    assert not hints.any()


def test_a_share_of_the_pictures_gets_true_colours_under_a_mask_of_0_and_1() -> None:
    hints, truth = _hints(0.5)
    mask = hints[:, 2:]
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert not (hints[:, :2] * (1 - mask)).any()
    assert 0.35 < mask.amax(dim=(1, 2, 3)).mean() < 0.65
    # A point of three places is the mean of what is there: two rows and two columns off at most.
    assert ((hints[:, :2] - truth).abs() * mask).max() <= 2 * 24 + 2


def test_some_are_points_near_the_middle_and_some_are_blobs() -> None:
    hints, _ = _hints(1.0)
    covered = hints[:, 2].mean(dim=(1, 2))
    points = covered < 0.3
    assert 0.6 < points.float().mean() < 0.95
    assert (covered > 0.5).any()
    rows = hints[points, 2].sum(dim=(0, 2))
    assert rows[4:12].sum() > 1.5 * (rows[:4].sum() + rows[12:].sum())


def test_hints_are_a_function_of_the_seed() -> None:
    assert torch.equal(_hints(0.5)[0], _hints(0.5)[0])
    assert not torch.equal(_hints(0.5)[0], _hints(0.5, seed=1)[0])
