"""Open all files for FFmpeg, to read or to write, and set the level of FFmpeg's log."""

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
    """Open ``file`` like `av.open`. Tags that are not UTF-8 keep their bytes, which Python shows as surrogates."""
    # PyAV 19 always does so, and no longer has the argument.
    return av.open(file, mode, metadata_errors="surrogateescape", **arguments)


def message_of(error: Exception) -> str:
    """Return the message of FFmpeg or the system in ``error``, without its number and the function or file named."""
    return getattr(error, "strerror", None) or str(error)


@contextmanager
def verbose_log() -> Iterator[None]:
    """Set the level of FFmpeg's log to VERBOSE in the block, for more details; one thread at a time.

    Both levels are restored: FFmpeg's own, and the one from which PyAV passes messages to `logging`.
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
    """Return the function that reads FFmpeg's log level, which PyAV can only set; None if it cannot be found.

    This happens on Windows if PyAV is not from its wheels.
    """
    # Elsewhere a module's symbols include those of the libraries it needs.
    wheels = sorted(Path(av.__file__).parents[1].glob("av.libs/avutil-*.dll")) if sys.platform == "win32" else []
    for library in (av.logging.__file__, *wheels):
        get = getattr(ctypes.CDLL(str(library)), "av_log_get_level", None)
        if get is not None:
            return cast("Callable[[], int]", get)
    return None


# Found only once: a process that drops privileges may no longer see the libraries.
_get_level = _getter()


def _level() -> int:
    return av.logging.INFO if _get_level is None else _get_level()
