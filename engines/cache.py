"""What engines compiled, kept on disk: sealed by a hash, written whole or not at all, and never needed."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_SEAL = b"autochrome compiled model 1 "
_SUFFIX = ".compiled"
_PAGE = 4096
_KEPT = 8

Body: TypeAlias = npt.NDArray[np.uint8]
Buffer: TypeAlias = bytes | memoryview


def cache_folder() -> Path:
    """Return this user's folder for what can be made again; ``XDG_CACHE_HOME`` moves it. It need not exist."""
    chosen = os.environ.get("XDG_CACHE_HOME")
    if chosen:
        return Path(chosen, "autochrome")
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"), "autochrome", "cache")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "autochrome"
    return Path.home() / ".cache" / "autochrome"


@dataclass(frozen=True)
class CompiledCache:
    """Compiled models in one folder, each under everything that decides what it is.

    Runtimes load compiled models without checking them, and colour wrongly from a damaged one; so every file carries
    the SHA-256 of its content. That is proof against damage, not against someone who can write to the user's own
    folder. ``say`` is told of whatever went wrong, for nothing here is an error: the model is compiled again.
    """

    folder: Path
    say: Callable[[str], None]

    def get(self, key: Mapping[str, str]) -> Body | None:
        """Return what was put under ``key``, or None if it is not there or not as it was put.

        The bytes stay in the file until they are read; changes to the array stay in memory.
        """
        path = self._path(key)
        try:
            os.utime(path)
            content = np.memmap(path, np.uint8, mode="c") if path.stat().st_size else np.empty(0, np.uint8)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.say(f"{path}: the compiled model cannot be read ({error.strerror}); compiling it again")
            return None
        start = len(_sealed(key, b""))
        body = content[start:]
        if content[:start].tobytes() != _sealed(key, body.data):
            self.say(f"{path}: the compiled model is damaged; compiling it again")
            return None
        return body

    def put(self, key: Mapping[str, str], body: Buffer) -> None:
        """Keep ``body`` under ``key``, and of all that is kept the eight used last."""
        path = self._path(key)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                try:
                    file.write(_sealed(key, body))
                    file.write(body)
                    file.close()
                    os.replace(file.name, path)
                except BaseException:
                    file.close()
                    Path(file.name).unlink(missing_ok=True)
                    raise
            by_use = sorted(self.folder.glob(f"*{_SUFFIX}"), key=lambda one: one.stat().st_mtime)
            for old in by_use[:-_KEPT]:
                old.unlink(missing_ok=True)
        except OSError as error:
            self.say(f"{path}: the compiled model cannot be kept ({error.strerror}); the next start compiles again")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let one process at a time pass, where the system can: for what takes minutes to compile."""
        if sys.platform == "win32":  # two processes may do the same work; the files stay whole all the same
            yield
            return
        import fcntl

        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("wb")
        except OSError as error:
            self.say(f"{self.folder}: cannot be locked ({error.strerror}); other runs may compile the same model")
            yield
            return
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say(f"{self.folder}: another run is compiling; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _path(self, key: Mapping[str, str]) -> Path:
        return self.folder / f"{hashlib.sha256(_text(key)).hexdigest()[:32]}{_SUFFIX}"


def _text(key: Mapping[str, str]) -> bytes:
    return json.dumps(key, sort_keys=True).encode()


def _sealed(key: Mapping[str, str], body: Buffer) -> bytes:
    # Runtimes read faster from memory that begins where a page does.
    seal = _SEAL + hashlib.sha256(body).hexdigest().encode() + b" " + _text(key)
    return seal.ljust(-(-len(seal) // _PAGE) * _PAGE)
