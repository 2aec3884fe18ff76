"""Synthetic photographs: coloured blobs on a gradient, enough to train on for a few steps."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from training.data import build_cache


def synthetic_photo(seed: int, height: int = 72, width: int = 96) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    picture = np.stack([rows * a + columns * b for a, b in rng.uniform(0, 120, (3, 2))], axis=-1)
    for _ in range(4):
        top, left = rng.uniform(0, 1, 2)
        inside = (rows - top) ** 2 + (columns - left) ** 2 < rng.uniform(0.02, 0.1)
        picture[inside] = rng.uniform(0, 255, 3)
    return np.uint8(np.clip(picture, 0, 255))


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def photo_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photographs, a grey one, a tiny one, a broken one and a text file."""
    path = tmp_path_factory.mktemp("photos") / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(12):
            archive.writestr(f"{number:02}.png", png(synthetic_photo(number)))
        archive.writestr("grey.png", png(np.repeat(synthetic_photo(0)[..., :1], 3, axis=2)))
        archive.writestr("tiny.png", png(synthetic_photo(1, 40, 300)))
        archive.writestr("broken.png", png(synthetic_photo(2))[:200])
        archive.writestr("README.txt", "not a photograph")
    return path


@pytest.fixture(scope="session")
def photo_cache(photo_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    build_cache([photo_zip], folder, short_side=64)
    return folder
