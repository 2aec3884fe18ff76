"""Files that FFmpeg reads and writes by calling back into Python, where PyAV drops what is raised meanwhile."""

from __future__ import annotations

import ctypes
import io
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pipeline.os_errors import unreadable

T = TypeVar("T")


class _NativeFile:
    """A file of which FFmpeg calls `seek`, `tell` and ``read`` or ``write``; closing it closes the file.

    Exceptions raised meanwhile are kept, and `check` raises them afterwards. This includes exceptions of signals in the
    main thread: Python raises them as soon as it continues, before the first line of a callback function, and PyAV
    drops them there. So no Python function is called back, but a generator that waits within ``try``.
    """

    def __init__(self, path: Path, file: io.FileIO) -> None:
        self.name = str(path.absolute())
        self.tell = file.tell
        self._path = path
        self._file = file
        self._raised: BaseException | None = None

    def close(self) -> None:
        self._file.close()

    def check(self) -> None:
        """Raise, once, the exception kept while FFmpeg called: an OSError, or that of a signal."""
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def _called(self, act: Callable[[Any], T], idle: T) -> Callable[[Any], T]:
        """Return what calls ``act`` until it raises, and then returns ``idle``, without calling it ever again."""
        results = self._results(act, idle)
        next(results)
        return results.send

    def _results(self, act: Callable[[Any], T], idle: T) -> Generator[T, Any, None]:
        result, has_failed = idle, False
        while True:
            try:
                while True:
                    argument = yield result
                    result = idle if has_failed else act(argument)
            except GeneratorExit:
                return
            except BaseException as error:  # noqa: BLE001 - `check` raises it
                self._raised = error
                result, has_failed = idle, True


class SourceFile(_NativeFile):
    """The file ``path`` from which FFmpeg reads a film; `check` raises `UnreadableError` for a disk that fails.

    FFmpeg treats a failing disk as the end of the film in most containers, and as damage in others. So it gets no more
    data after that. Raises `UnreadableError` if the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            file = path.open("rb", buffering=0)
        except OSError as error:
            raise unreadable(path, error) from error
        super().__init__(path, file)
        self.read = self._called(self._read, b"")
        # A damaged file may point anywhere: this returns a negative number where `os.lseek` raises.
        self.seek = partial(_lseek(), file.fileno())

    @contextmanager
    def shared(self) -> Iterator[BinaryIO]:
        """Lend the file, at its start, to another reader; afterwards, FFmpeg finds it where it left it."""
        place, reader = self._file.tell(), io.BufferedReader(self._file)
        try:
            reader.seek(0)
            yield reader
        except OSError as error:
            raise unreadable(self._path, error) from error
        finally:
            reader.detach()
            self._file.seek(place)

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size) or b""
        except OSError as error:
            raise unreadable(self._path, error) from error


class ResultFile(_NativeFile):
    """The new file ``path`` to which FFmpeg writes a film. Raises OSError, also `check` does."""

    def __init__(self, path: Path) -> None:
        file = io.FileIO(path, "x+")
        super().__init__(path, file)
        self.write = self._called(self._write, 0)
        self.seek = file.seek

    def _write(self, data: bytes) -> int:
        """Write everything or raise; FFmpeg would not notice a short write."""
        view, done = memoryview(data), 0
        while done < len(view):
            done += self._file.write(view[done:]) or 0
        return done


@cache
def _lseek() -> Callable[[int, int, int], int]:
    """Return the system's own function, which takes a descriptor, an offset and an origin."""
    function: Any = ctypes.cdll.ucrtbase._lseeki64 if sys.platform == "win32" else ctypes.CDLL(None).lseek
    function.argtypes, function.restype = (ctypes.c_int, ctypes.c_int64, ctypes.c_int), ctypes.c_int64
    return function  # type: ignore[no-any-return]
