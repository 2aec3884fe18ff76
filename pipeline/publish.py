"""The only place that makes final names: write beside the target, sync, rename, sync the folder."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import AutochromeError, OutputError
from pipeline.originals import Originals

PARTIAL_PREFIX = ".autochrome-"


@contextmanager
def publishing(
    final: Path, *, overwrite: bool, originals: Originals, partial_suffix: str | None = None
) -> Iterator[Path]:
    """Give a temporary path in the folder of ``final``; when the block ends well, move it to ``final``.

    The temporary name ends in the same suffix, or in ``partial_suffix``. If the block raises, the temporary file is
    removed and ``final`` is as it was. Raises `UsageError` if ``final`` is one of ``originals`` or lies in one, before
    anything is written and again before the file gets its name; `OutputError` if ``final`` exists and ``overwrite`` is
    false, or when the disk refuses.
    """
    originals.check(final)
    suffix = final.suffix if partial_suffix is None else partial_suffix
    temporary = final.with_name(f"{PARTIAL_PREFIX}{secrets.token_hex(6)}{suffix}")
    try:
        if final.exists() and not overwrite:
            raise OutputError(
                f"{final}: exists already", advice="Choose another name with --output, or use --overwrite."
            )
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        originals.check(final)
        _name(temporary, final, overwrite=overwrite)
        _sync(final.parent)
    except AutochromeError:
        raise
    except OSError as error:
        raise OutputError(
            f"{final}: cannot be written: {error.strerror or error}", advice="Check free space and permissions."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _name(temporary: Path, final: Path, *, overwrite: bool) -> None:
    if overwrite:
        os.replace(temporary, final)
        return
    try:
        os.link(temporary, final)
    except FileExistsError as error:
        raise _appeared(final) from error
    except OSError:
        # A file system without hard links: the check and the rename cannot be one step there.
        if final.exists():
            raise _appeared(final) from None
        os.rename(temporary, final)


def _appeared(final: Path) -> OutputError:
    return OutputError(
        f"{final}: appeared while its result was being made; it was not overwritten",
        advice="See what it is; delete or move it, or use --overwrite.",
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
