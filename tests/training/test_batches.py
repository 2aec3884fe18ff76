from __future__ import annotations

from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")

from tests.training.conftest import png, synthetic_photo  # noqa: E402
from training.batches import ResidentPhotos, resident, streamed  # noqa: E402
from training.data import Crop, CropStream, PhotoCache, Stage, build_cache, cut  # noqa: E402

CPU = torch.device("cpu")


def _stream(cache: PhotoCache) -> CropStream:
    return CropStream(cache, stages=[Stage(1, 4, 32, 0.6)], seed=1, holdout=2)


def test_both_ways_give_every_step_from_the_first_with_its_own_crops(photo_cache: Path) -> None:
    cache = PhotoCache(photo_cache)
    stream = _stream(cache)
    photos = ResidentPhotos(cache, device=CPU)
    for batches in (streamed(stream, 5, CPU), resident(photos, stream, 5)):
        with closing(batches):
            found = list(islice(batches, 3))
        assert [step for step, _ in found] == [5, 6, 7]
        for step, crops in found:
            assert crops.shape == (4, 3, 32, 32)
            assert crops.dtype == torch.float32
            off = (crops - torch.from_numpy(stream[step])).abs()
            # Averaging of whole pixels and of samples between them differ at hard edges, and nowhere else.
            assert off.mean() < 3


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_crop_at_its_own_size_is_exact(photo_cache: Path, mirrored: bool) -> None:
    cache = PhotoCache(photo_cache)
    crops = [Crop(3, 1, 7, 60, mirrored), Crop(11, 0, 0, 60, mirrored), Crop(0, 4, 25, 60, mirrored)]
    found = ResidentPhotos(cache, device=CPU)(crops, 60)
    for crop, pixels in zip(crops, found, strict=True):
        np.testing.assert_allclose(pixels.permute(1, 2, 0), cut(cache[crop.number], crop, 60), atol=1e-3)


@pytest.mark.parametrize("size", [90, 20])
def test_scaling_is_near_what_the_processor_makes_and_does_not_alias(tmp_path: Path, size: int) -> None:
    rows, columns = np.mgrid[0:1:64j, 0:1:80j]
    smooth = np.stack([rows * 200, columns * 200, 255 * rows * columns], axis=-1)
    stripes = np.uint8(255 * (np.indices((64, 80))[1] % 2))[..., None] * np.ones(3, np.uint8)
    stripes[:32] = synthetic_photo(1)[:32, :80]
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, picture in enumerate((np.uint8(smooth), stripes)):
        (photos / f"{number}.png").write_bytes(png(picture))
    build_cache([photos], tmp_path / "cache", short_side=64)
    cache = PhotoCache(tmp_path / "cache")
    resident = ResidentPhotos(cache, device=CPU)
    crops = [Crop(0, 2, 9, 57, mirrored=True), Crop(1, 4, 9, 57, mirrored=False)]
    gradient, fine = (pixels.permute(1, 2, 0).numpy() for pixels in resident(crops, size))
    np.testing.assert_allclose(gradient, cut(cache[0], crops[0], size), atol=2.5)
    expected = cut(cache[1], crops[1], size)
    assert np.abs(fine - expected).mean() < 0.1 * expected.std()
