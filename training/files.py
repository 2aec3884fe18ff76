"""Files that appear when they are complete, or not at all, and never in the place of what was read to make them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.errors import AutochromeError


class SourceError(AutochromeError):
    """What is to be written would take the place of something that is read."""

    exit_code = 2


def check_output(output: Path, reads: Iterable[Path]) -> None:
    """Raise `SourceError` if ``output``, a file or folder that need not exist, is one of ``reads``, or lies in one.

    What is the same is told by the file system, so links, other spellings and mounts lead to it as well.
    """
    whole = Path(os.path.realpath(output))
    for path in reads:
        if any(_is_same(place, path) for place in (whole, *whole.parents)):
            what = "lies among what is read" if path.is_dir() else "is read"
            raise SourceError(
                f"{output}: {what} ({path}); nothing was written", advice="Name another place for it, outside of that."
            )


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of a file to write beside ``path``; in the end it takes that name, after an error it is gone."""
    partial = path.with_name(f".{path.name}.partial")
    # Left by a process that died; or a link, behind which another file would be written.
    partial.unlink(missing_ok=True)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
