"""What the system says of a disk is told as such: it is no damage of the photograph, which is tried again."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest
import tifffile

from pipeline.errors import InputError, UnreadableError
from pipeline.media.stills import read_still
from pipeline.media.stills.tiff.sequence import opened
from pipeline.results import Failure
from tests import photos
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


def test_a_tiff_that_asks_for_more_memory_than_there_is_is_damaged_only_if_it_holds_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object, **__: object) -> None:
        raise MemoryError

    path = photos.save(tmp_path / "photo.tif", SCENE)
    with monkeypatch.context() as patched:
        patched.setattr(tifffile.TiffFile, "__init__", too_large)
        with pytest.raises(MemoryError), opened(path):
            pytest.fail("it was opened")
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * (entries - 1) + 4, 0xFFFFFFF0)
    path.write_bytes(data)
    monkeypatch.setattr(tifffile.TiffFile, "__init__", too_large)
    with pytest.raises(InputError, match="cannot be decoded"), opened(path):
        pytest.fail("it was opened")


def test_what_has_no_room_in_memory_is_no_fault_of_the_program(tmp_path: Path) -> None:
    failure = Failure.of(tmp_path / "huge.tif", MemoryError())
    assert "memory" in failure.error
    assert "fault of the program" not in failure.advice
