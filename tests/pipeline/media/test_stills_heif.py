"""HEIC and AVIF become PNG without loss of a bit or a tag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError, UnsupportedError
from pipeline.media.stills import read_still
from tests import photos
from tests.pipeline.media.test_stills import coloured
from tests.pipeline.media.test_stills_refused import refusals


def heic(path: Path, pixels: np.ndarray, *, mode: str, **options: Any) -> Path:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    height, width = pixels.shape[:2]
    image = heif.from_bytes(mode, (width, height), pixels.tobytes())
    image.save(path, **({"quality": -1, "chroma": 444} | options))
    return path


def described(path: Path, suffix: str) -> Path:
    options = {"exif": photos.exif(), "xmp": photos.XMP, "icc_profile": photos.srgb_profile()}
    if suffix == ".heic":
        return heic(path, photos.sepia(photos.scene()), mode="RGB", **options)
    return photos.save(path, photos.sepia(photos.scene()), **options)


def test_a_grey_heic_is_read_to_the_bit(tmp_path: Path) -> None:
    still = read_still(heic(tmp_path / "a.heic", photos.scene(), mode="L"))
    assert np.array_equal(still.luma, photos.scene())
    assert (str(still.format), still.bits, still.chroma) == ("HEIC", 8, None)


def test_a_heif_in_another_coding_is_refused_and_not_called_damaged(tmp_path: Path) -> None:
    path = heic(tmp_path / "a.heif", photos.scene(), mode="L")
    path.write_bytes(path.read_bytes().replace(b"hvc1", b"unci"))
    with pytest.raises(UnsupportedError, match="no picture in a coding that is read"):
        read_still(path)


def test_ten_bits_of_heic_become_sixteen_from_black_to_white(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(1024, dtype=np.uint16), (64, 1))
    rgb = np.repeat(ramp[..., None] << 6, 3, axis=2)
    still = read_still(heic(tmp_path / "a.heic", rgb, mode="RGB;16"))
    assert still.bits == 16
    assert (still.luma.min(), still.luma.max()) == (0, 65535)
    assert np.abs(still.luma / 65535 - ramp / 1023).max() < 3 / 1023


def test_ten_bits_of_avif_become_sixteen_from_black_to_white(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(1024, dtype=np.uint16), (64, 1))
    path = tmp_path / "a.avif"
    path.write_bytes(
        imagecodecs.avif_encode(np.repeat(ramp[..., None], 3, axis=2), level=100, bitspersample=10, speed=10)
    )
    still = read_still(path)
    assert still.bits == 16
    assert (still.luma.min(), still.luma.max()) == (0, 65535)
    assert np.abs(still.luma / 65535 - ramp / 1023).max() < 3 / 1023


@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_all_metadata_goes_into_the_png(suffix: str, tmp_path: Path) -> None:
    still, result = coloured(described(tmp_path / f"a{suffix}", suffix))
    assert result.suffix == ".png"
    with Image.open(result) as image:
        image.load()
        assert image.getexif()[271] == "Voigt & Sohn"
        assert image.getexif().get_ifd(34665)[33434] == (1, 25)
        assert image.info["icc_profile"] == photos.srgb_profile()
        assert image.getexif().get(274, 1) == still.orientation
    assert photos.XMP_TITLE in photos.xmp_of(result).decode()
    assert any("written as PNG" in note.text for note in still.notes)


@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_it_is_shown_the_same_way_up(suffix: str, tmp_path: Path) -> None:
    still = read_still(described(tmp_path / f"a{suffix}", suffix))
    turned = np.rot90(photos.scene(), -1)
    upright = {1: still.luma, 6: np.rot90(still.luma, -1)}[still.orientation]
    assert upright.shape == turned.shape
    assert np.abs(upright.astype(int) - turned).mean() < 3


def test_the_source_s_own_colours_can_be_written(tmp_path: Path) -> None:
    still = read_still(described(tmp_path / "a.avif", ".avif"))
    assert still.own_rgb is not None
    pixels = still.own_rgb()
    with Image.open(tmp_path / "a.avif") as image:
        assert np.abs(np.asarray(image, int) - pixels).max() <= 1


@pytest.mark.few(1)
@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_random_damage_is_refused_or_read_and_nothing_else(suffix: str, tmp_path: Path) -> None:
    path = described(tmp_path / f"a{suffix}", suffix)
    assert refusals(path, times=60, start=32, seed=5) > 0


@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_the_pixel_limit_holds(suffix: str, tmp_path: Path) -> None:
    path = described(tmp_path / f"a{suffix}", suffix)
    with pytest.raises(InputError, match="million pixels"):
        read_still(path, pixel_limit=photos.WIDTH * photos.HEIGHT - 1)
