"""A disk that fails while a file is read."""

from __future__ import annotations

import builtins
import io
import os
from pathlib import Path
from typing import Any

import pytest


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

    def fileno(self) -> int:
        return self._file.fileno()

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(place, whence)

    def close(self) -> None:
        self._file.close()
        super().close()


def fail_behind(path: Path, good: int, error: int, monkeypatch: pytest.MonkeyPatch, *, opening: int = 1) -> None:
    """Let opening number ``opening`` of ``path``, and all later ones, meet a disk that fails.

    It gives the first ``good`` bytes; if that is negative, the file cannot be opened.
    """
    openings = 0

    def failing(file: Any, mode: str = "r", buffering: int = -1, *more: Any, **named: Any) -> Any:
        nonlocal openings
        if mode == "rb" and not isinstance(file, int) and Path(file) == path:
            openings += 1
            if openings >= opening and good < 0:
                raise OSError(error, os.strerror(error), str(path))
            if openings >= opening:
                raw = Failing(path, good, error)
                return raw if buffering == 0 else io.BufferedReader(raw)
        return real(file, mode, buffering, *more, **named)

    real = io.open
    monkeypatch.setattr(io, "open", failing)
    monkeypatch.setattr(builtins, "open", failing)
