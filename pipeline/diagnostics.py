"""Route the standard library's `logging` records for the command line.

The library only emits records: every module has a logger of its own name, and importing or calling configures nothing.
A command shows records on standard error (``-v``, ``-vv``) and appends them to a file (``--log-file``).
"""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.os_errors import unwritable
from pipeline.terminal import printable
from pipeline.version import program_version

# Packages whose loggers are configured; loggers of other libraries are left alone.
PACKAGES = ("pipeline", "engines", "training")
_HEADER = b"# Log of Autochrome\n"
_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(threadName)s %(name)s: %(message)s"
_LIBRARIES = ("av", "cattrs", "imagecodecs", "numpy", "onnxruntime", "opencv-python-headless", "openvino", "pillow")

logger = logging.getLogger(__name__)


@contextmanager
def logged(*, verbosity: int, file: Path | None) -> Iterator[None]:
    """Send log records to standard error (``verbosity`` 1: INFO, 2: DEBUG) and all of them to ``file`` for the block.

    Records are appended to ``file``. Raises `UsageError` if it contains anything but such a log, `OutputError` if it
    cannot be written.
    """
    handlers: list[logging.Handler] = []
    if verbosity:
        shown = _StandardError(logging.INFO if verbosity == 1 else logging.DEBUG)
        shown.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        handlers.append(shown)
    if file is not None:
        handlers.append(_file_handler(file))
    loggers = [logging.getLogger(name) for name in PACKAGES]
    before = [(one, one.level) for one in loggers]
    try:
        for one in loggers:
            for handler in handlers:
                one.addHandler(handler)
            if handlers:
                one.setLevel(logging.DEBUG)
        if handlers:
            logger.info("%s", describe_environment())
        yield
    finally:
        for one, level in before:
            one.setLevel(level)
            for handler in handlers:
                one.removeHandler(handler)
        for handler in handlers:
            with suppress(OSError):
                handler.close()


def describe_environment() -> str:
    """Return one line with the versions that a bug report should contain."""
    found = []
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    here = f"Python {platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores"
    return f"Autochrome {program_version()}, {here}; {', '.join(found)}"


def _file_handler(path: Path) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.seek(0)
            start = file.read(len(_HEADER))
            # An empty file with several hard links may not be ours.
            if not start and os.fstat(file.fileno()).st_nlink <= 1:
                file.write(_HEADER)
            elif start != _HEADER:
                raise UsageError(
                    f"{path}: is not a log of this program; nothing was written",
                    advice="Name another file with --log-file.",
                )
        handler = _Appending(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise unwritable(path, error) from error
    handler.setFormatter(logging.Formatter(_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S"))
    return handler


class _Appending(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - of the standard library
        """Ignore the error: a full disk must not end the work, nor fill another disk with tracebacks."""


class _StandardError(logging.Handler):
    """Write to the current standard error, which progress bars on a terminal replace."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{printable(self.format(record), lines=True)}\n")
