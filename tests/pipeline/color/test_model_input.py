"""What the network sees of a picture has sides that it can take, and the picture's proportions."""

from dataclasses import replace

import numpy as np
import pytest

from engines.tensors import InputSize
from pipeline.color.model_input import model_input
from pipeline.color.spaces import still_spec

SIZE = InputSize(multiple=32, film=160, photo=256)


@pytest.mark.few(13)
@pytest.mark.parametrize("multiple", [8, 32, 64, 256])
@pytest.mark.parametrize("shape", [(480, 854), (1080, 1920), (2000, 1500), (90, 91), (40, 2000)])
def test_both_sides_are_multiples_of_what_the_engine_asks_for(multiple: int, shape: tuple[int, int]) -> None:
    codes = np.full(shape, 128, np.uint8)
    luma = model_input(codes, still_spec(8), size=replace(SIZE, multiple=multiple), short=160).luma
    assert luma.shape[0] % multiple == luma.shape[1] % multiple == 0
    assert 160 <= min(luma.shape) < 160 + multiple
    asked = min(max(shape) / min(shape), 3)
    assert max(luma.shape) == pytest.approx(asked * min(luma.shape), abs=multiple)
    stands = shape[0] > shape[1]
    assert luma.shape[0] >= luma.shape[1] if stands else luma.shape[1] >= luma.shape[0]


def test_a_picture_is_averaged_not_sampled() -> None:
    checks = np.indices((1080, 1920)).sum(axis=0) % 2 * 255
    luma = model_input(checks.astype(np.uint8), still_spec(8), size=SIZE, short=160).luma
    np.testing.assert_allclose(luma, 0.5, atol=0.01)
