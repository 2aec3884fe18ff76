"""Every file that FFmpeg opens, to read or to write, and the level of FFmpeg's log."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast, overload

import av
import av.container
import av.logging

_level_lock = threading.Lock()


@overload
def open_container(file: Any, mode: Literal["r"], **arguments: Any) -> av.container.InputContainer: ...
@overload
def open_container(file: Any, mode: Literal["w"], **arguments: Any) -> av.container.OutputContainer: ...
def open_container(file: Any, mode: Literal["r", "w"], **arguments: Any) -> Any:
    """Open ``file`` as `av.open` does. Tags that are not UTF-8 keep their bytes, which Python shows as surrogates."""
    # PyAV 19 always does so, and no longer takes the argument.
    return av.open(file, mode, metadata_errors="surrogateescape", **arguments)


def said(error: Exception) -> str:
    """Return what FFmpeg or the system says by ``error``, without its number and the function or file that it names."""
    return getattr(error, "strerror", None) or str(error)


@contextmanager
def verbose_log() -> Iterator[None]:
    """Set the level of FFmpeg's log to VERBOSE for the block, in which FFmpeg tells more; one thread at a time.

    Both levels are put back: FFmpeg's own, and the one from which on PyAV passes messages to `logging`.
    """
    with _level_lock:
        level, passed_on = _level(), av.logging.get_level()
        av.logging.set_level(av.logging.VERBOSE)
        av.logging.set_libav_level(av.logging.VERBOSE)
        try:
            yield
        finally:
            av.logging.set_libav_level(level)
            av.logging.set_level(passed_on)


def _getter() -> Callable[[], int] | None:
    """Return what tells the level of FFmpeg's log, which PyAV can set and not read; None if it cannot be found.

    That is so with PyAV from elsewhere than its wheels, on Windows.
    """
    # Elsewhere a module's symbols are those of the libraries it needs as well.
    wheels = sorted(Path(av.__file__).parents[1].glob("av.libs/avutil-*.dll")) if sys.platform == "win32" else []
    for library in (av.logging.__file__, *wheels):
        get = getattr(ctypes.CDLL(str(library)), "av_log_get_level", None)
        if get is not None:
            return cast("Callable[[], int]", get)
    return None


# Looked for once: a process that gives up privileges may no longer see the libraries.
_get_level = _getter()


def _level() -> int:
    return av.logging.INFO if _get_level is None else _get_level()
