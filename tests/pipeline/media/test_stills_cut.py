"""Photographs that were cut off: damaged, or coloured with a note, never taken for whole."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.errors import InputError
from pipeline.media.stills import Still, read_still
from pipeline.media.stills.jpeg.segments import parse
from pipeline.results import NoteKind
from tests import photos
from tests.pipeline.media.test_stills import coloured
from tests.pipeline.media.test_stills_odd import jpeg_luma
from tests.sampled import sampled

GREY = photos.scene(width=128, height=96)
JPEGTRAN = shutil.which("jpegtran")
END = b"\xff\xd9"


def progressive(*, toned: bool, **options: object) -> bytes:
    return photos.jpeg_bytes(photos.sepia(GREY) if toned else GREY, quality=85, progressive=True, **options)


def arithmetic(*, toned: bool, scans: str) -> bytes:
    if JPEGTRAN is None:
        pytest.skip("no jpegtran, which makes JPEG with arithmetic coding")
    given = photos.jpeg_bytes(photos.sepia(GREY) if toned else GREY, quality=85)
    return subprocess.run(
        [JPEGTRAN, "-arithmetic", *scans.split()], input=given, capture_output=True, check=True
    ).stdout


BUILDS: dict[str, Callable[[bool], bytes]] = {
    "progressive": lambda toned: progressive(toned=toned),
    "progressive with restarts": lambda toned: progressive(toned=toned, restart_marker_rows=2),
    "arithmetic": lambda toned: arithmetic(toned=toned, scans=""),
    "arithmetic, progressive": lambda toned: arithmetic(toned=toned, scans="-progressive"),
}


def cuts(data: bytes) -> list[int]:
    """Places in, and at the ends of, every scan, some bytes away from the very end of each."""
    found, position = [], 0
    for scan in parse(data).scans:
        start = data.index(scan.data, position)
        position = start + len(scan.data)
        found += [start, start + len(scan.data) // 3, max(start, position - 24)]
    return found


def concealed(still: Still) -> list[str]:
    return [note.text for note in still.notes if note.kind is NoteKind.CONCEALED]


@pytest.mark.few(4)
@pytest.mark.parametrize("toned", [False, True])
@pytest.mark.parametrize("build", BUILDS)
def test_a_jpeg_cut_in_any_of_its_scans_is_damaged(build: str, toned: bool, tmp_path: Path) -> None:
    data, path = BUILDS[build](toned), tmp_path / "photo.jpg"
    for cut in cuts(data):
        path.write_bytes(data[:cut])
        with pytest.raises(InputError, match=r"cannot be decoded|no frame or no scan"):
            read_still(path)


@pytest.mark.few(1)
@pytest.mark.parametrize("toned", sampled([False, True], False))
@pytest.mark.parametrize("build", BUILDS)
def test_a_jpeg_cut_and_closed_again_is_coloured_as_far_as_it_goes_and_says_so(
    build: str, toned: bool, tmp_path: Path
) -> None:
    data, path = BUILDS[build](toned), tmp_path / "photo.jpg"
    for cut in cuts(data)[1:]:
        path.write_bytes(data[:cut] + END)
        still, result = coloured(path)
        assert any("damaged" in text for text in concealed(still)), cut
        made = jpeg_luma(result.read_bytes()).astype(int)
        assert np.sqrt(np.square(made - still.luma).mean()) < 4


@pytest.mark.few(5)
@pytest.mark.parametrize("toned", [False, True])
@pytest.mark.parametrize("build", BUILDS)
def test_a_whole_one_is_called_whole_with_and_without_its_end_marker(build: str, toned: bool, tmp_path: Path) -> None:
    data, path = BUILDS[build](toned), tmp_path / "photo.jpg"
    path.write_bytes(data)
    assert not concealed(read_still(path))
    path.write_bytes(data[:-2])
    assert len(concealed(read_still(path))) == 1


def test_where_only_chroma_breaks_off_luma_is_carried_over(tmp_path: Path) -> None:
    data, path = progressive(toned=True), tmp_path / "photo.jpg"
    scans = parse(data).scans
    at = [index for index, scan in enumerate(scans) if scan.selectors[0][0] != 1 and scan.spectrum[0] > 0][-1]
    start = data.index(scans[at].data)
    path.write_bytes(data[: start + 2] + data[start + len(scans[at].data) :])
    still, result = coloured(path)
    assert concealed(still)
    assert np.array_equal(jpeg_luma(result.read_bytes()), jpeg_luma(data))


def test_a_tiff_that_lost_its_last_pages_is_damaged(tmp_path: Path) -> None:
    file = BytesIO()
    with tifffile.TiffWriter(file) as writer:
        ends = []
        for _ in range(3):
            writer.write(GREY, metadata=None)
            ends.append(file.tell())
    path = tmp_path / "photo.tif"
    path.write_bytes(file.getvalue()[: ends[1]])
    with pytest.raises(InputError, match="page 3 is not there"):
        read_still(path)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_tiff_cut_behind_its_picture_is_coloured_and_says_so(lost: int, tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    Image.fromarray(GREY).save(path, compression="tiff_lzw")
    path.write_bytes(path.read_bytes()[:-lost])
    still, _ = coloured(path)
    assert concealed(still) == ["the TIFF breaks off after its last page, which is complete"]


@pytest.mark.parametrize("lost", [1, 2])
def test_a_gif_cut_behind_its_picture_is_coloured_and_says_so(lost: int, tmp_path: Path) -> None:
    path = tmp_path / "photo.gif"
    Image.fromarray(GREY).save(path)
    path.write_bytes(path.read_bytes()[:-lost])
    still, _ = coloured(path)
    assert concealed(still) == ["the GIF breaks off after its first picture, which is complete"]


TAILS = {
    **{name: {"format": name} for name in ("PNG", "BMP", "JPEG2000", "AVIF")},
    "WebP": {"format": "WEBP", "lossless": True},
    "WebP, lossy": {"format": "WEBP"},
    "TIFF": {"format": "TIFF"},
    "TIFF, JPEG": {"format": "TIFF", "compression": "jpeg"},
    "TIFF, LZW": {"format": "TIFF", "compression": "tiff_lzw"},
    "GIF": {"format": "GIF"},
}
SUFFIXES = {"JPEG2000": "jp2"}


@pytest.mark.few(3)
@pytest.mark.parametrize("name", TAILS)
def test_no_cut_of_any_format_goes_unsaid(name: str, tmp_path: Path) -> None:
    file = BytesIO()
    options = dict(TAILS[name])
    Image.fromarray(photos.sepia(GREY)).save(file, **options)  # type: ignore[arg-type]
    data = file.getvalue()
    path = tmp_path / f"photo.{SUFFIXES.get(name, str(options['format']).lower())}"
    for cut in (*range(1, 14), *(len(data) * share // 16 for share in range(1, 16))):
        path.write_bytes(data[:-cut])
        try:
            still = read_still(path)
        except InputError:
            continue
        assert concealed(still), cut
