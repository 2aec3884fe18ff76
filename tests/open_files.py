"""Simulate Windows' refusal to delete or replace open files, for files that this process has open."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.media import native_files


def refuse_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make deleting or replacing files that this process has open fail, and the platform appear as Windows."""

    def refusing(act: Callable[..., None]) -> Callable[..., None]:
        def refused(*paths: Any, **options: Any) -> None:
            for path in paths:
                if os.path.realpath(path) in _open_files():
                    raise PermissionError(errno.EACCES, "The file is in use by another process", str(path))
            act(*paths, **options)

        return refused

    native_files._lseek()  # found once, in the library of the system that this is
    for name in ("unlink", "remove", "replace", "rename"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    monkeypatch.setattr(sys, "platform", "win32")


def _open_files() -> set[str]:
    found = set()
    for handle in Path("/proc/self/fd").iterdir():
        try:
            found.add(str(handle.readlink()))
        except OSError:
            continue
    return found
