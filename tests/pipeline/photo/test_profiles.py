"""Under any ICC profile greys stay grey and a colour is the one that was meant, as LittleCMS sees the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from engines.network import NetworkSpec, Prediction
from engines.networks import open_network
from engines.registry import EngineChoice
from engines.tensors import F32
from pipeline.color.colorizer import Colorizer
from pipeline.options import Options
from pipeline.photo.one import colorize_photo
from pipeline.results import PhotoResult
from tests import photos
from tests.sampled import sampled

PROFILES: dict[str, Callable[[], bytes | None]] = {
    "none": lambda: None,
    "sRGB": photos.srgb_profile,
    **{name: (lambda name=name: photos.working_space(name)) for name in photos.WORKING_SPACES},
    "grey gamma 2.2": lambda: photos.grey_profile(gamma=2.2),
    "grey gamma 1.8": lambda: photos.grey_profile(gamma=1.8),
    "grey linear": lambda: photos.grey_profile(gamma=1.0),
    "dot gain": photos.dot_gain_profile,
    "scanner's table": lambda: photos.table_profile(gamma=1.8),
}
GREY_ONLY = [name for name in PROFILES if name.startswith(("grey", "dot"))]


class OneColour:
    """A network that gives every pixel the same a and b."""

    def __init__(self, spec: NetworkSpec, ab: tuple[float, float]) -> None:
        self.spec = replace(spec, engine="one colour")
        self._ab = ab
        self.seen: list[F32] = []

    def predict(self, lightness: F32, hints: F32 | None = None) -> Prediction:
        self.seen.append(lightness)
        count, _, height, width = lightness.shape
        shape = count, 1, height // self.spec.stride, width // self.spec.stride
        return Prediction(np.concatenate([np.full(shape, value, np.float32) for value in self._ab], axis=1))

    def close(self) -> None:
        pass


@cache
def contract(tiny: Path) -> tuple[NetworkSpec, EngineChoice]:
    opened, choice = open_network("onnxruntime", str(tiny))
    opened.close()
    return opened.spec, choice


def painted(source: Path, tiny: Path, ab: tuple[float, float]) -> tuple[Path, OneColour]:
    spec, choice = contract(tiny)
    engine = OneColour(spec, ab)
    output = source.parent / f"out{source.suffix}"
    result = colorize_photo(source, output, colorizer=Colorizer(engine, choice), options=Options(overwrite=True))
    assert isinstance(result, PhotoResult), result
    return result.output, engine


def in_srgb(path: Path) -> np.ndarray:
    """RGB 0..1 as a colour-managed viewer shows it."""
    with Image.open(path) as image:
        image.load()
        profile = image.info.get("icc_profile")
        shown = image.convert("RGB")
    if profile is not None:
        source, target = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
        shown = ImageCms.profileToProfile(shown, source, target, renderingIntent=1)
    return np.asarray(shown, np.float32) / 255


@cache
def grey() -> np.ndarray:
    return photos.scene(width=256, height=192)


def written(path: Path, profile: bytes | None) -> Path:
    options = {"quality": 95} if path.suffix == ".jpg" else {}
    return photos.save(path, grey(), icc_profile=profile, **options)


@pytest.mark.few(2)
@pytest.mark.parametrize("suffix", sampled([".jpg", ".png", ".tif"], ".jpg"))
@pytest.mark.parametrize("name", PROFILES)
def test_greys_stay_neutral(name: str, suffix: str, tmp_path: Path, tiny: Path) -> None:
    result, _ = painted(written(tmp_path / f"a{suffix}", PROFILES[name]()), tiny, (0, 0))
    assert np.ptp(in_srgb(result), axis=2).max() <= 1.01 / 255


@pytest.mark.few(1)
@pytest.mark.parametrize("ab", sampled([(20, -25), (28, 25), (-22, 20)], (28, 25)))
@pytest.mark.parametrize("name", PROFILES)
def test_a_known_colour_comes_out_within_two_delta_e(
    name: str, ab: tuple[float, float], tmp_path: Path, tiny: Path
) -> None:
    for suffix in (".jpg", ".png", ".tif"):
        result, _ = painted(written(tmp_path / f"a{suffix}", PROFILES[name]()), tiny, ab)
        lab = cv2.cvtColor(in_srgb(result), cv2.COLOR_RGB2Lab)
        middle = lab[(lab[..., 0] > 40) & (lab[..., 0] < 70)]
        assert len(middle) > 3000
        assert np.hypot(*(np.median(middle[:, 1:], axis=0) - ab)) < 2
        assert np.median(np.hypot(*(middle[:, 1:] - ab).T)) < 2


@pytest.mark.few(2)
@pytest.mark.parametrize("name", GREY_ONLY)
def test_the_network_sees_what_the_eye_sees(name: str, tmp_path: Path, tiny: Path) -> None:
    source = written(tmp_path / "a.png", PROFILES[name]())
    _, engine = painted(source, tiny, (0, 0))
    with Image.open(source) as image:
        grey = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        lab = ImageCms.profileToProfile(image, grey, ImageCms.createProfile("LAB"), 1, outputMode="LAB")
    wanted = float(np.asarray(lab)[..., 0].mean() / 2.55)
    assert engine.seen[0].mean() == pytest.approx(wanted, abs=1)
