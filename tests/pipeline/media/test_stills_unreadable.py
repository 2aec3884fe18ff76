"""What the system says of a disk is told as such: it is no damage of the photograph, which is tried again."""

from __future__ import annotations

import builtins
import errno
import io
import os
import struct
from pathlib import Path
from typing import Any

import pytest
import tifffile

from pipeline.errors import InputError, UnreadableError
from pipeline.media.stills import read_still
from pipeline.media.stills.tiff.sequence import opened
from pipeline.results import Failure
from tests import photos
from tests.pipeline.media.test_stills_heif import heic

SCENE = photos.scene()


def save(path: Path) -> Path:
    if path.suffix == ".jp2":
        return photos.save_jp2(path, SCENE)
    if path.suffix == ".heic":
        return heic(path, SCENE, mode="L")
    return photos.save(path, SCENE)


class Failing(io.RawIOBase):
    """A file of which the disk gives the first ``good`` bytes, and an error for what lies behind them."""

    def __init__(self, path: Path, good: int, error: int) -> None:
        self._file, self._good, self._error = io.FileIO(path, "rb"), good, error
        self.name = str(path)

    def readinto(self, buffer: Any) -> int:
        left = self._good - self._file.tell()
        if left <= 0:
            raise OSError(self._error, os.strerror(self._error), self.name)
        return self._file.readinto(memoryview(buffer)[:left])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(place, whence)

    def close(self) -> None:
        self._file.close()
        super().close()


def fail_behind(path: Path, good: int, error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every opening of ``path`` meet a disk that fails behind its first ``good`` bytes."""

    def failing(file: Any, mode: str = "r", buffering: int = -1, *more: Any, **named: Any) -> Any:
        if mode == "rb" and not isinstance(file, int) and Path(file) == path:
            raw = Failing(path, good, error)
            return raw if buffering == 0 else io.BufferedReader(raw)
        return real(file, mode, buffering, *more, **named)

    real = io.open
    monkeypatch.setattr(io, "open", failing)
    monkeypatch.setattr(builtins, "open", failing)


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
