"""What the system says of a disk is told as such: it is no damage of the photograph, which is tried again."""

from __future__ import annotations

import errno
import os
import struct
import sys
from pathlib import Path

import pytest
import tifffile

from pipeline.errors import InputError, UnreadableError
from pipeline.media.stills import read_still
from pipeline.results import Failure
from tests import photos
from tests.commands import python
from tests.pipeline.media.failing_disk import fail_behind
from tests.pipeline.media.test_stills_heif import heic

SCENE = photos.scene()


def save(path: Path) -> Path:
    if path.suffix == ".jp2":
        return photos.save_jp2(path, SCENE)
    if path.suffix == ".heic":
        return heic(path, SCENE, mode="L")
    return photos.save(path, SCENE)


@pytest.mark.few(4)
@pytest.mark.parametrize("error", [errno.EIO, errno.ESTALE], ids=["EIO", "ESTALE"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".jp2", ".webp", ".avif", ".heic", ".bmp", ".gif"])
def test_a_disk_that_fails_is_no_damage_of_the_photograph(
    suffix: str, error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / f"photo{suffix}")
    size = path.stat().st_size
    for good in (64, 300, size // 2, size - 10):
        with monkeypatch.context() as patched:
            fail_behind(path, good, error, patched)
            with pytest.raises(UnreadableError, match=os.strerror(error)) as raised:
                read_still(path)
        assert "Copy it again" not in raised.value.advice
        assert Failure.of(path, raised.value).unreadable


def test_a_file_that_breaks_off_is_damaged_and_not_unreadable(tmp_path: Path) -> None:
    path = photos.save(tmp_path / "photo.bmp", SCENE)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="cannot be decoded") as raised:
        read_still(path)
    assert not Failure.of(path, raised.value).unreadable


# Opens a file in little memory; prints what that raises.
OPENING = """
import resource, sys
from pathlib import Path
from pipeline.media.stills.tiff.sequence import opened
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (64 << 20), -1))
try:
    with opened(Path(sys.argv[1])):
        pass
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory")
def test_a_tiff_that_asks_for_more_memory_than_there_is_is_damaged_only_if_it_holds_less(tmp_path: Path) -> None:
    path = photos.save_tiff(tmp_path / "photo.tif", SCENE)
    with tifffile.TiffFile(path) as tiff:
        entries = tiff.pages[0].tags
        description, pixels = entries["ImageDescription"].offset, entries["StripOffsets"].offset
    _overwrite(path, description + 4, 1 << 28)
    os.truncate(path, (1 << 28) + 4096)
    assert python(OPENING, path).stdout.startswith("MemoryError")
    _overwrite(path, pixels + 8, 0xFFFFFF00)
    told = python(OPENING, path).stdout
    assert told.startswith("InputError")
    assert "cannot be decoded" in told


def _overwrite(path: Path, place: int, number: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(struct.pack("<I", number))


def test_what_has_no_room_in_memory_is_no_fault_of_the_program(tmp_path: Path) -> None:
    failure = Failure.of(tmp_path / "huge.tif", MemoryError())
    assert "memory" in failure.error
    assert "fault of the program" not in failure.advice
