from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from engines.errors import EngineError
from engines.network import Prediction
from engines.tensors import F32, InputSize
from tests.training.conftest import synthetic_photo
from tests.training.evaluation_sets import SPEC
from training.evaluate import find_set
from training.hint_scores import hint_scores


class Obedient:
    """Gives every place the colour of the hint there, and leaves the others grey."""

    def __init__(self, *, takes_hints: bool = True) -> None:
        self.spec = replace(SPEC, size=InputSize(multiple=8, film=64, photo=64), takes_hints=takes_hints)

    def predict(self, lightness: F32, hints: F32 | None = None) -> Prediction:
        assert hints is not None
        return Prediction(hints[:, :2])

    def close(self) -> None:
        pass


def test_more_true_points_bring_an_obedient_network_nearer_until_all_is_told(tmp_path: Path) -> None:
    for number in range(2):
        smooth = cv2.GaussianBlur(synthetic_photo(number, 64, 96), (0, 0), 8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), smooth[..., ::-1])
    found = hint_scores(Obedient(), find_set(tmp_path), size=64, points=(0, 50, 10_000))
    assert found[0] > found[50] > found[10_000]
    assert found[10_000] < 1.5


def test_a_network_without_hints_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), synthetic_photo(0))
    with pytest.raises(EngineError, match="has not learned"):
        hint_scores(Obedient(takes_hints=False), find_set(tmp_path), size=64, points=(1,))
