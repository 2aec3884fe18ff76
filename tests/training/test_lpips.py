from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")
safetensors_torch = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")

from engines.errors import WeightsError  # noqa: E402
from tests.training.conftest import synthetic_photo  # noqa: E402
from training.lpips import Lpips  # noqa: E402

# SqueezeNet 1.1: channels into each fire module, squeezed, and out of each of its two halves.
FIRES = {
    3: (64, 16, 64),
    4: (128, 16, 64),
    6: (128, 32, 128),
    7: (256, 32, 128),
    9: (256, 48, 192),
    10: (384, 48, 192),
    11: (384, 64, 256),
    12: (512, 64, 256),
}
COMPARED = (64, 128, 256, 384, 384, 512, 512)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the right shapes; the distances mean nothing, but must keep a distance's laws."""
    rng = torch.Generator().manual_seed(0)
    tensors = {}

    def conv(name: str, inputs: int, outputs: int, kernel: int) -> None:
        spread = (2 / (inputs * kernel * kernel)) ** 0.5
        tensors[f"{name}.weight"] = spread * torch.randn(outputs, inputs, kernel, kernel, generator=rng)
        tensors[f"{name}.bias"] = torch.zeros(outputs)

    conv("features.0", 3, 64, 3)
    for number, (inputs, squeezed, half) in FIRES.items():
        conv(f"features.{number}.squeeze", inputs, squeezed, 1)
        conv(f"features.{number}.expand1x1", squeezed, half, 1)
        conv(f"features.{number}.expand3x3", squeezed, half, 3)
    for number, channels in enumerate(COMPARED):
        tensors[f"lpips.lin{number}"] = torch.rand(1, channels, 1, 1, generator=rng)
    path = tmp_path_factory.mktemp("lpips") / "random.safetensors"
    safetensors_torch.save_file(tensors, path)
    return path


def test_equal_pictures_are_at_no_distance(weights: Path) -> None:
    assert Lpips(weights)(synthetic_photo(0), synthetic_photo(0)) == 0


def test_the_distance_is_symmetric_and_grows_with_the_change(weights: Path) -> None:
    distance = Lpips(weights)
    photo = synthetic_photo(1).astype(np.int64)
    little, much = (np.uint8(np.clip(photo + np.array([change, -change, 0]), 0, 255)) for change in (5, 60))
    photo = np.uint8(photo)
    assert distance(photo, much) == pytest.approx(distance(much, photo), rel=1e-4)
    assert 0 < distance(photo, little) < distance(photo, much)


def test_absent_weights_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="absent"):
        Lpips(tmp_path / "absent.safetensors")


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors_torch.save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    with pytest.raises(WeightsError, match=r"features\.3\.squeeze\.weight"):
        Lpips(path)
