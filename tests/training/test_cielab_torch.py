from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")

from tests.training.conftest import synthetic_photo  # noqa: E402
from tests.training.test_cielab_numpy import PRIMARIES  # noqa: E402
from training import cielab_numpy  # noqa: E402
from training.cielab_torch import decode_srgb, encode_srgb, lab_to_rgb, luminance_to_lightness, rgb_to_lab  # noqa: E402


@pytest.mark.parametrize(("rgb", "lab"), PRIMARIES)
def test_known_colours(rgb: tuple[int, ...], lab: tuple[float, ...]) -> None:
    found = rgb_to_lab(torch.tensor(rgb).view(1, 3, 1, 1) / 255).flatten()
    np.testing.assert_allclose(found, lab, atol=0.02)


def test_colours_come_back_from_lab() -> None:
    rgb = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(rgb)), rgb, atol=1e-4, rtol=0)


def test_light_comes_back_from_code_values() -> None:
    linear = torch.linspace(0, 1, 1001)
    torch.testing.assert_close(decode_srgb(encode_srgb(linear)), linear, atol=1e-5, rtol=0)


def test_agrees_with_the_measuring_code() -> None:
    picture = synthetic_photo(4)
    found = rgb_to_lab(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0)
    np.testing.assert_allclose(found, cielab_numpy.rgb_to_lab(picture), atol=0.01)


def test_lightness_of_luminance_is_that_of_grey() -> None:
    grey = torch.linspace(0, 1, 256).view(1, 1, 1, -1)
    expected = rgb_to_lab(grey.expand(1, 3, 1, 256))[:, :1]
    torch.testing.assert_close(luminance_to_lightness(decode_srgb(grey)), expected, atol=1e-4, rtol=0)
