from __future__ import annotations

import numpy as np
import pytest

from engines.base import F32
from engines.errors import EngineError
from engines.ring import Ring, Shape, pieces


class Doubling:
    """A program that doubles, and refuses to be used in any other order than a GPU's program is."""

    def __init__(self, shape: Shape, log: list[str]) -> None:
        self.shape, self.log = shape, log
        self.waiting: F32 | None = None
        log.append(f"make {shape[0]}")

    def start(self, lightness: F32) -> None:
        assert self.waiting is None, "started again before the answer was taken"
        assert lightness.shape == self.shape
        if (lightness < 0).any():
            raise EngineError("negative")
        self.log.append(f"start {self.shape[0]}")
        self.waiting = lightness * 2

    def finish(self) -> F32:
        assert self.waiting is not None
        self.log.append(f"finish {self.shape[0]}")
        answer, self.waiting = self.waiting, None
        return answer

    def close(self) -> None:
        self.log.append("close")


def numbers(count: int, width: int = 2) -> F32:
    return np.arange(count * width, dtype=np.float32).reshape(count, 1, 1, width)


@pytest.mark.parametrize("count", range(1, 20))
def test_pieces_are_the_batch_in_few_sizes(count: int) -> None:
    cut = list(pieces(numbers(count)))
    np.testing.assert_array_equal(np.concatenate(cut), numbers(count))
    assert {len(piece) for piece in cut} <= {8, 4, 2, 1}
    assert len(cut) <= count // 8 + 3


@pytest.mark.parametrize("count", range(1, 20))
def test_answers_come_in_order(count: int) -> None:
    log: list[str] = []
    ring = Ring(lambda shape: Doubling(shape, log))
    for _ in range(2):
        np.testing.assert_array_equal(ring.infer(numbers(count)), numbers(count) * 2)


def test_the_second_piece_starts_before_the_first_is_waited_for() -> None:
    log: list[str] = []
    Ring(lambda shape: Doubling(shape, log)).infer(numbers(24))
    steps = [line.split()[0] for line in log if not line.startswith("make")]
    assert steps == ["start", "start", "finish", "start", "finish", "finish"]


def test_programs_are_made_once_and_only_so_many_are_held() -> None:
    log: list[str] = []
    ring = Ring(lambda shape: Doubling(shape, log))
    for _ in range(3):
        ring.infer(numbers(8))
    assert log.count("make 8") == 1
    for width in range(1, 60):
        ring.infer(numbers(1, width))
    held = len([line for line in log if line.startswith("make")]) - log.count("close")
    assert held == 16
    ring.close()
    ring.close()
    assert len([line for line in log if line.startswith("make")]) == log.count("close")


def test_after_a_failure_nothing_old_is_answered() -> None:
    log: list[str] = []
    ring = Ring(lambda shape: Doubling(shape, log))
    bad = numbers(16)
    bad[12] = -1
    with pytest.raises(EngineError, match="negative"):
        ring.infer(bad)
    np.testing.assert_array_equal(ring.infer(numbers(16)), numbers(16) * 2)
