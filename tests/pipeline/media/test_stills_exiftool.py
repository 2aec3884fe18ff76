"""What ExifTool, which has no line of code in common with us, finds in a source it also finds in the result."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests import photos
from tests.commands import PATIENCE
from tests.pipeline.media.test_stills import coloured
from tests.pipeline.media.test_stills_metadata import SOURCE_TYPE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed"),
]

WRITTEN = {
    "EXIF:Make": "Voigt & Sohn",
    "EXIF:Model": "Plate camera",
    "EXIF:DateTimeOriginal": "1912:05:01 10:20:30",
    "EXIF:ModifyDate": "2024:05:01 10:00:00",
    "EXIF:OffsetTimeOriginal": "+01:00",
    "EXIF:SubSecTimeOriginal": "25",
    "EXIF:Orientation": "Rotate 90 CW",
    "EXIF:XResolution": "600",
    "EXIF:YResolution": "600",
    "EXIF:ResolutionUnit": "inches",
    "EXIF:Copyright": "City archive",
    "EXIF:UserComment": "Box 12, plate 7",
    "EXIF:GPSLatitude": "53.5",
    "EXIF:GPSLatitudeRef": "N",
    "EXIF:GPSLongitude": "9.9",
    "EXIF:GPSLongitudeRef": "E",
    "XMP-dc:Title": "Harbour",
    "XMP-dc:Subject": "ships",
    "XMP-photoshop:DateCreated": "1912:05:01",
    "XMP-iptcCore:Location": "Hafen",
}
IPTC = {
    "IPTC:Headline": "Harbour at noon",
    "IPTC:DateCreated": "1912:05:01",
    "IPTC:TimeCreated": "10:20:30+01:00",
    "IPTC:City": "Hamburg",
    "IPTC:Keywords": "ships",
}
# Of the file, of how pixels are stored, worked out from others, and what a declaration of AI colour changes.
NOT_COMPARED = ("System:", "File:", "ExifTool:", "Composite:", "SourceFile", "XMP-x:XMPToolkit")
STORAGE = (
    *("ImageWidth", "ImageHeight", "BitsPerSample", "Compression", "PhotometricInterpretation", "StripOffsets"),
    *("SamplesPerPixel", "RowsPerStrip", "StripByteCounts", "PlanarConfiguration", "Predictor", "ColorType"),
    *("ColorComponents", "BitDepth", "Filter", "Interlace", "VP8Version", "HorizontalScale", "VerticalScale"),
    *("NumberOfComponents", "ColorSpace", "ThumbnailOffset", "AlphaIsUsed", "ImageLength", "EncodingProcess"),
)


def exiftool(*arguments: object) -> str:
    done = subprocess.run(
        ["exiftool", *map(str, arguments)], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    return done.stdout


def tags_of(path: Path) -> dict[str, Any]:
    (found,) = json.loads(exiftool("-j", "-a", "-G1", "-struct", path))
    return {
        name: value
        for name, value in found.items()
        if not name.startswith(NOT_COMPARED) and name.rpartition(":")[2] not in STORAGE
    }


def source(folder: Path, suffix: str, *, toned: bool) -> Path:
    pixels = photos.sepia(photos.scene()) if toned else photos.scene()
    path = folder / f"photo{suffix}"
    if suffix == ".jp2":
        photos.save_jp2(path, pixels, icc=photos.srgb_profile())
    else:
        photos.save(
            path, pixels, icc_profile=photos.srgb_profile(), **({"lossless": True} if suffix == ".webp" else {})
        )
    wanted = WRITTEN | (IPTC if suffix in (".jpg", ".tif", ".jp2") else {})
    exiftool("-q", "-overwrite_original", *(f"-{name}={value}" for name, value in wanted.items()), path)
    return path


@dataclass(frozen=True)
class Made:
    source: Path
    result: Path
    before: dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Made]:
    """Give a source and what came of it, once for all tests."""

    @cache
    def make(suffix: str, toned: bool) -> Made:
        path = source(tmp_path_factory.mktemp("photo"), suffix, toned=toned)
        before = tags_of(path)
        return Made(path, coloured(path)[1], before)

    return make


@pytest.mark.parametrize("toned", [False, True])
@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".png", ".webp", ".jp2"])
def test_every_tag_of_the_source_is_in_the_result(made: Callable[[str, bool], Made], suffix: str, toned: bool) -> None:
    before = made(suffix, toned).before
    after = tags_of(made(suffix, toned).result)
    lost = {name: (value, after.get(name)) for name, value in before.items() if after.get(name) != value}
    assert not lost
    for name in (*WRITTEN, *IPTC):
        group, _, tag = name.partition(":")
        if group != "IPTC" or suffix in (".jpg", ".tif", ".jp2"):
            assert any(key.endswith(f":{tag}") for key in after), name
    gained = {name for name in after if name not in before}
    assert {name for name in gained if not name.startswith("XMP-iptcExt:")} <= {"PNG:XMPToolkit"}
    assert after["XMP-iptcExt:DigitalSourceType"] == SOURCE_TYPE
    assert after["XMP-iptcExt:AISystemUsed"] == "Autochrome"


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".png", ".webp", ".jp2"])
def test_the_result_is_a_sound_file(made: Callable[[str, bool], Made], suffix: str) -> None:
    photo = made(suffix, False)
    words = ("-j", "-validate", "-warning", "-error", "-a", photo.result, photo.source)
    found, before = json.loads(exiftool(*words))
    assert "Error" not in found
    assert found.get("Warning") == before.get("Warning")
