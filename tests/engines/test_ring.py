from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineError
from engines.ring import Ring, Shapes, pieces, shapes_of
from engines.tensors import Tensors


class Doubling:
    """A program that doubles, and refuses to be used in any other order than a GPU's program is."""

    def __init__(self, shapes: Shapes, log: list[str]) -> None:
        self.shapes, self.log = shapes, log
        self.count = dict(shapes)["a"][0]
        self.waiting: Tensors | None = None
        log.append(f"make {self.count}")

    def start(self, inputs: Tensors) -> None:
        assert self.waiting is None, "started again before the answer was taken"
        assert shapes_of(inputs) == self.shapes
        if (inputs["a"] < 0).any():
            raise EngineError("negative")
        self.log.append(f"start {self.count}")
        self.waiting = {"twice": inputs["a"] * 2, "sum": inputs["a"] + inputs["b"]}

    def finish(self) -> Tensors:
        assert self.waiting is not None
        self.log.append(f"finish {self.count}")
        answer, self.waiting = self.waiting, None
        return answer

    def close(self) -> None:
        self.log.append("close")


def numbers(count: int, width: int = 2) -> Tensors:
    a = np.arange(count * width, dtype=np.float32).reshape(count, 1, 1, width)
    return {"a": a, "b": a[..., :1] * 100}


def require_answer(answer: Tensors, inputs: Tensors) -> None:
    np.testing.assert_array_equal(answer["twice"], inputs["a"] * 2)
    np.testing.assert_array_equal(answer["sum"], inputs["a"] + inputs["b"])


@pytest.mark.few(14)
@pytest.mark.parametrize("count", range(1, 20))
def test_pieces_are_the_batch_in_few_sizes(count: int) -> None:
    cut = list(pieces(numbers(count)))
    for name, whole in numbers(count).items():
        np.testing.assert_array_equal(np.concatenate([piece[name] for piece in cut]), whole)
    assert {len(piece["a"]) for piece in cut} <= {8, 4, 2, 1}
    assert len(cut) <= count // 8 + 3


@pytest.mark.few(7)
@pytest.mark.parametrize("count", range(1, 20))
def test_answers_come_in_order(count: int) -> None:
    log: list[str] = []
    ring = Ring(lambda shape: Doubling(shape, log))
    for _ in range(2):
        require_answer(ring.infer(numbers(count)), numbers(count))


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
    bad["a"][12] = -1
    with pytest.raises(EngineError, match="negative"):
        ring.infer(bad)
    require_answer(ring.infer(numbers(16)), numbers(16))
