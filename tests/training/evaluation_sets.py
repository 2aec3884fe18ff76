"""Small evaluation folders, and the scores of the rivals in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from engines.network import NetworkSpec
from engines.tensors import InputSize
from tests.training.conftest import synthetic_photo
from training.evaluate import evaluate, find_set, rival_systems
from training.scores import SetScore

# The spec of a network that a test implements in numpy.
SPEC = NetworkSpec(
    engine="test",
    runtime="numpy",
    device="cpu",
    precision="f32",
    model="test",
    weights_sha256="",
    fingerprint="",
    licence="",
    contract="autochrome-1",
    size=InputSize(multiple=32, film=160, photo=256),
    stride=4,
    max_batch=1,
    takes_hints=False,
)


def write_pictures(folder: Path, photos: dict[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for name, photo in photos.items():
        Image.fromarray(photo).save(folder / name)
    return folder


def write_rivals(folder: Path, *, count: int = 3) -> Path:
    """Write ``count`` photographs, a rival that returns the truth, and one that swaps red and blue."""
    photos = {f"{number}.png": synthetic_photo(number) for number in range(count)}
    write_pictures(folder / "truth", photos)
    write_pictures(folder / "perfect", photos)
    write_pictures(folder / "swapped", {name: photo[..., ::-1].copy() for name, photo in photos.items()})
    return folder


def score_rivals(folder: Path) -> list[SetScore]:
    pictures = find_set(folder)
    return evaluate(pictures, rival_systems(pictures))
