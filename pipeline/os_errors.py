"""Turn operating system errors into this program's own: which side failed, and what to do about it."""

from __future__ import annotations

import errno
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import AutochromeError, InputError, OutputError, UnreadableError
from pipeline.originals import Originals, lies_in

_ADVICE = {
    errno.ENOSPC: "Free some space on its disk, or choose another place.",
    errno.EDQUOT: "The quota is used up: free some space, or choose another place.",
    errno.EFBIG: "Its disk, or a limit of this account, does not take a file that large; choose another place.",
    errno.EACCES: "Check its permissions and those of its folder.",
    errno.EPERM: "Check its permissions and those of its folder.",
    errno.EROFS: "Its disk is read-only; choose another place (for results: --output).",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ENOENT: "Check the path: a folder of it may be gone, or its disk not be mounted.",
    errno.ENOTDIR: "Check the path: a part of it is a file.",
    errno.EISDIR: "Check the path: it is a folder.",
    errno.ELOOP: "Check the path: a link in it leads to itself.",
    errno.EMFILE: "Too many files are open: raise the limit (ulimit -n).",
}
TMPDIR = "TMPDIR names the folder of temporary files."
_USUAL = "Check its disk and how it is connected."
# For a file; a folder must leave room for a name of 12 characters, or creating it is refused as below.
_LONGEST_ON_WINDOWS = 259
# ERROR_FILENAME_EXCED_RANGE
_TOO_LONG = 206
_FILE_SYSTEM = r"SYSTEM\CurrentControlSet\Control\FileSystem"
_VERBATIM = "\\\\?\\"
_LONG_PATHS = "only if LongPathsEnabled is set in its registry (docs/platforms.md)"
_NO_FILE = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR}
# Errors that only writing can cause.
_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


def advice_for(error: OSError) -> str:
    """Return what the user can do about ``error``."""
    advice = _ADVICE.get(error.errno or 0, _USUAL)
    if _is_beyond_windows(error):
        length = _length(error.filename)
        return f"{advice} It has {length:,} characters: Windows takes more than 259 (247 of a folder) {_LONG_PATHS}."
    return advice


def says_no_file(error: OSError) -> bool:
    """Return whether ``error`` means that no file exists at the path, or that a link leads nowhere.

    Windows reports the same for existing files whose path is too long.
    """
    return error.errno in _NO_FILE and not _is_beyond_windows(error)


def _is_beyond_windows(error: OSError) -> bool:
    """Return whether ``error`` was caused by a path longer than Windows, as configured, accepts."""
    if sys.platform != "win32" or not isinstance(error.filename, str) or error.filename.startswith(_VERBATIM):
        return False
    # Opening a file sets no Windows error code, and other calls report a path that is too long as not found.
    is_too_long = getattr(error, "winerror", None) == _TOO_LONG
    return is_too_long or (_length(error.filename) > _LONGEST_ON_WINDOWS and not _takes_long_paths())


def _takes_long_paths() -> bool:
    """Return whether Windows accepts long paths from programs that declare themselves aware of them, as Python does."""
    if sys.platform != "win32":
        return True
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _FILE_SYSTEM) as key:
            return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0] == 1)
    except OSError:
        return False


def _length(name: str) -> int:
    return len(str(Path(name).absolute()))


def unreadable(path: Path | str, error: OSError) -> UnreadableError:
    """Return the error for a source at ``path`` that cannot be read."""
    return UnreadableError(f"{path}: cannot be read: {error.strerror or error}", advice=advice_for(error))


def unwritable(path: Path | str, error: OSError) -> OutputError:
    """Return the error for a result, log or folder at ``path`` that cannot be written."""
    return OutputError(f"{path}: cannot be written: {error.strerror or error}", advice=advice_for(error))


def unusable_temporary(path: Path | str, error: OSError) -> OutputError:
    """Return the error for ``path``, a temporary file or what one is needed for."""
    reason = f"a temporary file cannot be used: {error.strerror or error}"
    return OutputError(f"{path}: {reason}", advice=f"{advice_for(error)} {TMPDIR}")


def is_stream(path: Path) -> bool:
    """Return whether the existing ``path`` is a pipe, a device or a socket: neither a file nor a folder."""
    mode = path.stat().st_mode
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def check_is_no_stream(path: Path) -> None:
    """Raise `InputError` if ``path`` is a pipe, a device or a socket: sources are read more than once."""
    if is_stream(path):
        raise InputError(f"{path}: is a pipe or a device, not a file", advice="Save its content as a file first.")


def is_there(path: Path) -> bool:
    """Return whether there is anything at ``path``.

    Raises `UnreadableError` if the system does not tell: a folder without permission, a name that is too long.
    """
    with reading(path):
        return path.exists()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn operating system errors in this block into an `UnreadableError` about ``path``."""
    try:
        yield
    except AutochromeError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn operating system errors in this block into an `OutputError` about ``path``."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def of_publishing(final: Path, error: OSError, *, originals: Originals) -> AutochromeError:
    """Convert ``error``, from a block that reads sources and writes the result ``final``, into an error for the user.

    The file that ``error`` names decides: a source cannot be read; a temporary file, the result, or a file beside it
    cannot be written. An error without a file name is attributed to the result if only writing can cause it; otherwise
    both sides are named, because the operating system does not say.
    """
    if error.filename is None:
        if error.errno in _OF_WRITING:
            return unwritable(final, error)
        return OutputError(
            f"{final}: cannot be made: {error.strerror or error}, while reading its source or writing it",
            advice="Check both disks and how they are connected.",
        )
    named = Path(error.filename if isinstance(error.filename, str) else str(error.filename))
    if any(lies_in(named, path) or named == path for path in originals.paths):
        return unreadable(named, error)
    if named.parent == final.parent:
        return unwritable(final, error)
    if lies_in(named, Path(tempfile.gettempdir())):
        return unusable_temporary(named, error)
    return unwritable(named, error)
