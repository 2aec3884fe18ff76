"""The shipped tone network tells prints in one tone from photographs in colour."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engines.errors import WeightsError
from engines.tensors import F32
from engines.tone_network import SHIPPED, SIDE, ToneNetwork, squeezed_for_tone, tone_network
from tests.training.conftest import synthetic_photo

SEPIA = np.array([1.0, 0.86, 0.66], np.float32)


def photo(seed: int) -> F32:
    return synthetic_photo(seed, 96, 128).astype(np.float32) / np.float32(255)


def sepia(picture: F32) -> F32:
    return picture.mean(axis=2, keepdims=True) * SEPIA


def test_a_sepia_print_is_less_likely_in_colour_than_what_it_shows() -> None:
    network = tone_network()
    pairs = [(network.log_odds(photo(seed)), network.log_odds(sepia(photo(seed)))) for seed in range(6)]
    assert all(coloured > toned for coloured, toned in pairs)
    assert np.mean([coloured for coloured, _ in pairs]) > 0 > np.mean([toned for _, toned in pairs])


def test_mirror_images_are_equally_likely() -> None:
    mirrored = np.ascontiguousarray(photo(1)[:, ::-1])
    assert tone_network().log_odds(mirrored) == pytest.approx(tone_network().log_odds(photo(1)), abs=1e-4)


def test_threads_share_one_network() -> None:
    pictures = [photo(seed) for seed in range(4)]
    one_by_one = [tone_network().log_odds(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(tone_network().log_odds, pictures)) == one_by_one


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (SIDE, SIDE), (700, 40)])
def test_pictures_of_any_shape_are_squeezed(shape: tuple[int, int]) -> None:
    squeezed = squeezed_for_tone(np.full((*shape, 3), 0.5, np.float32))
    assert squeezed.shape == (3, SIDE, SIDE)
    assert np.allclose(squeezed, 0.5)


def test_altered_weights_are_refused(tmp_path: Path) -> None:
    for suffix in (".onnx", ".json"):
        shutil.copy(SHIPPED.with_suffix(suffix), tmp_path)
    altered = tmp_path / SHIPPED.name
    altered.write_bytes(altered.read_bytes()[:-1] + b"?")
    with pytest.raises(WeightsError, match="SHA-256"):
        ToneNetwork(altered)
