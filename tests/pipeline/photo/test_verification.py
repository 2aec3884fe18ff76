"""A result gets its name only after it was read back: what a writer does wrong is found, and nothing is published."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.color.colorizer import Colorizer
from pipeline.errors import VerificationError
from pipeline.media.stills import read_still
from pipeline.media.stills.registry import FORMATS
from pipeline.media.stills.still import Page, StillFormat
from pipeline.options import Options, Tone
from pipeline.photo.one import colorize_photo
from pipeline.photo.verification import verify_copy
from pipeline.results import Note, Proof
from tests.photos import (
    grey_profile,
    rgb_of,
    save,
    save_jp2,
    save_tiff,
    save_with_metadata,
    scene,
    sepia,
    srgb_profile,
    tinted,
    working_space,
)

Fault = Callable[[bytes], bytes]
FORMAT = {str(still_format): still_format for still_format in FORMATS}


def swapped(old: bytes, new: bytes) -> Fault:
    def fault(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new)

    return fault


def without_chunk(kind: bytes) -> Fault:
    def fault(data: bytes) -> bytes:
        at = data.index(kind) - 4
        (size,) = struct.unpack_from(">I", data, at)
        return data[:at] + data[at + 12 + size :]

    return fault


def without_segment(begin: bytes) -> Fault:
    """Take the JPEG segment out whose payload begins so."""

    def fault(data: bytes) -> bytes:
        at = data.index(begin) - 4
        (size,) = struct.unpack_from(">H", data, at + 2)
        return data[:at] + data[at + 2 + size :]

    return fault


def shortened_scan(number: int) -> Fault:
    """Take the end of a scan's coded data away; where the next one begins, or the end marker, stays."""

    def fault(data: bytes) -> bytes:
        starts = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)]
        ends = [data.rfind(b"\xff\xc4", 0, at) for at in starts[1:]] + [len(data) - 2]
        end = ends[number]
        return data[: end - 200] + data[end:]

    return fault


def recoded_png(change: Callable[[np.ndarray], np.ndarray]) -> Fault:
    """Replace the pixels of a PNG, with sound check sums."""

    def fault(data: bytes) -> bytes:
        width, height = struct.unpack_from(">II", data, 16)
        first, last = data.index(b"IDAT") - 4, data.rindex(b"IEND") - 4
        with Image.open(BytesIO(data)) as image:
            pixels = change(np.asarray(image).copy())
        rows = b"".join(b"\0" + row.tobytes() for row in pixels)
        packed = zlib.compress(rows)
        chunk = struct.pack(">I", len(packed)) + b"IDAT" + packed
        assert pixels.shape[:2] == (height, width)
        return data[:first] + chunk + struct.pack(">I", zlib.crc32(b"IDAT" + packed)) + data[last:]

    return fault


def one_code(pixels: np.ndarray) -> np.ndarray:
    pixels[50, 60, 0] ^= 1
    return pixels


def other_hue(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., ::-1]


def opaque(pixels: np.ndarray) -> np.ndarray:
    pixels[..., 3] = 255
    return pixels


def coarser_luma(data: bytes) -> bytes:
    """Make the first quantisation table of a JPEG twice as coarse: luma decodes to something else."""
    at = data.index(b"\xff\xdb") + 5
    return data[: at + 1] + bytes((data[at + 1] * 2,)) + data[at + 2 :]


def swapped_chroma(data: bytes) -> bytes:
    """Exchange the components that the last two scans of a JPEG are for."""
    starts = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)]
    made = bytearray(data)
    for at in starts:
        made[at + 5] = {1: 1, 2: 3, 3: 2}[made[at + 5]]
    return bytes(made)


def narrower_jpeg(data: bytes) -> bytes:
    at = data.index(b"\xff\xc0") + 7
    return data[:at] + struct.pack(">H", struct.unpack_from(">H", data, at)[0] - 16) + data[at + 2 :]


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def repeated(data: bytes) -> bytes:
    """Write some coded data of the last chroma scan twice."""
    return data[:-300] + data[-350:-300] + data[-300:]


def without_last_page(data: bytes) -> bytes:
    with tifffile.TiffFile(BytesIO(data)) as tiff:
        at = tiff.pages[0].offset
    (number,) = struct.unpack_from("<H", data, at)
    return data[: at + 2 + 12 * number] + bytes(4) + data[at + 6 + 12 * number :]


def jpeg(path: Path) -> Path:
    return save_with_metadata(path.with_suffix(".jpg"), scene(), icc=working_space("Adobe RGB"), comment=b"Box 12")


def toned_jpeg(path: Path) -> Path:
    return save_with_metadata(path.with_suffix(".jpg"), sepia(scene()), quality=85)


def progressive(path: Path) -> Path:
    return save(path.with_suffix(".jpg"), scene(), progressive=True)


def png(path: Path) -> Path:
    return save_with_metadata(path.with_suffix(".png"), scene(), icc=srgb_profile())


def alpha_png(path: Path) -> Path:
    return save(path.with_suffix(".png"), np.dstack((scene(), scene()[::-1])))


def grey_tiff(path: Path) -> Path:
    return save_tiff(path.with_suffix(".tif"), scene(bits=16), iccprofile=grey_profile())


def pages(path: Path) -> Path:
    own = rgb_of(scene(), *tinted(scene()))
    with tifffile.TiffWriter(path.with_suffix(".tif")) as tiff:
        tiff.write(scene(), photometric="minisblack", metadata=None)
        tiff.write(own, photometric="rgb", metadata=None)
    return path.with_suffix(".tif")


def webp(path: Path) -> Path:
    return save_with_metadata(path.with_suffix(".webp"), scene(), lossless=True, icc=srgb_profile())


def jp2(path: Path) -> Path:
    return save_jp2(path.with_suffix(".jp2"), scene()) or path.with_suffix(".jp2")


FAULTS: dict[str, tuple[Callable[[Path], Path], str, Fault]] = {
    "jpeg-luma-scan-cut": (jpeg, "JPEG", shortened_scan(0)),
    "jpeg-first-chroma-scan-cut": (toned_jpeg, "JPEG", shortened_scan(1)),
    "jpeg-last-chroma-scan-cut": (jpeg, "JPEG", shortened_scan(2)),
    "jpeg-luma-changed": (jpeg, "JPEG", coarser_luma),
    "jpeg-luma-changed-progressive": (progressive, "JPEG", coarser_luma),
    "jpeg-chroma-swapped": (jpeg, "JPEG", swapped_chroma),
    "jpeg-chroma-wrong-from-some-block-on": (jpeg, "JPEG", repeated),
    "jpeg-cut": (jpeg, "JPEG", cut),
    "jpeg-without-end": (jpeg, "JPEG", lambda data: data[:-2]),
    "jpeg-narrower": (jpeg, "JPEG", narrower_jpeg),
    "jpeg-profile-lost": (jpeg, "JPEG", without_segment(b"ICC_PROFILE\0")),
    "jpeg-exif-lost": (jpeg, "JPEG", without_segment(b"Exif\0\0")),
    "jpeg-comment-lost": (jpeg, "JPEG", without_segment(b"Box 12")),
    "jpeg-declaration-lost": (
        jpeg,
        "JPEG",
        swapped(b"compositeWithTrainedAlgorithmicMedia", b"negativeFilm" + b" " * 24),
    ),
    "jpeg-title-lost": (jpeg, "JPEG", swapped(b"Harbour, 1912", b"Harbour, 1913")),
    "png-one-sample-off-by-one": (png, "PNG", recoded_png(one_code)),
    "png-chroma-swapped": (png, "PNG", recoded_png(other_hue)),
    "png-alpha-lost": (alpha_png, "PNG", recoded_png(opaque)),
    "png-cut": (png, "PNG", cut),
    "png-profile-lost": (png, "PNG", without_chunk(b"iCCP")),
    "png-resolution-lost": (png, "PNG", without_chunk(b"pHYs")),
    "png-exif-lost": (png, "PNG", without_chunk(b"eXIf")),
    "png-xmp-damaged": (png, "PNG", swapped(b"Harbour, 1912", b"Harbour, 1913")),
    "tiff-cut": (grey_tiff, "TIFF", cut),
    "tiff-pixel-off": (grey_tiff, "TIFF", lambda data: data[:4000] + bytes((data[4000] ^ 1,)) + data[4001:]),
    "tiff-tag-changed": (grey_tiff, "TIFF", swapped(b"ScanWorks 3", b"ScanWorks 4")),
    "tiff-profile-changed": (grey_tiff, "TIFF", swapped(b"acsp", b"acsq")),
    "tiff-page-lost": (pages, "TIFF", without_last_page),
    "tiff-kept-page-changed": (
        pages,
        "TIFF",
        lambda data: data.replace(rgb_of(scene(), *tinted(scene()))[60].tobytes(), bytes(173 * 3)),
    ),
    "webp-cut": (webp, "WebP", cut),
    "webp-profile-changed": (webp, "WebP", swapped(b"acsp", b"acsq")),
    "jp2-cut": (jp2, "JPEG 2000", cut),
    "jp2-resolution-changed": (jp2, "JPEG 2000", lambda data: data[:-400] + bytes(300) + data[-100:]),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_writer_is_found_and_nothing_is_published(
    name: str, tmp_path: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, format_name, fault = FAULTS[name]
    source = make(tmp_path / "photo")
    before = source.read_bytes()
    written = _with_fault(monkeypatch, FORMAT[format_name], fault)
    with pytest.raises(VerificationError) as caught:
        colorize_photo(source, tmp_path / "out" / source.name, colorizer=colorizer)
    assert written
    assert caught.value.exit_code == 7
    assert caught.value.advice
    assert str(caught.value).startswith(f"{source}: the finished result failed verification: ")
    assert ".autochrome-" not in str(caught.value)
    assert not list((tmp_path / "out").iterdir())
    assert source.read_bytes() == before


def _with_fault(
    monkeypatch: pytest.MonkeyPatch, still_format: StillFormat, fault: Fault, *, is_own: bool = True
) -> list[Path]:
    """Let the real writer of a format write, and then damage its file; the paths are those that were damaged.

    ``is_own``: it is the writer that does so, not the disk.
    """
    write, damaged = still_format.write, []

    def faulty(path: Path, pages: Sequence[Page]) -> tuple[Note, ...]:
        notes = write(path, pages)
        data = path.read_bytes()
        path.write_bytes(fault(data))
        assert path.read_bytes() != data
        if is_own and pages[0].file_digest is not None:
            pages[0].file_digest = hashlib.sha256(fault(data)).digest()
        damaged.append(path)
        return notes

    monkeypatch.setattr(still_format, "write", faulty)
    return damaged


def test_a_bit_that_the_disk_changed_in_coded_chroma_is_found(
    tmp_path: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = jpeg(tmp_path / "photo")
    _with_fault(
        monkeypatch, FORMAT["JPEG"], lambda data: data[:-40] + bytes((data[-40] ^ 1,)) + data[-39:], is_own=False
    )
    with pytest.raises(VerificationError):
        colorize_photo(source, tmp_path / "out.jpg", colorizer=colorizer)
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.few(2)
@pytest.mark.parametrize("make", [jpeg, toned_jpeg, progressive])
def test_jpeg_luma_is_proved_exact_and_chroma_within_its_quantisation(
    make: Callable[[Path], Path], tmp_path: Path, colorizer: Colorizer
) -> None:
    source = make(tmp_path / "photo")
    found = colorize_photo(source, tmp_path / "out" / source.name, colorizer=colorizer).verification
    assert found.luma.proof is Proof.EXACT
    assert "quantisation allows" in found.checks["chroma"]
    assert str(found.luma) == "bit for bit that of the source, 1 page"


@pytest.mark.few(2)
@pytest.mark.parametrize("make", [png, alpha_png, grey_tiff, webp, jp2])
def test_lossless_results_hold_every_sample_and_luma_within_rounding(
    make: Callable[[Path], Path], tmp_path: Path, colorizer: Colorizer
) -> None:
    source = make(tmp_path / "photo")
    found = colorize_photo(source, tmp_path / "out" / source.name, colorizer=colorizer).verification
    assert found.checks["samples"] == "each as it was made"
    assert found.luma.max_error <= 1
    assert "declares AI colour" in found.checks["XMP"]


def test_pages_are_verified_one_by_one(tmp_path: Path, colorizer: Colorizer) -> None:
    source = pages(tmp_path / "photo")
    found = colorize_photo(source, tmp_path / "out" / source.name, colorizer=colorizer).verification
    assert found.luma.frames == 2
    assert found.checks["page 1, samples"] == "each as it was made"
    assert found.checks["page 2, picture"] == "kept, byte for byte as it was packed"


def test_a_copy_is_verified_byte_for_byte(tmp_path: Path, colorizer: Colorizer) -> None:
    source = toned_jpeg(tmp_path / "photo")
    result = colorize_photo(source, tmp_path / "out" / "photo.jpg", Options(tone=Tone.KEEP), colorizer=colorizer)
    assert result.verification.checks == {"copy": "byte for byte the source"}
    assert result.verification.luma.proof is Proof.EXACT


@pytest.mark.parametrize(
    "fault",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        lambda data: b"",
    ],
    ids=["a byte short", "a byte long", "one bit", "empty"],
)
def test_a_copy_that_is_not_its_source_is_found(tmp_path: Path, fault: Fault) -> None:
    source = save(tmp_path / "a.png", scene())
    # More than is compared at once.
    source.write_bytes(source.read_bytes() + bytes(range(256)) * 6000)
    still, copy = read_still(source), tmp_path / "copy.png"
    copy.write_bytes(source.read_bytes())
    assert verify_copy(copy, still).luma.proof is Proof.EXACT
    copy.write_bytes(fault(source.read_bytes()))
    with pytest.raises(VerificationError, match=r"a\.png: its copy differs from it"):
        verify_copy(copy, still)
