"""The only module that creates final names: write beside the target, sync, rename, sync the folder."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pipeline.errors import AutochromeError, UsageError
from pipeline.open_files import patiently
from pipeline.originals import Originals
from pipeline.os_errors import is_stream, of_publishing, writing

# Folder, among the results, for the program's own files.
HOME = ".autochrome"
# Bytes in a file name that all but a few file systems accept.
LONGEST_NAME = 255
PARTIAL_PREFIX = f"{HOME}-"
# Names of unfinished files.
PARTIAL = re.compile(rf"{re.escape(PARTIAL_PREFIX)}[0-9a-f]{{12}}(\..*)?", re.DOTALL)

logger = logging.getLogger(__name__)

_guard: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
_checks: list[tuple[Path, Callable[[], None]]] = []


@contextmanager
def publishing(
    final: Path, *, overwrite: bool, originals: Originals, partial_suffix: str | None = None
) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``final``, and move it to ``final`` if the block succeeds.

    The temporary name ends in the same suffix, or in ``partial_suffix``. If the block raises, the temporary file is
    removed and ``final`` is unchanged. Raises `UsageError` if ``final`` is one of ``originals`` or lies in one, or if
    it exists and ``overwrite`` is false; both are checked before anything is written and again before the file gets its
    name. Operating system errors in the block are attributed by the file they name: see `of_publishing`.
    """
    check_target(final, overwrite=overwrite, originals=originals)
    suffix = final.suffix if partial_suffix is None else partial_suffix
    temporary = final.with_name(f"{PARTIAL_PREFIX}{secrets.token_hex(6)}{suffix}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        with _guard():
            _check_name(final)
            originals.check(final)
            check_replaceable(final)
            _name(temporary, final, overwrite=overwrite)
        _sync_folder(final.parent)
        logger.debug("%s: published, %d bytes", final, final.stat().st_size)
    except AutochromeError:
        raise
    except OSError as error:
        raise of_publishing(final, error, originals=originals) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def guard_names(guard: Callable[[], AbstractContextManager[None]]) -> None:
    """Run every publication of a file by this process within ``guard``, which may raise: for abandoned workers."""
    global _guard
    _guard = guard


@contextmanager
def names_checked(folder: Path, check: Callable[[], None]) -> Iterator[None]:
    """For the block, call ``check``, which may raise, before any file below ``folder`` gets its name."""
    entry = (folder.absolute(), check)
    _checks.append(entry)
    try:
        yield
    finally:
        _checks.remove(entry)


def _check_name(final: Path) -> None:
    for folder, check in tuple(_checks):
        if final.absolute().is_relative_to(folder):
            check()


def check_target(final: Path, *, overwrite: bool, originals: Originals) -> None:
    """Raise `UsageError` if ``final`` would replace one of ``originals``, or exists and ``overwrite`` is false.

    Also for a broken link, a device, a pipe or a socket. Raises `OutputError` if the disk cannot be queried or does not
    accept a file.
    """
    originals.check(final)
    with writing(final):
        exists = final.exists()
    if not exists and final.is_symlink():
        raise UsageError(f"{final}: is a broken link", advice="Delete the link, or choose another name.")
    check_replaceable(final)
    if exists and not overwrite:
        raise UsageError(f"{final}: exists already", advice="Choose another name with --output, or use --overwrite.")
    _check_writable(final)


def check_replaceable(final: Path) -> None:
    """Raise `UsageError` if ``final`` is a device, a pipe or a socket: renaming would replace even /dev/null."""
    with writing(final):
        found = final.exists() and is_stream(final)
    if found:
        raise UsageError(
            f"{final}: is a device, pipe or socket, not a file; nothing was written there",
            advice="Name a file for it.",
        )


def _check_writable(final: Path) -> None:
    """Raise `OutputError` if no file can be created in the folder of ``final``, or where it would be created."""
    folder = next((one for one in final.parents if one.exists()), final.parent)
    # Permission checks are unreliable, above all on network file systems; only creating a file is conclusive.
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return
    with writing(final), tempfile.TemporaryFile(dir=folder):
        return


def _name(temporary: Path, final: Path, *, overwrite: bool) -> None:
    if overwrite:
        patiently(lambda: os.replace(temporary, final))
        return
    try:
        os.link(temporary, final)
    except FileExistsError as error:
        raise _appeared(final) from error
    except OSError:
        # Without hard links, the check and the rename cannot be a single step.
        if final.exists():
            raise _appeared(final) from None
        os.rename(temporary, final)


def _appeared(final: Path) -> UsageError:
    return UsageError(
        f"{final}: appeared while its result was being made; it was not overwritten",
        advice="Check what it is, then delete or move it, or use --overwrite.",
    )


def _sync(path: Path) -> None:
    # Windows can only sync files that are open for writing.
    handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(path: Path) -> None:
    if sys.platform == "win32":
        # Folders cannot be opened on Windows; NTFS journals the rename.
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
