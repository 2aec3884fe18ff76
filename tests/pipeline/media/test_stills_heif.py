"""HEIC and AVIF become PNG without loss of a bit or a tag."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

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


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(data), kind) + data


def with_two_lists_of_properties(path: Path) -> Path:
    """An AVIF with alpha as early writers made it: an ``ipma`` box for each of the two pictures."""
    pixels = np.dstack([photos.sepia(photos.scene()), photos.scene()])
    Image.fromarray(pixels, "RGBA").save(path, quality=100, subsampling="4:4:4")
    data = path.read_bytes()
    start = data.index(b"ipma") - 4
    end = start + int.from_bytes(data[start : start + 4])
    head, number, entries = data[start + 8 : start + 12], int.from_bytes(data[start + 12 : start + 16]), []
    at = start + 16
    for _ in range(number):
        size = 3 + data[at + 2]
        entries.append(data[at : at + size])
        at += size
    assert (at, number) == (end, 2)
    lists = b"".join(box(b"ipma", head + (1).to_bytes(4) + entry) for entry in entries)
    grown = bytearray(data[:start] + lists + data[end:])
    more = len(grown) - len(data)
    for kind in (b"meta", b"iprp"):
        at = data.index(kind) - 4
        grown[at : at + 4] = (int.from_bytes(data[at : at + 4]) + more).to_bytes(4)
    # Each item: number, reference, one extent, offset, length (ISO/IEC 14496-12, 8.11.3).
    at = data.index(b"iloc") + 4 + 4 + 2 + 2
    for place in (at + 6, at + 6 + 14):
        grown[place : place + 4] = (int.from_bytes(data[place : place + 4]) + more).to_bytes(4)
    path.write_bytes(grown)
    return path


def test_an_avif_with_two_lists_of_properties_is_read_with_its_alpha(tmp_path: Path) -> None:
    path = with_two_lists_of_properties(tmp_path / "a.avif")
    with pytest.raises(UnidentifiedImageError), Image.open(path):
        pass
    still = read_still(path)
    assert still.alpha is not None
    assert np.abs(still.alpha.astype(int) - photos.scene()).max() <= 4


@pytest.mark.few(1)
@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_random_damage_is_refused_or_read_and_nothing_else(suffix: str, tmp_path: Path) -> None:
    path = described(tmp_path / f"a{suffix}", suffix)
    assert refusals(path, times=30, start=32, seed=5) > 0


@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_the_pixel_limit_holds(suffix: str, tmp_path: Path) -> None:
    path = described(tmp_path / f"a{suffix}", suffix)
    with pytest.raises(InputError, match="million pixels"):
        read_still(path, pixel_limit=photos.WIDTH * photos.HEIGHT - 1)
