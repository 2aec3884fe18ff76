"""Room on the disk of the results: a floor that no run goes below."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.errors import OutputError

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def check_space(folder: Path, *, keep_free: int, needed: int = 0) -> None:
    """Raise `OutputError` unless ``needed`` bytes fit on the disk of ``folder`` and leave ``keep_free`` bytes free.

    ``folder`` need not exist yet.
    """
    free = free_space(folder)
    if free - needed >= keep_free:
        return
    wanted = f", and {as_size(needed)} are needed" if needed else ""
    raise OutputError(
        f"{folder}: {as_size(free)} are free on its disk, {as_size(keep_free)} are to stay free{wanted}",
        advice="Make room or choose another disk; --keep-free sets how much stays free.",
    )


def free_space(folder: Path) -> int:
    """Return the bytes that this user can still write to the disk that holds ``folder``, or will.

    Raises `OutputError` if the disk does not answer.
    """
    known = folder.absolute()
    while not known.exists() and known != known.parent:
        known = known.parent
    try:
        return shutil.disk_usage(known).free
    except OSError as error:
        raise OutputError(
            f"{folder}: its free space cannot be told: {error.strerror or error}",
            advice="Check that its disk is there.",
        ) from error


def as_size(count: float) -> str:
    """Return ``count`` bytes for people, in decimal units: ``812 bytes``, ``5.4 GB``."""
    if count < 1000:
        return f"{count:.0f} bytes"
    power = next((power for power in range(1, len(_UNITS)) if count < 999.95 * 1000**power), len(_UNITS))
    return f"{count / 1000**power:.1f} {_UNITS[power - 1]}"
