"""Write files atomically, never replacing an input; and the errors raised for files."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.errors import AutochromeError

UNREADABLE = (
    *(OSError, EOFError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, AssertionError),
    *(pickle.UnpicklingError, struct.error),
)
"""Errors that ``torch.load`` raises for files that are not its own or are damaged, or that invalid content raises."""


def reason(error: BaseException) -> str:
    """Return the class of one of `UNREADABLE` and the first sentence of its message, if any."""
    text = str(error).partition("\n")[0].partition(". ")[0].rstrip(".: ")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class WriteError(AutochromeError):
    """A location that cannot be written to: below a file, without permission, full."""

    exit_code = 5
    usual_advice = "Check the path, the permissions and the free space there, or choose another place."


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn operating system errors in this block into a `WriteError` about ``path``."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error


def check_place(path: Path) -> None:
    """Raise `WriteError` if ``path`` certainly cannot be created: below a file, or in a read-only place.

    For work that takes minutes before it writes. Creates nothing.
    """
    with writing(path):
        there = next(place for place in path.absolute().parents if place.is_symlink() or place.exists())
        if not there.is_dir():
            raise WriteError(f"{path}: cannot be made: {there} is not a folder", advice="Choose another place.")
        if not os.access(there, os.W_OK | os.X_OK):
            raise WriteError(f"{path}: cannot be made: {there} is not writable")


class SourceError(AutochromeError):
    """The output would replace an input."""

    exit_code = 2


def check_output(output: Path, reads: Iterable[Path]) -> None:
    """Raise `SourceError` if ``output``, a file or folder that need not exist, is one of ``reads``, or lies in one.

    Identity is the file system's, so links, other spellings and mounts count as well.
    """
    whole = Path(os.path.realpath(output))
    for path in reads:
        if any(_is_same(place, path) for place in (whole, *whole.parents)):
            what = "is among the files that are read" if path.is_dir() else "is read"
            raise SourceError(
                f"{output}: {what} ({path}); nothing was written", advice="Name another place for it, outside that one."
            )


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the name of a file to write beside ``path``; afterwards it is renamed to that, or deleted after an error.

    Its folder is created if needed. Raises `WriteError` if the operating system refuses, or if ``path`` is no file:
    renaming would replace a device such as /dev/null.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with writing(path):
            if path.exists() and not path.is_file():
                raise WriteError(f"{path}: is not a file, and is not replaced by one", advice="Choose another place.")
            path.parent.mkdir(parents=True, exist_ok=True)
            # Left by a process that died; or a link, through which another file would be written.
            partial.unlink(missing_ok=True)
            yield partial
            os.replace(partial, path)
    finally:
        with writing(path):
            partial.unlink(missing_ok=True)
