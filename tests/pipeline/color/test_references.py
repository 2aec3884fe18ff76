"""What a coloured picture lends, by the network that is shipped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.color.model_input import ModelInput
from pipeline.color.references import Reference, matches, reference_of, transferred
from pipeline.color.spaces import F32, RgbSpace, ab_of_rgb, still_spec
from pipeline.errors import UsageError
from pipeline.options import Options
from tests.photos import scene, tinted

SPEC = still_spec(8)


@pytest.fixture(scope="module")
def shipped() -> Iterator[Colorizer]:
    with open_colorizer(Options(engine="onnxruntime")) as opened:
        yield opened


def coloured(width: int = 260, height: int = 180) -> tuple[np.ndarray, F32]:
    grey = scene(width=width, height=height)
    return grey, np.stack(tinted(grey)).astype(np.float32) / 255


def truth(luma: np.ndarray, chroma: F32) -> F32:
    y = luma.astype(np.float32) / 255
    return ab_of_rgb(
        np.stack([y + 1.402 * chroma[1], y - 0.344 * chroma[0] - 0.714 * chroma[1], y + 1.772 * chroma[0]], -1)
    )


def answers(shipped: Colorizer, reference: Reference, grey: np.ndarray) -> tuple[F32, F32, ModelInput]:
    picture = shipped.model_input(grey, SPEC, size=256)
    prediction = shipped.examine(picture)
    return prediction.ab[0], transferred(shipped, reference, picture, prediction), picture


@pytest.mark.slow
def test_what_looks_like_the_reference_gets_its_colours(shipped: Colorizer) -> None:
    grey, chroma = coloured()
    reference = reference_of(shipped, grey, chroma)
    moved, its = grey[:, 24:], chroma[:, :, 24:]
    plain, lent, _ = answers(shipped, reference, moved)
    wanted = truth(moved, its)
    rows, columns = plain.shape[1:]
    there = wanted[
        :, (np.arange(rows) * wanted.shape[1] // rows)[:, None], np.arange(columns) * wanted.shape[2] // columns
    ]
    before, after = (float(np.hypot(*(ab - there)).mean()) for ab in (plain, lent))
    assert after < before * 2 / 3


@pytest.mark.slow
def test_a_match_is_a_hint_at_the_same_thing(shipped: Colorizer) -> None:
    grey, chroma = coloured()
    reference = reference_of(shipped, grey, chroma)
    picture = shipped.model_input(grey, SPEC, size=256)
    hints = matches(shipped, reference, picture, shipped.examine(picture))
    assert len(hints) > 100
    wanted = truth(grey, chroma)
    for hint in hints[:20]:
        row, column = int(hint.y * wanted.shape[1]), int(hint.x * wanted.shape[2])
        assert np.hypot(*(wanted[:, row, column] - hint.ab)) < 15


@pytest.mark.slow
def test_an_unlike_reference_lends_its_palette(shipped: Colorizer) -> None:
    rng = np.random.default_rng(1)
    noise = np.kron(rng.integers(60, 200, (12, 16)), np.ones((16, 16))).astype(np.uint8)
    blue = np.stack([np.full(noise.shape, 0.12), np.full(noise.shape, -0.05)]).astype(np.float32)
    plain, lent, _ = answers(shipped, reference_of(shipped, noise, blue), scene(width=260, height=180))
    assert lent[1].mean() < plain[1].mean() - 3


@pytest.mark.slow
def test_turned_references_are_seen_upright(shipped: Colorizer) -> None:
    grey, chroma = coloured()
    upright = reference_of(shipped, grey, chroma)
    # Stored with its first row at the right: to be seen, it is turned counter-clockwise (EXIF 8).
    stored = np.ascontiguousarray(np.rot90(grey, -1))
    turned = reference_of(shipped, stored, np.ascontiguousarray(np.rot90(chroma, -1, axes=(1, 2))), orientation=8)
    assert np.abs(upright.ab - turned.ab).max() < 1
    assert np.abs(upright.looks - turned.looks).max() < 0.05


@pytest.mark.slow
def test_two_references_lend_together(shipped: Colorizer) -> None:
    grey, chroma = coloured()
    one = reference_of(shipped, grey, chroma)
    both = one.and_of(one)
    assert len(both.ab) == 2 * len(one.ab)


@pytest.mark.slow
def test_a_wide_space_counts(shipped: Colorizer) -> None:
    grey, chroma = coloured()
    # Adobe RGB (1998), of which the same codes are stronger colours.
    primaries = np.array([[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7446]])
    space = RgbSpace.of_profile(primaries, (np.linspace(0, 1, 1024) ** 2.2).astype(np.float32))
    wide, plain = reference_of(shipped, grey, chroma, space=space), reference_of(shipped, grey, chroma)
    assert np.hypot(*wide.ab.T).mean() > 1.05 * np.hypot(*plain.ab.T).mean()


def test_grey_pictures_and_networks_without_features_are_refused(shipped: Colorizer, colorizer: Colorizer) -> None:
    grey, chroma = coloured()
    with pytest.raises(ValueError, match="no colour"):
        reference_of(shipped, grey, chroma * 0)
    with pytest.raises(UsageError, match="cannot use references"):
        reference_of(colorizer, grey, chroma)
