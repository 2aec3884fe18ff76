"""Previews show a picture as it was and as it is, upright and in its true shape."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.color.model_input import EXIF_TURNS
from pipeline.color.previews import preview
from pipeline.color.spaces import Matrix

RED = np.array([-0.1, 0.3], np.float32)


def luma(height: int = 300, width: int = 400) -> np.ndarray:
    """Light, with a dark upper left quarter."""
    plane = np.full((height, width), 0.7, np.float32)
    plane[: height // 2, : width // 2] = 0.3
    return plane


def opened(data: bytes) -> np.ndarray:
    with Image.open(BytesIO(data), formats=("JPEG",)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_before_is_grey_and_after_is_coloured() -> None:
    made = preview("scan", luma(), before=None, after=np.tile(RED[:, None, None], (1, 75, 100)), matrix=Matrix.BT601)
    assert made.label == "scan"
    assert np.ptp(opened(made.before), axis=2).max() <= 2
    assert (opened(made.after)[..., 0] - opened(made.after)[..., 1]).min() > 40


def test_a_tint_of_the_source_is_shown() -> None:
    sepia = np.tile(np.array([-0.08, 0.05], np.float32)[:, None, None], (1, 64, 64))
    made = preview("print", luma(), before=sepia, after=sepia, matrix=Matrix.BT601)
    assert (opened(made.before)[..., 0] - opened(made.before)[..., 2]).min() > 20
    assert made.before == made.after


@pytest.mark.parametrize(("shape", "wanted"), [((300, 400), (192, 256)), ((900, 300), (256, 85)), ((50, 60), (50, 60))])
def test_sides_are_at_most_256_and_never_enlarged(shape: tuple[int, int], wanted: tuple[int, int]) -> None:
    made = preview("x", luma(*shape), before=None, after=None, matrix=Matrix.BT601)
    assert opened(made.after).shape == (*wanted, 3)


def test_a_squeezed_panorama_gets_its_shape_back() -> None:
    made = preview("x", luma(256, 768), before=None, after=None, matrix=Matrix.BT601, aspect=8.0)
    assert opened(made.after).shape == (32, 256, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_upright_as_other_readers_turn_it(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    stored = BytesIO()
    Image.fromarray(np.rint(luma(96, 128) * 255).astype(np.uint8)).save(stored, "JPEG", exif=exif)
    with Image.open(stored) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    turn = EXIF_TURNS[orientation]
    made = opened(preview("x", luma(96, 128), before=None, after=None, matrix=Matrix.BT601, turn=turn).after)
    assert made.shape[:2] == wanted.shape
    assert np.abs(made[..., 0] - wanted).mean() < 2
