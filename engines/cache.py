"""On-disk cache of compiled models: each sealed by a hash, written atomically, and always optional."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import platformdirs
from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

_SEAL = b"autochrome compiled model 1 "
_SUFFIX = ".compiled"
_PAGE = 4096
_KEPT = 8

Body: TypeAlias = npt.NDArray[np.uint8]
Buffer: TypeAlias = bytes | memoryview


def cache_folder() -> Path:
    """Return this user's cache folder, which need not exist; on Linux ``XDG_CACHE_HOME`` changes it."""
    return Path(platformdirs.user_cache_dir("autochrome", appauthor=False))


@dataclass(frozen=True)
class CompiledCache:
    """Compiled models in one folder, keyed by everything that determines them.

    Runtimes load compiled models without checking them, and a damaged one gives wrong colours, so every file carries
    the SHA-256 of its content. That protects against damage, not against someone who can write to the user's own
    folder. ``say`` receives all problems; none of them is an error, because the model is then compiled again.
    """

    folder: Path
    say: Callable[[str], None]

    def get(self, key: Mapping[str, str]) -> Body | None:
        """Return what was stored under ``key``, or None if it is missing or has changed.

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
        logger.debug("%s: a compiled model of %d bytes", path, body.size)
        if content[:start].tobytes() != _sealed(key, body.data):
            self.say(f"{path}: the compiled model is damaged; compiling it again")
            return None
        return body

    def put(self, key: Mapping[str, str], body: Buffer) -> None:
        """Store ``body`` under ``key``, keeping only the eight most recently used entries."""
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
            logger.debug("%s: kept", path)
            by_use = sorted(self.folder.glob(f"*{_SUFFIX}"), key=lambda one: one.stat().st_mtime)
            for old in by_use[:-_KEPT]:
                old.unlink(missing_ok=True)
        except OSError as error:
            self.say(f"{path}: the compiled model cannot be kept ({error.strerror}); the next start compiles again")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Admit one process at a time: for models that take minutes to compile."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(self.folder / "lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self.say(f"{self.folder}: another run is compiling; waiting for it")
                lock.acquire()
        except OSError as error:
            self.say(f"{self.folder}: cannot be locked ({error.strerror}); other runs may compile the same model")
            yield
            return
        try:
            yield
        finally:
            lock.release()

    def _path(self, key: Mapping[str, str]) -> Path:
        return self.folder / f"{hashlib.sha256(_text(key)).hexdigest()[:32]}{_SUFFIX}"


def _text(key: Mapping[str, str]) -> bytes:
    return json.dumps(key, sort_keys=True).encode()


def _sealed(key: Mapping[str, str], body: Buffer) -> bytes:
    # Runtimes read faster from memory that starts at a page boundary.
    seal = _SEAL + hashlib.sha256(body).hexdigest().encode() + b" " + _text(key)
    return seal.ljust(-(-len(seal) // _PAGE) * _PAGE)
